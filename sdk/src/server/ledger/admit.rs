use amp_protocol::account::ChannelAccount;
use amp_protocol::ed25519_instruction::SignatureBytes;
use amp_protocol::money::{Amount, Seq};
use amp_protocol::rules::settleable_from;

use super::account::{ChannelLedger, SignerAccount, SignerId, SignerRecord};

/// A credential whose signature was verified, and the price of what it is for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    pub(crate) signer: SignerId,
    pub(crate) seq: Seq,
    pub(crate) sig: SignatureBytes,
    /// Zero: it raises the ceiling and nothing else.
    pub(crate) price: Amount,
}

/// An admitted request: its price is set aside until it is charged or released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reservation {
    pub(crate) signer: SignerId,
    pub(crate) seq: Seq,
    pub(crate) price: Amount,
}

/// Why a request is not admitted. Nothing has changed then: neither is its seq used, nor its
/// credential kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Service has stopped for this channel.
    Stopped,
    /// The seq was used, or is too old to know.
    SeqUsed { last_seq: Seq },
    /// The credential authorizes more than there is: nothing above the deposit could be claimed.
    CeilingAboveDeposit { balance: Amount, highest_seq: Seq },
    /// The deposit does not cover the price.
    Balance { price: Amount, balance: Amount, required_seq: Seq },
    /// The credential does not authorize the price.
    Ceiling { price: Amount, required_seq: Seq },
    /// It could not be claimed in time. `fits` says whether it ever can.
    Rate { price: Amount, retry_after: u64, fits: bool },
}

/// What may change a refusal, before the client does anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// Nothing.
    None,
    /// A newer look at the channel.
    Look,
    /// The chain's time: the next window may have begun. A settlement can't help, see [`check_rate`].
    Time,
}

impl Refusal {
    pub(crate) fn remedy(&self) -> Remedy {
        match self {
            Self::Stopped | Self::SeqUsed { .. } | Self::Ceiling { .. } => Remedy::None,
            Self::CeilingAboveDeposit { .. } | Self::Balance { .. } => Remedy::Look,
            Self::Rate { .. } => Remedy::Time,
        }
    }
}

impl ChannelLedger {
    /// Admits a request at `now` (Unix seconds of the chain), or says which bound it would pass:
    ///
    /// - its seq was never used;
    /// - `spent + reserved + price` of all signers is at most the deposit;
    /// - that of its signer is at most the highest accepted ceiling, this credential's included;
    /// - what is not claimed yet, `price` included, fits what may still be claimed in this window:
    ///   a service that keeps to this can always collect.
    pub(crate) fn admit(
        &mut self,
        account: &ChannelAccount,
        request: &Request,
        seq_window: u32,
        now: i64,
    ) -> Result<Reservation, Refusal> {
        if self.stopped_at.is_some() {
            return Err(Refusal::Stopped);
        }
        let Ok(unit_price) = account.terms.unit_price() else { return Err(Refusal::Stopped) };
        let known = self.signers.get(&request.signer).cloned();
        let mut signer = known.unwrap_or_else(|| SignerAccount {
            live: SignerRecord::new(request.signer, account.signer.claimed, unit_price, seq_window),
            committed: None,
            reserved: Amount::ZERO,
        });
        // a store that was set back knows of less than the chain has paid for: that is not served again
        if request.signer == SignerId::authorized(account) {
            signer.live.spent = signer.live.spent.max(account.signer.claimed);
        }
        if !signer.live.replay.is_fresh(request.seq) {
            return Err(Refusal::SeqUsed { last_seq: signer.live.replay.last() });
        }
        let reserved = self.check_money(account, &signer, request, now)?;
        let Some(in_flight) = self.in_flight.checked_add(1) else { return Err(Refusal::Stopped) };
        signer.reserved = reserved;
        signer.live.replay.accept(request.seq);
        if signer.live.seq_start.is_zero() {
            signer.live.seq_start = request.seq;
        }
        if request.seq > signer.live.seq {
            (signer.live.seq, signer.live.sig) = (request.seq, request.sig);
        }
        self.signers.insert(request.signer, signer);
        self.in_flight = in_flight;
        Ok(Reservation { signer: request.signer, seq: request.seq, price: request.price })
    }

    /// Holds the request against deposit, ceiling and rate; returns the signer's new reserved total.
    fn check_money(
        &self,
        account: &ChannelAccount,
        signer: &SignerAccount,
        request: &Request,
        now: i64,
    ) -> Result<Amount, Refusal> {
        let (price, deposited) = (request.price, account.books.deposited);
        let Ok(unit_price) = account.terms.unit_price() else { return Err(Refusal::Stopped) };
        let own = signer.live.spent.checked_add(signer.reserved);
        let others = self.spent_and_reserved_by_others(&request.signer);
        let others_used = others.and_then(|(spent, reserved)| spent.checked_add(reserved));
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
        if price > balance {
            return Err(Refusal::Balance { price, balance, required_seq });
        }
        if !unit_price.ceiling(request.seq.max(signer.live.seq)).covers(wanted) {
            return Err(Refusal::Ceiling { price, required_seq });
        }
        let refused = Refusal::Balance { price, balance, required_seq };
        let wanted_by_all = others_used.and_then(|others| wanted.checked_add(others)).ok_or(refused)?;
        check_rate(account, price, wanted_by_all, now)?;
        signer.reserved.checked_add(price).ok_or(refused)
    }
}

/// `wanted`: spent and reserved by all signers, the price included.
fn check_rate(account: &ChannelAccount, price: Amount, wanted: Amount, now: i64) -> Result<(), Refusal> {
    let (terms, books) = (&account.terms, &account.books);
    let limit = terms.rate_limit();
    let interval = terms.settle_interval;
    let unclaimed = wanted.checked_sub(books.claimed).unwrap_or(Amount::ZERO);
    let refuse = |until: i64, fits| {
        let retry_after = u64::try_from(until.saturating_sub(now)).unwrap_or_default().max(1);
        Err(Refusal::Rate { price, retry_after, fits })
    };
    let Ok(window) = books.window.at(now, interval) else { return refuse(now, true) };
    if unclaimed <= window.allowance(limit) {
        return Ok(());
    }
    let next = window.ends_at(interval);
    // settling within a window frees nothing in it: claim and allowance shrink together. So what is
    // unclaimed when the next one begins weighs on that one, unless it can be settled before.
    if price > limit {
        refuse(next, false)
    } else if unclaimed <= limit || settleable_from(&account.signer, interval) < next {
        refuse(next, true)
    } else {
        refuse(next.saturating_add(i64::from(interval)), true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::testing::{channel_account, signer_id};

    const NOW: i64 = 1_000;

    fn request(seq: u64, price: u64) -> Request {
        Request { signer: signer_id(), seq: Seq::new(seq), sig: [seq as u8; 64], price: Amount::new(price) }
    }

    fn admit(
        ledger: &mut ChannelLedger,
        account: &ChannelAccount,
        seq: u64,
        price: u64,
    ) -> Result<(), Refusal> {
        ledger.admit(account, &request(seq, price), 64, NOW).map(drop)
    }

    /// Deposit 1000, unit price 10, rate limit 500 each 60 s, opened at `NOW`.
    fn account() -> ChannelAccount {
        let mut account = channel_account();
        account.books.deposited = Amount::new(1_000);
        account.books.window.started_at = NOW;
        account.signer.last_settled_at = NOW;
        account.terms.unit_price = 10;
        account.terms.rate_limit = 500;
        account.terms.settle_interval = 60;
        account
    }

    #[test]
    fn the_ceiling_bounds_what_is_reserved_and_names_the_seq_that_would_do() {
        let mut ledger = ChannelLedger::default();
        assert_eq!(admit(&mut ledger, &account(), 2, 20), Ok(()));
        let refused = Refusal::Ceiling { price: Amount::new(11), required_seq: Seq::new(4) };
        assert_eq!(admit(&mut ledger, &account(), 3, 11), Err(refused));
        assert_eq!(admit(&mut ledger, &account(), 4, 11), Ok(()));
    }

    #[test]
    fn a_lower_seq_in_parallel_is_paid_from_the_higher_ceiling() {
        let mut ledger = ChannelLedger::default();
        assert_eq!(admit(&mut ledger, &account(), 2, 10), Ok(()));
        assert_eq!(admit(&mut ledger, &account(), 1, 10), Ok(()));
        let highest = &ledger.signer(&signer_id()).unwrap().live;
        assert_eq!((highest.seq, highest.sig, highest.seq_start), (Seq::new(2), [2; 64], Seq::new(2)));
    }

    #[test]
    fn a_used_seq_is_refused_with_the_last_one() {
        let mut ledger = ChannelLedger::default();
        assert_eq!(admit(&mut ledger, &account(), 5, 10), Ok(()));
        assert_eq!(admit(&mut ledger, &account(), 5, 10), Err(Refusal::SeqUsed { last_seq: Seq::new(5) }));
        assert_eq!(admit(&mut ledger, &account(), 0, 0), Err(Refusal::SeqUsed { last_seq: Seq::new(5) }));
    }

    #[test]
    fn a_ceiling_above_the_deposit_burns_nothing() {
        let mut ledger = ChannelLedger::default();
        let above = Refusal::CeilingAboveDeposit { balance: Amount::new(1_000), highest_seq: Seq::new(100) };
        for seq in [101, u64::MAX, (1 << 63) / 5] {
            assert_eq!(admit(&mut ledger, &account(), seq, 10), Err(above));
        }
        assert_eq!(admit(&mut ledger, &account(), 100, 10), Ok(()));
    }

    #[test]
    fn the_deposit_bounds_all_signers_together() {
        let mut account = account();
        account.terms.rate_limit = 1_000;
        let mut ledger = ChannelLedger::default();
        let other = Request { signer: SignerId { key: [77; 32], epoch: 5 }, ..request(60, 600) };
        assert!(ledger.admit(&account, &other, 64, NOW).is_ok());
        let short = Refusal::Balance {
            price: Amount::new(401),
            balance: Amount::new(400),
            required_seq: Seq::new(41),
        };
        assert_eq!(admit(&mut ledger, &account, 41, 401), Err(short));
        assert_eq!(admit(&mut ledger, &account, 40, 400), Ok(()));
    }

    #[test]
    fn what_could_not_be_claimed_in_this_window_waits_for_the_next() {
        let mut ledger = ChannelLedger::default();
        assert_eq!(admit(&mut ledger, &account(), 50, 500), Ok(()));
        // settleable only when the next window has begun, which those 500 will fill
        let refused = Refusal::Rate { price: Amount::new(1), retry_after: 120, fits: true };
        assert_eq!(admit(&mut ledger, &account(), 51, 1), Err(refused));
        let settled_before = ChannelAccount {
            signer: amp_protocol::rules::SignerBooks { last_settled_at: NOW - 30, ..account().signer },
            ..account()
        };
        let refused = Refusal::Rate { price: Amount::new(1), retry_after: 60, fits: true };
        assert_eq!(admit(&mut ledger, &settled_before, 51, 1), Err(refused));
        let never = Refusal::Rate { price: Amount::new(501), retry_after: 60, fits: false };
        assert_eq!(admit(&mut ChannelLedger::default(), &account(), 51, 501), Err(never));
    }

    #[test]
    fn a_settlement_frees_the_next_window_and_not_its_own() {
        let mut ledger = ChannelLedger::default();
        assert_eq!(admit(&mut ledger, &account(), 50, 500), Ok(()));
        let mut settled = account();
        (settled.books.claimed, settled.books.window.claimed) = (Amount::new(500), Amount::new(500));
        assert!(matches!(admit(&mut ledger, &settled, 51, 1), Err(Refusal::Rate { .. })));
        assert!(ledger.admit(&settled, &request(51, 1), 64, NOW + 60).is_ok());
    }

    #[test]
    fn a_lost_store_goes_on_from_what_the_chain_has_paid() {
        let mut account = account();
        account.signer.claimed = Amount::new(95);
        account.books.claimed = Amount::new(95);
        let mut ledger = ChannelLedger::default();
        assert_eq!(admit(&mut ledger, &account, 10, 5), Err(Refusal::SeqUsed { last_seq: Seq::new(10) }));
        assert_eq!(admit(&mut ledger, &account, 11, 15), Ok(()));
        assert_eq!(ledger.spent_total(), Some(Amount::new(95)));
    }

    #[test]
    fn a_store_that_was_set_back_serves_nothing_twice() {
        let mut ledger = ChannelLedger::default();
        assert_eq!(admit(&mut ledger, &account(), 5, 50), Ok(()));
        let mut settled = account();
        (settled.signer.claimed, settled.books.claimed) = (Amount::new(200), Amount::new(200));
        let refused = Refusal::Ceiling { price: Amount::new(10), required_seq: Seq::new(26) };
        assert_eq!(admit(&mut ledger, &settled, 20, 10), Err(refused), "200, and 50 in flight");
        assert_eq!(admit(&mut ledger, &settled, 26, 10), Ok(()));
    }

    #[test]
    fn a_stopped_channel_admits_nothing() {
        let mut ledger = ChannelLedger { stopped_at: Some(1), ..Default::default() };
        assert_eq!(admit(&mut ledger, &account(), 1, 0), Err(Refusal::Stopped));
    }
}
