//! What goes into one transaction. Pure: the chain's state, the claims and the time decide.
//!
//! A settlement takes an ed25519 instruction of its own (the program accepts one signature an instruction,
//! at fixed places) and the program's: 195 bytes, and 64 for the accounts of each channel, 32 for each
//! delegation. Three fit into a packet, fourteen channels into a transaction of the format v1.

use amp_protocol::code::Code;
use amp_protocol::message::Key;
use amp_protocol::money::Amount;

use super::claim::Claim;
use super::part::Part;
use super::plan::{Decision, decide};
use super::transaction::{Sender, Settling};
use crate::chain::TransactionFormat;

/// Channels that are settled together: a transaction of this format holds no more settlements of so many
/// channels than that.
pub(super) const fn together(format: TransactionFormat) -> usize {
    match format {
        TransactionFormat::V0 => 3,
        TransactionFormat::V1 => 14,
    }
}

/// What is to be claimed when a grace is over within so many seconds shares its transaction with no other
/// channel. A transaction that another channel keeps from landing is lost for as long as its blockhash
/// lives, about a minute, and there must be time for more than one.
const NO_TIME_TO_SHARE: i64 = 360;

/// A claim that goes into a transaction.
#[derive(Debug)]
pub(super) struct Packed {
    /// Whose it is: the place of its part.
    pub(super) part: usize,
    pub(super) claim: Claim,
    /// Claimed, cumulative.
    pub(super) owed: Amount,
}

/// Whether two channels may share a transaction, of which these graces run and end then. What has no grace
/// to lose never costs what has one the time of another attempt.
pub(super) fn may_share(one: Option<i64>, other: Option<i64>, now: i64) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => one.min(other).saturating_sub(now) >= NO_TIME_TO_SHARE,
        _ => false,
    }
}

/// Whether any claim on this mint is due.
pub(super) fn any_is_due(parts: &[Part], mint: Key, now: i64) -> bool {
    let mut of_mint = parts.iter().filter(|part| part.account.mint == mint);
    of_mint.any(|part| {
        part.claims.iter().any(|claim| {
            let (authority, record) = (&claim.authority, &claim.record);
            let decision = decide(&part.account, authority, record.seq, record.spent, part.urgency, now);
            matches!(decision, Decision::Settle { .. })
        })
    })
}

/// Takes the claims of one mint that go into the next transaction: what is due now, in the order of the parts
/// and of the claims in them, as far as there is room. What is not due is dropped, and what it waits for
/// noted. Nothing is taken where nothing is due.
pub(super) fn take(
    parts: &mut [Part],
    sender: &Sender,
    mint: Key,
    create_payout: bool,
    now: i64,
) -> Vec<Packed> {
    let mut pack: Vec<Packed> = Vec::new();
    for at in 0..parts.len() {
        let first_grace = pack.first().and_then(|first| parts.get(first.part)).map(|part| part.grace_ends);
        let Some(part) = parts.get(at) else { break };
        let shares = first_grace.is_none_or(|grace| may_share(grace, part.grace_ends, now));
        if part.account.mint != mint || !shares {
            continue;
        }
        // as it will be once the claims before have landed: all of a transaction do, or none
        let mut projected = (*part.account).clone();
        while let Some(part) = parts.get_mut(at)
            && let Some(claim) = part.claims.front()
        {
            let (authority, record) = (&claim.authority, &claim.record);
            let owed = match decide(&projected, authority, record.seq, record.spent, part.urgency, now) {
                Decision::Settle { owed } => owed,
                // the room is taken by this transaction; it will be seen what it has really taken
                Decision::Wait { code: Code::RateExceeded, .. } if pack.iter().any(|one| one.part == at) => {
                    break;
                }
                Decision::Wait { until, code } => {
                    part.collected.wait_until(until, code);
                    part.claims.pop_front();
                    continue;
                }
                Decision::Nothing => {
                    part.claims.pop_front();
                    continue;
                }
            };
            if part.left == 0 {
                part.collected.more = true;
                part.claims.clear();
                break;
            }
            let (is_alone, booked) = (claim.alone, authority.settle(&projected, record.seq, owed, now));
            if is_alone && !pack.is_empty() {
                break;
            }
            let Some(claim) = part.claims.pop_front() else { break };
            pack.push(Packed { part: at, claim, owed });
            if pack.len() > 1 && !fits(parts, sender, &pack, create_payout) {
                if let (Some(last), Some(part)) = (pack.pop(), parts.get_mut(at)) {
                    part.claims.push_front(last.claim);
                }
                return pack;
            }
            if let Some(part) = parts.get_mut(at) {
                part.left = part.left.saturating_sub(1);
            }
            if is_alone {
                return pack;
            }
            let Ok(booked) = booked else { break };
            (projected.books.claimed, projected.books.window) = (booked.claimed, booked.window);
        }
    }
    pack
}

/// The claims of a pack with their channels.
pub(super) fn settling<'a>(parts: &'a [Part], pack: &'a [Packed]) -> Vec<Settling<'a>> {
    let with_channel = pack.iter().filter_map(|one| {
        let part = parts.get(one.part)?;
        let channel = part.book.incarnation.channel;
        Some(Settling { channel, account: &part.account, claim: &one.claim, owed: one.owed })
    });
    with_channel.collect()
}

fn fits(parts: &[Part], sender: &Sender, pack: &[Packed], create_payout: bool) -> bool {
    sender.settle(&settling(parts, pack), create_payout).fits()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_grace_runs_a_transaction_is_shared_with_graces_only_and_with_none_that_is_soon_over() {
        let now = 1_000;
        let (soon, late, later) = (Some(now + 359), Some(now + 360), Some(now + 9_999));
        assert!(may_share(None, None, now) && may_share(late, later, now) && may_share(later, late, now));
        for other in [None, soon, late, later, Some(now - 1)] {
            assert!(!may_share(soon, other, now) && !may_share(other, soon, now), "{other:?}");
        }
        assert!(!may_share(None, later, now) && !may_share(later, None, now));
    }
}
