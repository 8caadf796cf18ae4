//! What a good search has been to: states that are only reached by getting several things right in a row.

use crate::model::Model;
use crate::place::Place;
use crate::transaction::{Call, Part, Transaction};

/// All of them.
pub const LANDMARKS: [&str; 19] = [
    "a chain of two channels",
    "a chain of three channels",
    "a chain of four channels",
    "a chain by a delegate's credential",
    "a settlement on a chained channel",
    "a settlement in a later window than the last",
    "a settlement of all that a window allows",
    "a settlement of the last of a deposit",
    "a settlement while closing",
    "a settlement of a delegate that has ended",
    "a settlement of wrapped SOL",
    "a settlement of more than 2^53",
    "a channel opened again",
    "a chained channel opened again",
    "a delegation begun anew",
    "a delegation closed when its channel was gone",
    "a close by anybody after the grace",
    "a close by statement that pays",
    "a close that refunds a donation",
];

/// Those that an accepted transaction reached. `before` and `after` are the model around it.
pub(super) fn reached<'a>(
    before: &'a Model,
    transaction: &'a Transaction,
    after: &'a Model,
) -> impl Iterator<Item = &'static str> + 'a {
    let calls = transaction.parts.iter().filter_map(|part| match part {
        Part::Call { call, .. } => Some(call),
        _ => None,
    });
    calls.flat_map(move |call| match call {
        Call::OpenChannel(call) => opened(before, call.channel, "a channel opened again"),
        Call::ChainChannel(call) => {
            let mut all = opened(before, call.sub_channel, "a chained channel opened again");
            all.extend(call.delegation.map(|_| "a chain by a delegate's credential"));
            let depth = call.sub_channel.channel().map_or(0, |id| id.levels().count());
            all.extend(depth.checked_sub(2).and_then(|at| LANDMARKS.get(at)));
            all
        }
        Call::Settle(call) => settled(before, call.channel, call.delegation, after),
        Call::SetDelegate(call) => begun_anew(before, call.delegation, after),
        Call::CloseDelegation(call) => {
            let gone = call.channel.channel().is_some_and(|id| !before.channels.contains_key(&id));
            gone.then_some("a delegation closed when its channel was gone").into_iter().collect()
        }
        Call::CloseChannel(call) => closed(before, call.channel, call.closer, after),
        _ => Vec::new(),
    })
}

fn opened(before: &Model, place: Place, again: &'static str) -> Vec<&'static str> {
    let id = place.channel();
    let known = before.ledger.incarnations().any(|((known, _), _)| Some(*known) == id);
    known.then_some(again).into_iter().collect()
}

fn settled(before: &Model, place: Place, delegation: Option<Place>, after: &Model) -> Vec<&'static str> {
    let Some(id) = place.channel() else { return Vec::new() };
    let (Some(was), Some(is)) = (before.channels.get(&id), after.channels.get(&id)) else {
        return Vec::new();
    };
    // the same transaction may close the channel and open it again
    if is.opened != was.opened {
        return Vec::new();
    }
    let now = after.clock.time;
    let delegation = delegation.and_then(|place| match place {
        Place::Delegation(id, delegate) => before.delegations.get(&(id, delegate)),
        _ => None,
    });
    let ended = delegation.and_then(|it| it.end()).is_some_and(|end| end <= now);
    let reached = [
        (id.parent().is_some(), "a settlement on a chained channel"),
        (is.window > was.window && was.window > 0, "a settlement in a later window than the last"),
        (is.window_claimed == is.terms.rate_limit, "a settlement of all that a window allows"),
        (is.balance() == 0, "a settlement of the last of a deposit"),
        (was.closing_since.is_some(), "a settlement while closing"),
        (ended, "a settlement of a delegate that has ended"),
        (is.mint == crate::cast::Mint::WrappedSol, "a settlement of wrapped SOL"),
        (is.claimed - was.claimed > 1 << 53, "a settlement of more than 2^53"),
    ];
    reached.into_iter().filter(|(holds, _)| *holds).map(|(_, name)| name).collect()
}

fn begun_anew(before: &Model, place: Place, after: &Model) -> Vec<&'static str> {
    let Place::Delegation(id, delegate) = place else { return Vec::new() };
    let [was, is] = [before, after].map(|model| model.delegations.get(&(id, delegate)));
    let anew = was.is_some_and(|was| is.is_some_and(|is| is.created_slot > was.created_slot));
    anew.then_some("a delegation begun anew").into_iter().collect()
}

fn closed(before: &Model, place: Place, closer: crate::cast::Person, after: &Model) -> Vec<&'static str> {
    let Some(channel) = place.channel().and_then(|id| before.channels.get(&id)) else { return Vec::new() };
    let Some(flows) = after.ledger.flows(channel.id, channel.opened.slot) else { return Vec::new() };
    let anybody = closer != channel.id.funder && closer != channel.id.recipient();
    let reached = [
        (anybody, "a close by anybody after the grace"),
        (flows.by_statement > 0, "a close by statement that pays"),
        (flows.donations > 0 && flows.refund > 0, "a close that refunds a donation"),
    ];
    reached.into_iter().filter(|(holds, _)| *holds).map(|(_, name)| name).collect()
}
