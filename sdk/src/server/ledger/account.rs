use std::collections::BTreeSet;
use std::sync::Arc;

use amp_protocol::account::ChannelAccount;
use amp_protocol::ed25519_instruction::SignatureBytes;
use amp_protocol::json::{DelegateCredential, SignedCloseStatement};
use amp_protocol::message::{Key, MeteringProof};
use amp_protocol::money::{Amount, Seq, UnitPrice};

use super::admit::Reservation;
use super::authority::{Authority, SignerId};
use super::replay::ReplayWindow;
use super::signers::Signers;

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
    pub(crate) live: Arc<SignerRecord>,
    /// As of the last commit: what may be claimed. The same as `live` until there is a request.
    pub(crate) committed: Option<Arc<SignerRecord>>,
    /// Prices of admitted requests that are not charged yet.
    pub(crate) reserved: Amount,
    /// What the chain is known to have paid on its credentials: it may have paid more.
    pub(super) claimed: Amount,
    /// What the last look saw the chain have paid on them, for whoever watches. Nothing is decided by it.
    pub(super) seen_claimed: Amount,
    /// Unix seconds since when its delegation is not on chain.
    pub(super) missing_since: Option<i64>,
    /// Settlements in a row that failed.
    pub(super) failures: u32,
    /// What it owes can't be collected any more.
    pub(super) given_up: bool,
}

impl SignerAccount {
    /// A signer without a request so far, of whose credentials the chain has paid `claimed`.
    pub(super) fn new(id: SignerId, claimed: Amount, unit_price: UnitPrice, seq_window: u32) -> Self {
        let live = SignerRecord::new(id, claimed, unit_price, seq_window);
        Self::of(Arc::new(live), None, claimed)
    }

    pub(super) fn of(live: Arc<SignerRecord>, committed: Option<Arc<SignerRecord>>, claimed: Amount) -> Self {
        let (reserved, seen_claimed) = (Amount::ZERO, Amount::ZERO);
        let (missing_since, failures, given_up) = (None, 0, false);
        Self { live, committed, reserved, claimed, seen_claimed, missing_since, failures, given_up }
    }

    /// Charges `used` of `set_aside`, which is free otherwise. `is_call`: it is one more.
    pub(super) fn take(&mut self, set_aside: Amount, used: Amount, is_call: bool, now: i64) {
        // admission holds spent + reserved within the deposit, so neither of these can fail
        self.reserved = self.reserved.checked_sub(set_aside).unwrap_or(Amount::ZERO);
        let live = Arc::make_mut(&mut self.live);
        live.spent = live.spent.checked_add(used).unwrap_or(Amount::MAX);
        if live.calls == 0 && is_call {
            live.period_start = now;
        }
        live.calls = live.calls.saturating_add(u64::from(is_call));
        if !used.is_zero() {
            live.period_end = now.max(live.period_start);
        }
        live.revision = live.revision.saturating_add(1);
    }

    /// A store that was set back knows of less than the chain has paid for: that is not served again.
    pub(super) fn note_claimed(&mut self, claimed: Amount) {
        if claimed > self.claimed {
            self.failures = 0;
        }
        self.claimed = self.claimed.max(claimed);
        if claimed > self.live.spent {
            Arc::make_mut(&mut self.live).spent = claimed;
        }
    }
}

/// One incarnation of a channel: all its signers, and whether it is still served.
#[derive(Clone, Debug, Default)]
pub(crate) struct ChannelLedger {
    pub(super) signers: Signers,
    /// Requests admitted by this process and not yet charged, committed or released.
    pub(super) holds: Vec<Reservation>,
    /// Those of other processes on the same store.
    pub(super) elsewhere: Vec<Reservation>,
    /// What the chain had paid out in all when its claims were held against these books, if they were; see
    /// [`Self::note_claims`].
    pub(super) noted_claims: Option<Amount>,
    /// Claimed by delegates of which neither the store nor the chain knows any more.
    pub(super) claimed_by_forgotten: Amount,
    /// Unix seconds since when nothing is admitted.
    pub(crate) stopped_at: Option<i64>,
    /// Nothing is charged any more: the close statement's total is fixed.
    pub(crate) sealed: bool,
    /// The close statement that was given out. Boxed, as nearly all channels are open.
    pub(crate) statement: Option<Box<SignedCloseStatement>>,
}

impl ChannelLedger {
    /// The ledger as it was stored.
    pub(crate) fn restore(
        records: Vec<SignerRecord>,
        stopped_at: Option<i64>,
        statement: Option<SignedCloseStatement>,
    ) -> Self {
        let signers = records.into_iter().map(|mut live| {
            // what a stream had set aside when the process was killed: its client wants a proof of it
            if live.calls == 0 && !live.seq.is_zero() && !live.spent.is_zero() {
                live.calls = 1;
            }
            let id = SignerId { key: live.signer, epoch: live.epoch };
            let live = Arc::new(live);
            let committed = Some(live.clone());
            (id, SignerAccount::of(live, committed, Amount::ZERO))
        });
        let (signers, sealed) = (signers.collect(), stopped_at.is_some());
        // whatever was in flight ended with the process
        let statement = statement.map(Box::new);
        Self { signers, stopped_at, sealed, statement, ..Self::default() }
    }

    /// What each delegate that was charged has signed for, to be shown to the funder at a close.
    pub(crate) fn delegates_credentials(&self, account: &ChannelAccount) -> Vec<DelegateCredential> {
        let authorized = SignerId::authorized(account);
        let delegates = self.signers.iter().filter(|(id, _)| **id != authorized);
        let charged = delegates.filter_map(|(_, signer)| signer.committed.as_ref());
        let signed = charged.filter(|record| !record.seq.is_zero());
        signed
            .map(|record| DelegateCredential {
                delegate: record.signer.into(),
                created_slot: record.epoch,
                seq: record.seq,
                sig: record.sig.into(),
            })
            .collect()
    }

    /// All signers' books.
    pub(crate) fn all_signers(&self) -> impl Iterator<Item = (&SignerId, &SignerAccount)> {
        self.signers.iter()
    }

    /// What streams under way were charged so far: it is part of what their signers have spent.
    pub(crate) fn charged_to_streams(&self) -> Amount {
        let holds = self.holds.iter().chain(&self.elsewhere);
        let mut charged = holds.filter_map(|held| held.metered);
        charged.try_fold(Amount::ZERO, Amount::checked_add).unwrap_or(Amount::MAX)
    }

    /// The keys of all signers.
    pub(crate) fn signer_keys(&self) -> BTreeSet<Key> {
        self.signers.keys().map(|id| id.key).collect()
    }

    /// One signer's books, if it was ever admitted.
    pub(crate) fn signer(&self, id: &SignerId) -> Option<&SignerAccount> {
        self.signers.get(id)
    }

    /// Whether one of the first `most` signers, those of the oldest authority first, verifies with
    /// `check(key, epoch)`.
    pub(crate) fn any_signer(&self, most: usize, check: impl Fn(&Key, u64) -> bool) -> bool {
        let mut ids: Vec<&SignerId> = self.signers.keys().collect();
        ids.sort_by_key(|id| id.epoch);
        ids.into_iter().take(most).any(|id| check(&id.key, id.epoch))
    }

    /// Requests in flight.
    pub(crate) fn in_flight(&self) -> usize {
        self.holds.len().saturating_add(self.elsewhere.len())
    }

    /// Charged to all signers and committed, and at the least what the chain has paid out: the channel
    /// owes that, whatever this store remembers.
    pub(crate) fn owed_total(&self, account: &ChannelAccount) -> Option<Amount> {
        let committed = |signer: &SignerAccount| {
            signer.committed.as_ref().map_or(Amount::ZERO, |committed| committed.spent)
        };
        Some(self.total(account, committed)?.max(account.books.claimed))
    }

    /// Charged to all signers so far.
    pub(crate) fn spent_total(&self, account: &ChannelAccount) -> Option<Amount> {
        self.total(account, |signer| signer.live.spent)
    }

    /// Deposited - spent, all signers.
    pub(crate) fn balance(&self, account: &ChannelAccount) -> Amount {
        let spent = self.spent_total(account).unwrap_or(Amount::MAX).max(account.books.claimed);
        account.books.deposited.checked_sub(spent).unwrap_or(Amount::ZERO)
    }

    /// What a signer can still spend: the balance, and of a delegate at most what its limit leaves.
    pub(crate) fn balance_of(
        &self,
        account: &ChannelAccount,
        id: &SignerId,
        authority: &Authority,
    ) -> Amount {
        let spent = self.signer(id).map_or(Amount::ZERO, |signer| signer.live.spent);
        let spent = spent.max(authority.books().claimed);
        let left = |limit: Amount| limit.checked_sub(spent).unwrap_or(Amount::ZERO);
        self.balance(account).min(authority.limit().map_or(Amount::MAX, left))
    }

    /// The sum of `of` over all signers, of each at least what the chain has paid on its credentials,
    /// also of those that this store knows nothing of; `None` past 64 bits.
    pub(super) fn total(
        &self,
        account: &ChannelAccount,
        of: impl Fn(&SignerAccount) -> Amount,
    ) -> Option<Amount> {
        let claimed = |id, signer| self.known_claims(account, id, signer);
        let known = self.signers.iter().map(|(id, signer)| of(signer).max(claimed(id, signer)));
        let unknown = match self.signers.contains_key(&SignerId::authorized(account)) {
            true => Amount::ZERO,
            false => account.signer.claimed,
        };
        known.chain([unknown, self.claimed_by_forgotten]).try_fold(Amount::ZERO, Amount::checked_add)
    }

    /// What the chain is known to have paid on a signer's credentials. The authorized signer's claims
    /// come from the same look as the channel's.
    pub(super) fn known_claims(
        &self,
        account: &ChannelAccount,
        id: &SignerId,
        signer: &SignerAccount,
    ) -> Amount {
        if *id == SignerId::authorized(account) { account.signer.claimed } else { signer.claimed }
    }
}
