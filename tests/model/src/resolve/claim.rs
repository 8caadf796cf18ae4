use super::open::twisted;
use super::wait::at;
use super::{Draft, any_channel, channel, delegation, is_current, pick, rent_payer};
use crate::cast::Person;
use crate::model::{Authority, Channel, Clock, Delegation, Model};
use crate::operation::{Edge, Owed, Seq, Signing, TermsChoice, Twist, When};
use crate::place::Place;
use crate::transaction::{Call, ChainChannel, Message, Proof, Settle, Shape};

/// Who signs on which channel.
#[derive(Clone, Copy)]
pub(super) struct Signer<'a> {
    channel: &'a Channel,
    delegation: Option<&'a Delegation>,
}

/// The signer that is meant: best on a channel that is `good` and has something left.
pub(super) fn authority(
    model: &Model,
    signer: Signing,
    good: impl Fn(&Channel) -> bool + Clone,
) -> Option<Signer<'_>> {
    let lively = |channel: &Channel| channel.balance() > 0 && good(channel);
    match signer {
        Signing::Authorized(at) => Some(Signer { channel: channel(model, at, lively)?, delegation: None }),
        Signing::Delegate(at) => {
            let it = delegation(model, at, |it| {
                let fits = model.channels.get(&it.channel).is_some_and(lively);
                fits && is_current(model, it) && it.claimed.amount < it.limit
            })?;
            Some(Signer { channel: model.channels.get(&it.channel)?, delegation: Some(it) })
        }
    }
}

/// Whether a channel can have one below.
pub(super) fn may_be_chained(channel: &Channel) -> bool {
    channel.depth() < channel.terms.max_chain_depth && channel.closing_since.is_none()
}

impl Signer<'_> {
    /// When this signer is settled.
    pub(super) fn when(&self, model: &Model, when: When) -> Clock {
        let (channel, now) = (self.channel, i128::from(model.clock.time));
        let interval = i128::from(channel.terms.settle_interval);
        let ended = self.delegation.and_then(Delegation::end).is_some_and(|end| i128::from(end) <= now);
        let claimed = self.delegation.map_or(channel.signer, |it| it.claimed);
        let mut due = now;
        if channel.closing_since.is_none() && !ended {
            due = due.max(i128::from(claimed.last_settled) + interval);
        }
        let (window, in_window) = channel.window_at(model.clock.time);
        if in_window >= channel.terms.rate_limit {
            due = due.max(i128::from(channel.opened.time) + (i128::from(window) + 1) * interval);
        }
        at(model, due, when)
    }
}

/// A credential, and what is claimed by it.
struct Claim {
    proof: Proof,
    delegation: Option<Place>,
    owed: u64,
}

fn claim(model: &Model, Signer { channel, delegation }: Signer, (owed, seq): (Owed, Seq)) -> Claim {
    let (signer, epoch, claimed) = match delegation {
        Some(it) => (it.delegate, it.created_slot, it.claimed.amount),
        None => (channel.authorized_signer, channel.opened.slot, channel.signer.amount),
    };
    let owed = amount(model, channel, delegation, claimed, owed);
    let covering = owed.div_ceil(channel.terms.unit_price);
    let authority = Authority { channel: channel.id, signer, epoch };
    let seq = match seq {
        Seq::Covering => covering,
        Seq::More(more) => covering.saturating_add(more.into()),
        Seq::Less => covering.saturating_sub(1),
        Seq::Again => model.ledger.highest_seq(authority),
        Seq::Most => u64::MAX,
    };
    let signed = Message::Credential { channel: channel.id, epoch, seq };
    let delegation = delegation.map(|it| Place::Delegation(it.channel, it.delegate));
    Claim { proof: Proof { signer, signed, shape: Shape::Canonical }, delegation, owed }
}

fn amount(
    model: &Model,
    channel: &Channel,
    delegation: Option<&Delegation>,
    claimed: u64,
    owed: Owed,
) -> u64 {
    let left = |edge| match edge {
        Edge::Deposit => channel.balance(),
        Edge::Rate => channel.terms.rate_limit.saturating_sub(channel.window_at(model.clock.time).1),
        Edge::Limit => delegation.map_or(u64::MAX, |it| it.limit.saturating_sub(claimed)),
    };
    let all = [Edge::Deposit, Edge::Rate, Edge::Limit].map(left).into_iter().min().unwrap_or(0);
    match owed {
        Owed::Part(part) => {
            let share = u128::from(all) * u128::from(part.min(16)) / 16;
            claimed.saturating_add((share as u64).max(1))
        }
        Owed::UpTo(edge) => claimed.saturating_add(left(edge)),
        Owed::Past(edge) => claimed.saturating_add(left(edge)).saturating_add(1),
        Owed::Again => claimed,
        Owed::Less => claimed.saturating_sub(1),
        Owed::Zero => 0,
        Owed::Most => u64::MAX,
    }
}

pub(super) fn settle(model: &Model, signer: Signer, claimed: (Owed, Seq)) -> Draft {
    let channel = signer.channel;
    let claim = claim(model, signer, claimed);
    let call = Settle {
        recipient: channel.id.recipient(),
        channel: Place::Channel(channel.id),
        vault: Place::Vault(channel.id),
        mint: Place::Mint(channel.mint),
        recipient_token: Place::Tokens(channel.id.recipient(), channel.mint),
        token_program: channel.mint.program().place(),
        instructions: Place::InstructionsSysvar,
        delegation: claim.delegation,
        owed: claim.owed,
    };
    Draft::proven(Call::Settle(call), claim.proof)
}

/// The channel below, by number.
pub(super) struct Below {
    pub(super) service: u8,
    pub(super) nonce: u8,
    pub(super) rent_payer: u8,
}

pub(super) fn chain(
    model: &Model,
    signer: Signer,
    claimed: (Owed, Seq),
    below: Below,
    terms: TermsChoice,
    twist: Option<Twist>,
) -> Draft {
    let parent = signer.channel;
    let claim = claim(model, signer, claimed);
    let sub_service = match twist {
        Some(Twist::SelfPayment) => parent.id.funder,
        _ => pick(&Person::SERVICES, below.service),
    };
    let mut id = parent.id.below(sub_service, below.nonce % 3);
    if let Some(Twist::Occupied(at)) = twist
        && let Some(there) = any_channel(model, at)
    {
        // of its own, if it has one
        let its = |child: &&Channel| child.id.parent() == Some(parent.id);
        id = model.channels.values().find(its).unwrap_or(there).id;
    }
    let call = ChainChannel {
        recipient: parent.id.recipient(),
        rent_payer: rent_payer(below.rent_payer, parent.id.recipient()),
        channel: Place::Channel(parent.id),
        vault: Place::Vault(parent.id),
        mint: Place::Mint(parent.mint),
        sub_service: id.recipient(),
        sub_channel: Place::Channel(id),
        sub_vault: Place::Vault(id),
        token_program: parent.mint.program().place(),
        instructions: Place::InstructionsSysvar,
        delegation: claim.delegation,
        owed: claim.owed,
        nonce: id.nonce(),
        terms: twisted(terms.terms(), twist),
    };
    Draft::proven(Call::ChainChannel(call), claim.proof)
}
