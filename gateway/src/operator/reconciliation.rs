//! Whether credentials, charges, settlements and refunds of a channel add up.

use amp_protocol::money::Amount;
use amp_sdk::server::Session;
use serde::Serialize;

use super::history::Remembered;

/// One equation. Amounts are base units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Line {
    /// What is compared, in words.
    pub(crate) what: &'static str,
    pub(crate) left: Amount,
    pub(crate) right: Amount,
    pub(crate) holds: bool,
}

/// All equations of a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Reconciliation {
    pub(crate) channel: String,
    pub(crate) opened_slot: u64,
    /// Whether all of them hold.
    pub(crate) adds_up: bool,
    pub(crate) lines: Vec<Line>,
    /// What goes back to the funder, or went: what the settled and the owed leave of the deposit.
    pub(crate) refund: Option<Amount>,
}

/// What the history has summed up: charged, and paid out.
pub(crate) type Sums = (Amount, Amount);

fn sum(amounts: impl IntoIterator<Item = Amount>) -> Amount {
    amounts.into_iter().try_fold(Amount::ZERO, Amount::checked_add).unwrap_or(Amount::MAX)
}

fn equal(what: &'static str, left: Amount, right: Amount) -> Line {
    Line { what, left, right, holds: left == right }
}

fn at_most(what: &'static str, left: Amount, right: Amount) -> Line {
    Line { what, left, right, holds: left <= right }
}

/// What was charged to requests that are over.
pub(crate) fn finished(session: &Session) -> Amount {
    session.spent.checked_sub(session.streaming).unwrap_or(Amount::ZERO)
}

/// Holds a channel's books against the history and the chain. `before`: [`finished`] when the history was asked, of
/// which `session` is a little later.
pub(crate) fn of_session(session: &Session, before: Amount, (charged, paid): Sums) -> Reconciliation {
    let mut lines = Vec::new();
    let ceilings: Option<Vec<Amount>> = session.signers.iter().map(|signer| signer.ceiling).collect();
    if let Some(ceilings) = ceilings {
        lines.push(at_most("charged is at most what was signed for", session.spent, sum(ceilings)));
    }
    // charges go on while this is asked
    let right = charged.max(before).min(finished(session));
    lines.push(equal(
        "all charges of the history are the books' total, but for streams under way",
        charged,
        right,
    ));
    let mut refund = None;
    if let Some(on_chain) = &session.on_chain {
        lines.push(equal(
            "all settlements of the history are what the chain paid out",
            paid,
            on_chain.claimed,
        ));
        let settled_and_owed = sum([on_chain.claimed, session.unsettled, session.given_up]);
        let owed_is_counted = session.in_flight == 0;
        if owed_is_counted {
            lines.push(equal("charged is settled, or still to be", session.spent, settled_and_owed));
        }
        lines.push(at_most("charged is at most what was deposited", session.spent, on_chain.deposited));
        refund = on_chain.deposited.checked_sub(session.spent.max(on_chain.claimed));
    }
    Reconciliation {
        channel: session.channel.clone(),
        opened_slot: session.opened_slot,
        adds_up: lines.iter().all(|line| line.holds),
        lines,
        refund,
    }
}

/// The same of a channel that is gone: what the chain said last, and the statement that it was closed by.
pub(crate) fn of_gone(channel: &Remembered, (charged, paid): Sums) -> Reconciliation {
    let at_close =
        channel.statement.map_or(Amount::ZERO, |total| total.checked_sub(paid).unwrap_or(Amount::ZERO));
    let collected = sum([paid, at_close]);
    let lines = vec![
        equal("charged is what settlements and the close statement say was paid", charged, collected),
        at_most("what was paid is at most what was deposited", collected, channel.deposited),
    ];
    let refund = channel.deposited.checked_sub(collected);
    Reconciliation {
        channel: channel.channel.clone(),
        opened_slot: channel.opened_slot,
        adds_up: lines.iter().all(|line| line.holds),
        lines,
        refund,
    }
}
