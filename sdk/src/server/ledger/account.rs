use std::collections::BTreeMap;

use amp_protocol::account::ChannelAccount;
use amp_protocol::ed25519_instruction::SignatureBytes;
use amp_protocol::json::SignedCloseStatement;
use amp_protocol::message::{Key, MeteringProof};
use amp_protocol::money::{Amount, Seq, UnitPrice};

use super::replay::ReplayWindow;

/// A signer in one epoch of its authority: an authority made anew starts new books.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SignerId {
    pub(crate) key: Key,
    pub(crate) epoch: u64,
}

impl SignerId {
    /// The channel's authorized signer.
    pub(crate) fn authorized(account: &ChannelAccount) -> Self {
        Self { key: account.authorized_signer, epoch: account.opened_slot }
    }
}

/// What is stored of one signer: enough to claim what it owes and to refuse what it used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignerRecord {
    /// The signer.
    pub signer: Key,
    /// The slot in which its authority was created.
    pub epoch: u64,
    /// Counts the changes. Of two records of a signer the one with the higher revision holds all
    /// that the other does.
    pub revision: u64,
    /// The highest accepted seq: its ceiling covers `spent`. 0: none yet.
    pub seq: Seq,
    /// The signature over it.
    pub sig: SignatureBytes,
    /// The first accepted seq.
    pub seq_start: Seq,
    /// Charged so far, in base units.
    pub spent: Amount,
    /// Charged calls.
    pub calls: u64,
    /// Unix seconds of the first charged call.
    pub period_start: i64,
    /// Unix seconds of the last charged call.
    pub period_end: i64,
    /// The used seqs.
    pub replay: ReplayWindow,
}

impl SignerRecord {
    /// A signer that was not seen before. What the chain says was claimed was spent, and took a
    /// credential: so a service whose store was lost goes on from there.
    pub(crate) fn new(id: SignerId, claimed: Amount, unit_price: UnitPrice, seq_window: u32) -> Self {
        Self {
            signer: id.key,
            epoch: id.epoch,
            revision: 0,
            seq: Seq::ZERO,
            sig: [0; 64],
            seq_start: Seq::ZERO,
            spent: claimed,
            calls: 0,
            period_start: 0,
            period_end: 0,
            replay: ReplayWindow::new(seq_window, unit_price.seq_covering(claimed)),
        }
    }

    /// The receipt over this record, or `None` before the first charged call.
    pub(crate) fn metering_proof(&self, channel: Key) -> Option<MeteringProof> {
        (self.calls > 0).then_some(MeteringProof {
            channel,
            epoch: self.epoch,
            signer: self.signer,
            owed: self.spent,
            calls: self.calls,
            period_start: self.period_start,
            period_end: self.period_end,
            seq_start: self.seq_start,
            seq_end: self.seq,
        })
    }
}

/// One signer's books.
#[derive(Clone, Debug)]
pub(crate) struct SignerAccount {
    /// As of now.
    pub(crate) live: SignerRecord,
    /// As of the last commit: what may be claimed.
    pub(crate) committed: Option<SignerRecord>,
    /// Prices of admitted requests that are not charged yet.
    pub(crate) reserved: Amount,
}

/// One incarnation of a channel: all its signers, and whether it is still served.
#[derive(Debug, Default)]
pub(crate) struct ChannelLedger {
    pub(super) signers: BTreeMap<SignerId, SignerAccount>,
    /// Requests admitted and not yet charged, committed or released.
    pub(super) in_flight: u64,
    /// Unix seconds since when nothing is admitted.
    pub(crate) stopped_at: Option<i64>,
    /// Nothing is charged any more: the close statement's total is fixed.
    pub(crate) sealed: bool,
    /// The close statement that was given out.
    pub(crate) statement: Option<SignedCloseStatement>,
}

impl ChannelLedger {
    /// The ledger as it was stored.
    pub(crate) fn restore(
        records: Vec<SignerRecord>,
        stopped_at: Option<i64>,
        statement: Option<SignedCloseStatement>,
    ) -> Self {
        let signers = records.into_iter().map(|live| {
            let id = SignerId { key: live.signer, epoch: live.epoch };
            (id, SignerAccount { committed: Some(live.clone()), live, reserved: Amount::ZERO })
        });
        // whatever was in flight ended with the process
        Self { signers: signers.collect(), in_flight: 0, stopped_at, sealed: stopped_at.is_some(), statement }
    }

    /// One signer's books, if it was ever admitted.
    pub(crate) fn signer(&self, id: &SignerId) -> Option<&SignerAccount> {
        self.signers.get(id)
    }

    /// Whether any signer verifies with `check(key, epoch)`.
    pub(crate) fn any_signer(&self, check: impl Fn(&Key, u64) -> bool) -> bool {
        self.signers.keys().any(|id| check(&id.key, id.epoch))
    }

    /// Requests in flight.
    pub(crate) fn in_flight(&self) -> u64 {
        self.in_flight
    }

    /// What every signer may be claimed for.
    pub(crate) fn committed(&self) -> impl Iterator<Item = &SignerRecord> {
        self.signers.values().filter_map(|account| account.committed.as_ref())
    }

    /// Charged to all signers and committed. `claimed` is what the chain paid out already: the
    /// channel owes at least that, whatever this store remembers.
    pub(crate) fn owed_total(&self, claimed: Amount) -> Option<Amount> {
        Some(total(self.committed().map(|record| record.spent))?.max(claimed))
    }

    /// Charged to all signers but for the one given.
    pub(super) fn spent_and_reserved_by_others(&self, id: &SignerId) -> Option<(Amount, Amount)> {
        let others = || self.signers.iter().filter(|(other, _)| *other != id).map(|(_, account)| account);
        Some((total(others().map(|a| a.live.spent))?, total(others().map(|a| a.reserved))?))
    }

    /// Charged to all signers so far.
    pub(crate) fn spent_total(&self) -> Option<Amount> {
        total(self.signers.values().map(|account| account.live.spent))
    }
}

/// The sum, or `None` past 64 bits.
fn total(amounts: impl Iterator<Item = Amount>) -> Option<Amount> {
    amounts.into_iter().try_fold(Amount::ZERO, Amount::checked_add)
}
