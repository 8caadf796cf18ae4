use std::collections::BTreeMap;

use crate::cast::Person;
use crate::place::{ChannelId, Place};

/// Who may sign for a channel, from which slot on. Nothing else tells two authorities apart: a message names
/// the channel's address and the epoch, and its signature the signer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Authority {
    /// For which address.
    pub channel: ChannelId,
    /// Whose key.
    pub signer: Person,
    /// Which slot.
    pub epoch: u64,
}

/// What became of an authority in one incarnation of its channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Granted {
    /// Base units a step of seq authorizes.
    pub unit_price: u64,
    /// Base units that were paid on it.
    pub paid: u128,
}

/// One settlement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// When.
    pub at: i64,
    /// Base units.
    pub amount: u64,
    /// Whether they went into a channel below.
    pub chained: bool,
}

/// Everything that went in and out of one incarnation of a channel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flows {
    /// By the opening and top-ups.
    pub deposits: u128,
    /// Past the books.
    pub donations: u128,
    /// By settling and chaining.
    pub settlements: Vec<Settled>,
    /// By a close statement.
    pub by_statement: u64,
    /// To the funder.
    pub refund: u64,
    /// Whether it is closed.
    pub closed: bool,
}

impl Flows {
    /// Base units settled.
    pub fn settled(&self) -> u128 {
        self.settlements.iter().map(|it| u128::from(it.amount)).sum()
    }

    /// Base units that went to the recipient, not into a channel below.
    pub fn earned(&self) -> u128 {
        let kept = self.settlements.iter().filter(|it| !it.chained).map(|it| u128::from(it.amount));
        kept.sum::<u128>() + u128::from(self.by_statement)
    }
}

/// What an onlooker writes down, and never forgets: not when a channel closes, nor when it opens again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    signed: BTreeMap<Authority, u64>,
    statements: BTreeMap<(ChannelId, u64), u64>,
    granted: BTreeMap<(Authority, u64), Granted>,
    flows: BTreeMap<(ChannelId, u64), Flows>,
    wrapped_ahead: u128,
    rents: BTreeMap<Place, Person>,
    lamports: BTreeMap<Person, i128>,
}

impl Ledger {
    /// A credential was signed.
    pub(super) fn sign(&mut self, authority: Authority, seq: u64) {
        let highest = self.signed.entry(authority).or_default();
        *highest = seq.max(*highest);
    }

    /// A recipient signed a close statement.
    pub(super) fn sign_statement(&mut self, channel: ChannelId, opened_slot: u64, owed_total: u64) {
        let highest = self.statements.entry((channel, opened_slot)).or_default();
        *highest = owed_total.max(*highest);
    }

    /// Somebody may sign from now on, for the incarnation of the channel that was opened in `opened_slot`.
    pub(super) fn grant(&mut self, authority: Authority, opened_slot: u64, unit_price: u64) {
        self.granted.entry((authority, opened_slot)).or_default().unit_price = unit_price;
    }

    /// Something was paid on an authority.
    pub(super) fn pay(&mut self, authority: Authority, opened_slot: u64, amount: u64) {
        self.granted.entry((authority, opened_slot)).or_default().paid += u128::from(amount);
    }

    fn flow(&mut self, channel: ChannelId, opened_slot: u64) -> &mut Flows {
        self.flows.entry((channel, opened_slot)).or_default()
    }

    pub(super) fn deposit(&mut self, channel: ChannelId, opened_slot: u64, amount: u64) {
        self.flow(channel, opened_slot).deposits += u128::from(amount);
    }

    pub(super) fn donate(&mut self, channel: ChannelId, opened_slot: u64, amount: u64) {
        self.flow(channel, opened_slot).donations += u128::from(amount);
    }

    /// Lamports sent ahead to a vault became tokens when it began.
    pub(super) fn wrap(&mut self, channel: ChannelId, opened_slot: u64, amount: u64) {
        self.wrapped_ahead += u128::from(amount);
        self.donate(channel, opened_slot, amount);
    }

    pub(super) fn settled(&mut self, channel: ChannelId, opened_slot: u64, settled: Settled) {
        self.flow(channel, opened_slot).settlements.push(settled);
    }

    /// Somebody gave lamports away.
    pub(super) fn give(&mut self, person: Person, lamports: u64) {
        *self.lamports.entry(person).or_default() -= i128::from(lamports);
    }

    /// Somebody paid what an account was short of its rent.
    pub(super) fn pay_rent(&mut self, place: Place, payer: Person, lamports: u64) {
        self.give(payer, lamports);
        self.rents.insert(place, payer);
    }

    /// An account is gone: all it had is due to who paid its rent.
    pub(super) fn return_rent(&mut self, place: Place, lamports: u64) {
        if let Some(payer) = self.rents.remove(&place) {
            *self.lamports.entry(payer).or_default() += i128::from(lamports);
        }
    }

    /// Lamports that somebody should have more than at first, fees apart.
    pub fn lamports_gained(&self, person: Person) -> i128 {
        self.lamports.get(&person).copied().unwrap_or_default()
    }

    pub(super) fn close(&mut self, channel: ChannelId, opened_slot: u64, by_statement: u64, refund: u64) {
        let flow = self.flow(channel, opened_slot);
        (flow.by_statement, flow.refund, flow.closed) = (by_statement, refund, true);
    }

    /// The highest seq that was signed for an authority.
    pub fn highest_seq(&self, authority: Authority) -> u64 {
        self.signed.get(&authority).copied().unwrap_or_default()
    }

    /// The highest total that a recipient signed for an incarnation of a channel.
    pub fn highest_statement(&self, channel: ChannelId, opened_slot: u64) -> Option<u64> {
        self.statements.get(&(channel, opened_slot)).copied()
    }

    /// Base units of wrapped SOL that came from lamports sent ahead.
    pub fn wrapped_ahead(&self) -> u128 {
        self.wrapped_ahead
    }

    /// What was paid on an authority in one incarnation of its channel.
    pub fn paid(&self, authority: Authority, opened_slot: u64) -> u128 {
        self.granted.get(&(authority, opened_slot)).map_or(0, |granted| granted.paid)
    }

    /// What went in and out of an incarnation of a channel.
    pub fn flows(&self, channel: ChannelId, opened_slot: u64) -> Option<&Flows> {
        self.flows.get(&(channel, opened_slot))
    }

    /// Every authority that was ever given, one incarnation of its channel after the other.
    pub fn authorities(&self) -> impl Iterator<Item = (&Authority, &Granted)> {
        self.granted.iter().map(|((authority, _), granted)| (authority, granted))
    }

    /// Every incarnation of a channel there ever was, by address and opening.
    pub fn incarnations(&self) -> impl Iterator<Item = (&(ChannelId, u64), &Flows)> {
        self.flows.iter()
    }

    /// Every credential that was ever signed, with the highest seq.
    pub fn signed(&self) -> impl Iterator<Item = (&Authority, u64)> {
        self.signed.iter().map(|(authority, seq)| (authority, *seq))
    }
}
