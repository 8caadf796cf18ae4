//! What an operation means in the state a sequence is in: who, which accounts, how much, signed by whom.

mod claim;
mod closing;
mod delegate;
mod draft;
mod gift;
mod open;
mod proof;
mod twist;
mod wait;

use draft::Draft;

use crate::cast::Person;
use crate::model::{Channel, Clock, Delegation, Model};
use crate::operation::{ANY, Operation};
use crate::transaction::Transaction;

/// What comes of an operation.
pub enum Step {
    /// Nothing: there is no such channel, or no such delegation.
    Nothing,
    /// Time passes until then.
    Pass(Clock),
    /// Time passes until then, and this is sent.
    Send(Clock, Transaction),
}

/// Resolves an operation.
pub fn resolve(operation: &Operation, model: &Model) -> Step {
    match operation {
        Operation::Wait(wait) => wait::until(*wait, model).map_or(Step::Nothing, Step::Pass),
        Operation::Together(operations) => together(operations, model),
        single => {
            let Some((clock, now)) = draft(single, model) else { return Step::Nothing };
            if clock == model.clock {
                return Step::Send(clock, now.transaction());
            }
            // what may be claimed depends on when
            let mut later = model.clone();
            later.clock = clock;
            draft(single, &later).map_or(Step::Nothing, |(_, it)| Step::Send(clock, it.transaction()))
        }
    }
}

/// One transaction of several operations, each resolved in the state that the ones before it leave. It is
/// sent now: what would have to wait is too early.
fn together(operations: &[Operation], model: &Model) -> Step {
    let mut scratch = model.clone();
    let mut all = Transaction::default();
    for operation in operations {
        if let Some((_, draft)) = draft(operation, &scratch) {
            let one = draft.transaction();
            let _ = scratch.execute(&one);
            all.parts.extend(one.parts);
        }
    }
    if all.parts.is_empty() { Step::Nothing } else { Step::Send(model.clock, all) }
}

/// What is sent, and when.
fn draft(operation: &Operation, model: &Model) -> Option<(Clock, Draft)> {
    let now = model.clock;
    let (clock, draft, twist) = match operation {
        Operation::Wait(_) | Operation::Together(_) => return None,
        Operation::Open { address, signer, rent_payer, mint, deposit, terms, twist } => {
            let choice =
                open::Choice { address: *address, signer: *signer, rent_payer: *rent_payer, mint: *mint };
            (now, open::open(model, choice, *deposit, *terms, *twist), twist)
        }
        Operation::TopUp { channel, by, amount, twist } => {
            (now, gift::top_up(model, *channel, *by, *amount)?, twist)
        }
        Operation::Settle { signer, owed, seq, when, twist } => {
            let authority = claim::authority(model, *signer, |_| true)?;
            (authority.when(model, *when), claim::settle(model, authority, (*owed, *seq)), twist)
        }
        Operation::RequestClose { channel, twist } => (now, closing::request(model, *channel)?, twist),
        Operation::Close { channel, by, when, twist } => {
            (closing::when(model, *channel, *by, *when)?, closing::close(model, *channel, *by)?, twist)
        }
        Operation::SetDelegate { channel, delegate, limit, expiry, rent_payer, twist } => {
            let who = delegate::Choice { channel: *channel, delegate: *delegate, rent_payer: *rent_payer };
            (now, delegate::set(model, who, *limit, *expiry, *twist)?, twist)
        }
        Operation::Revoke { delegation, twist } => (now, delegate::revoke(model, *delegation)?, twist),
        Operation::CloseDelegation { delegation, when, twist } => {
            let (clock, draft) = delegate::close(model, *delegation, *when)?;
            (clock, draft, twist)
        }
        Operation::Chain { signer, owed, seq, when, service, nonce, rent_payer, terms, twist } => {
            let authority = claim::authority(model, *signer, claim::may_be_chained)?;
            let choice = claim::Below { service: *service, nonce: *nonce, rent_payer: *rent_payer };
            let draft = claim::chain(model, authority, (*owed, *seq), choice, *terms, *twist);
            (authority.when(model, *when), draft, twist)
        }
        Operation::Donate { channel, amount } => (now, gift::donate(model, *channel, *amount)?, &None),
        Operation::SendAhead { to, lamports } => (now, gift::send_ahead(model, *to, *lamports)?, &None),
    };
    Some((clock, draft.twisted(model, *twist)))
}

/// One of a list, counted around.
fn pick<T: Copy>(list: &[T], at: u8) -> T {
    list[usize::from(at) % list.len()]
}

/// One of those that are good, where the number is small; else any.
fn choose<'a, T>(
    all: impl Iterator<Item = &'a T> + Clone,
    at: u8,
    good: impl Fn(&T) -> bool + Clone,
) -> Option<&'a T> {
    let mut chosen = all.filter(|one| at >= ANY || good(one));
    let count = chosen.clone().count();
    usize::from(at).checked_rem(count).and_then(|at| chosen.nth(at))
}

/// One of the live channels.
fn channel(model: &Model, at: u8, good: impl Fn(&Channel) -> bool + Clone) -> Option<&Channel> {
    choose(model.channels.values(), at, good)
}

/// One of the live channels, whichever.
fn any_channel(model: &Model, at: u8) -> Option<&Channel> {
    channel(model, at, |_| true)
}

/// One of the delegations there are.
fn delegation(model: &Model, at: u8, good: impl Fn(&Delegation) -> bool + Clone) -> Option<&Delegation> {
    choose(model.delegations.values(), at, good)
}

/// Whether a delegation is for the channel that is there now.
fn is_current(model: &Model, it: &Delegation) -> bool {
    model.channels.get(&it.channel).is_some_and(|channel| channel.opened.slot == it.channel_opened_slot)
}

/// Who may pay rent.
fn rent_payer(at: u8, asker: Person) -> Person {
    pick(&[Person::RentPayer(0), Person::RentPayer(1), asker, Person::Pauper], at)
}
