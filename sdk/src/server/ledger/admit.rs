use std::sync::Arc;

use amp_protocol::account::ChannelAccount;
use amp_protocol::ed25519_instruction::SignatureBytes;
use amp_protocol::money::{Amount, Seq};

use super::account::{ChannelLedger, SignerAccount};
use super::authority::{Authority, SignerId};
use crate::server::store::AnswerKey;

/// A credential whose signature was verified, and the price of what it is for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    pub(crate) signer: SignerId,
    pub(crate) authority: Authority,
    pub(crate) seq: Seq,
    pub(crate) sig: SignatureBytes,
    /// Zero: it raises the ceiling and nothing else.
    pub(crate) price: Amount,
    /// The client's name for it, where it must not be done twice.
    pub(crate) key: Option<AnswerKey>,
    /// Its answer leaves bit by bit, and is paid for as it does: see [`ChannelLedger::advance`].
    pub(crate) metered: bool,
}

/// Most requests of a channel that are in flight at once: each is remembered, and stored where processes share
/// the channel.
pub(crate) const MAX_IN_FLIGHT: usize = 1_000;

/// What a service bounds by itself, whatever the channel's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// How many accepted seqs are remembered.
    pub(crate) seq_window: u32,
    /// No delegate begins to owe while more than this many other signers do.
    pub(crate) max_owing: usize,
}

/// An admitted request: its price is set aside until it is charged or released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reservation {
    pub(crate) signer: SignerId,
    pub(crate) seq: Seq,
    pub(crate) price: Amount,
    pub(crate) key: Option<AnswerKey>,
    /// Of a metered request, what was charged so far, in base units; `price` is what it may use beyond. That
    /// is on disk as if it were charged, since what it pays for leaves without asking the disk again.
    pub(crate) metered: Option<Amount>,
}

impl Reservation {
    /// What the request may have used in all once this is used up.
    pub(crate) fn total(&self) -> Amount {
        // admitted within the deposit, so this can't fail
        self.metered.unwrap_or(Amount::ZERO).checked_add(self.price).unwrap_or(Amount::MAX)
    }

    /// Whether this is the same request: its price may have changed since.
    pub(super) fn is_of(&self, other: &Self) -> bool {
        (self.signer, self.seq) == (other.signer, other.seq)
    }
}

/// Why a request is not admitted. Nothing has changed then: neither is its seq used, nor its
/// credential kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Service has stopped for this channel.
    Stopped,
    /// The delegation ended at `at` (Unix seconds): revoked, or expired.
    Ended { at: i64, revoked: bool },
    /// The seq was used, or is too old to know.
    SeqUsed { last_seq: Seq },
    /// The credential authorizes more than there is: nothing above the deposit could be claimed.
    CeilingAboveDeposit { balance: Amount, highest_seq: Seq },
    /// The deposit does not cover the price.
    Balance { price: Amount, balance: Amount, required_seq: Seq },
    /// What is left of the delegate's limit, `left`, does not cover the price.
    DelegateLimit { price: Amount, left: Amount, required_seq: Seq },
    /// The credential does not authorize the price.
    Ceiling { price: Amount, required_seq: Seq },
    /// It could not be claimed in time. `fits` says whether it ever can.
    Rate { price: Amount, retry_after: u64, fits: bool },
    /// A delegate that owes nothing yet would begin to, while `owing` others do already.
    Crowded { price: Amount, owing: usize, retry_after: u64 },
    /// A request with the same key is under way.
    InProgress,
    /// So many requests of the channel are in flight.
    Busy { in_flight: usize },
}

/// What may change a refusal, before the client does anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// Nothing.
    None,
    /// A newer look at the channel, and at the signer's delegation.
    Look,
    /// A newer look at the channel, and at its delegations where one was made since.
    LookForSigner,
    /// The chain's time: the next window may have begun. A settlement can't help, see `check_rate`.
    Time,
}

impl Refusal {
    /// The signer's authority has ended.
    pub(super) fn ended(authority: &Authority, now: i64) -> Self {
        let at = authority.ends_at().unwrap_or(now);
        let revoked = authority.delegation().is_some_and(|found| found.revoked_at == at);
        Self::Ended { at, revoked }
    }

    pub(crate) fn remedy(&self) -> Remedy {
        match self {
            Self::Stopped
            | Self::SeqUsed { .. }
            | Self::Ceiling { .. }
            | Self::Crowded { .. }
            | Self::InProgress
            | Self::Busy { .. } => Remedy::None,
            Self::CeilingAboveDeposit { .. }
            | Self::Balance { .. }
            | Self::DelegateLimit { .. }
            | Self::Ended { .. } => Remedy::Look,
            Self::Rate { .. } => Remedy::Time,
        }
    }
}

impl ChannelLedger {
    /// Admits a request at `now` (Unix seconds of the chain), or says which bound it would pass:
    ///
    /// - its signer's authority has not ended, and its seq was never used;
    /// - `spent + reserved + price` of all signers is at most the deposit;
    /// - that of its signer is at most the highest accepted ceiling, this credential's included, and at
    ///   most a delegate's limit, which the program never lowers;
    /// - what is not claimed yet of all signers, `price` included, fits what may still be claimed in
    ///   this window, which they share: a service that keeps to this can always collect.
    pub(crate) fn admit(
        &mut self,
        account: &ChannelAccount,
        request: &Request,
        limits: &Limits,
        now: i64,
    ) -> Result<Reservation, Refusal> {
        if self.stopped_at.is_some() {
            return Err(Refusal::Stopped);
        }
        if request.authority.has_ended(now) {
            return Err(Refusal::ended(&request.authority, now));
        }
        let Ok(unit_price) = account.terms.unit_price() else { return Err(Refusal::Stopped) };
        let in_flight = self.in_flight();
        if in_flight >= MAX_IN_FLIGHT {
            return Err(Refusal::Busy { in_flight });
        }
        if request.key.is_some() && self.is_under_way(&request.signer, request.key) {
            return Err(Refusal::InProgress);
        }
        self.claims_are_noted(account);
        let claimed = request.authority.books().claimed;
        let known = self.signers.get(&request.signer).cloned();
        let new = || SignerAccount::new(request.signer, claimed, unit_price, limits.seq_window);
        let mut signer = known.unwrap_or_else(new);
        signer.note_claimed(claimed);
        if !signer.live.replay.is_fresh(request.seq) {
            return Err(Refusal::SeqUsed { last_seq: signer.live.replay.last() });
        }
        let reserved = self.check_money(account, &signer, request, limits, now)?;
        signer.reserved = reserved;
        // its authority is live: what was taken for lost is not
        signer.given_up = false;
        let live = Arc::make_mut(&mut signer.live);
        live.replay.accept(request.seq);
        if live.seq_start.is_zero() {
            live.seq_start = request.seq;
        }
        if request.seq > live.seq {
            (live.seq, live.sig) = (request.seq, request.sig);
        }
        self.signers.insert(request.signer, signer);
        let Request { signer, seq, price, key, metered, .. } = *request;
        let metered = metered.then_some(Amount::ZERO);
        let reservation = Reservation { signer, seq, price, key, metered };
        self.holds.push(reservation);
        Ok(reservation)
    }

    /// Whether a request of the signer's with this key is in flight, here or at another process.
    fn is_under_way(&self, id: &SignerId, key: Option<AnswerKey>) -> bool {
        self.holds.iter().chain(&self.elsewhere).any(|held| held.signer == *id && held.key == key)
    }

    /// Holds the request against deposit, limit, ceiling and rate; returns the signer's new reserved
    /// total.
    pub(super) fn check_money(
        &self,
        account: &ChannelAccount,
        signer: &SignerAccount,
        request: &Request,
        limits: &Limits,
        now: i64,
    ) -> Result<Amount, Refusal> {
        let (price, deposited) = (request.price, account.books.deposited);
        let Ok(unit_price) = account.terms.unit_price() else { return Err(Refusal::Stopped) };
        let own = signer.live.spent.checked_add(signer.reserved);
        let others_used = self.used_by_others(account, &request.signer);
        let used = own.zip(others_used).and_then(|(own, others)| own.checked_add(others));
        let balance = used.and_then(|used| deposited.checked_sub(used)).unwrap_or(Amount::ZERO);

        let covered = unit_price.ceiling(request.seq).amount().is_some_and(|ceiling| ceiling <= deposited);
        if !covered {
            let highest_seq = deposited.get().checked_div(unit_price.get()).unwrap_or_default();
            return Err(Refusal::CeilingAboveDeposit { balance, highest_seq: Seq::new(highest_seq) });
        }
        if price.is_zero() {
            return Ok(signer.reserved);
        }
        let wanted = own.and_then(|own| own.checked_add(price)).unwrap_or(Amount::MAX);
        let required_seq = unit_price.seq_covering(wanted);
        if let Some(limit) = request.authority.limit().filter(|limit| wanted > *limit) {
            let left = own.and_then(|own| limit.checked_sub(own)).unwrap_or(Amount::ZERO);
            return Err(Refusal::DelegateLimit { price, left, required_seq });
        }
        if price > balance {
            return Err(Refusal::Balance { price, balance, required_seq });
        }
        if !unit_price.ceiling(request.seq.max(signer.live.seq)).covers(wanted) {
            return Err(Refusal::Ceiling { price, required_seq });
        }
        let refused = Refusal::Balance { price, balance, required_seq };
        let wanted_by_all = others_used.and_then(|others| wanted.checked_add(others)).ok_or(refused)?;
        self.check_rate(account, signer, request, wanted_by_all, now)?;
        self.check_crowd(account, signer, request, limits)?;
        signer.reserved.checked_add(price).ok_or(refused)
    }

    /// Spent and reserved by all signers but for the one given.
    fn used_by_others(&self, account: &ChannelAccount, id: &SignerId) -> Option<Amount> {
        let authorized = SignerId::authorized(account);
        let own = match self.signers.get(id) {
            Some(own) => own.live.spent.max(self.known_claims(account, id, own)),
            None if *id == authorized => account.signer.claimed,
            None => Amount::ZERO,
        };
        let mut reserved =
            self.signers.iter().filter(|(other, _)| *other != id).map(|(_, other)| other.reserved);
        let reserved = reserved.try_fold(Amount::ZERO, Amount::checked_add)?;
        self.spent_total(account)?.checked_sub(own)?.checked_add(reserved)
    }
}
