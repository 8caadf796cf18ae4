use super::settlement::{Books, Settlement, SignerBooks, Waiting, book};
use super::terms::Terms;
use crate::money::{Amount, Seq};
use crate::rejection::Rejection;

/// What a delegate may spend, until when, and what it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delegation {
    /// Most that may ever be claimed on the delegate's credentials.
    pub limit: Amount,
    /// What was claimed on them, and when last.
    pub signer: SignerBooks,
    /// Unix seconds; 0: never.
    pub expires_at: i64,
    /// Unix seconds; 0: not revoked.
    pub revoked_at: i64,
}

impl Delegation {
    /// A new delegation. Its first settlement waits for the interval, like a channel's.
    pub fn begin(limit: Amount, expires_at: i64, now: i64) -> Result<Self, Rejection> {
        check_limit_and_expiry(limit, expires_at, now)?;
        let signer = SignerBooks { claimed: Amount::ZERO, last_settled_at: now };
        Ok(Self { limit, signer, expires_at, revoked_at: 0 })
    }

    /// Raises the limit or moves the expiry; what was claimed stays. A lower limit would take back
    /// what a service has already served on. An expiry may move either way: services have the grace.
    pub fn change(&self, limit: Amount, expires_at: i64, now: i64) -> Result<Self, Rejection> {
        if self.revoked_at != 0 {
            return Err(Rejection::DelegateRevoked);
        }
        check_limit_and_expiry(limit, expires_at, now)?;
        if limit < self.limit {
            return Err(Rejection::LimitLowered);
        }
        Ok(Self { limit, expires_at, ..*self })
    }

    /// Stops new spending. Not twice: that would begin the grace anew.
    pub fn revoke(&self, now: i64) -> Result<Self, Rejection> {
        if self.revoked_at != 0 {
            return Err(Rejection::AlreadyRevoked);
        }
        // zero means "not revoked"
        if now <= 0 {
            return Err(Rejection::ClockOutOfRange);
        }
        Ok(Self { revoked_at: now, ..*self })
    }

    /// From when on nothing new may be spent: the expiry or the revocation, whichever came first.
    pub fn ends_at(&self) -> Option<i64> {
        let set = |time: i64| (time != 0).then_some(time);
        match (set(self.expires_at), set(self.revoked_at)) {
            (Some(expiry), Some(revocation)) => Some(expiry.min(revocation)),
            (one, other) => one.or(other),
        }
    }

    /// Whether nothing new may be spent.
    pub fn has_ended(&self, now: i64) -> bool {
        self.ends_at().is_some_and(|end| end <= now)
    }

    /// The last second in which what was signed can be settled.
    pub fn collectable_until(&self, close_grace: u32) -> Option<i64> {
        self.ends_at().map(|end| end.saturating_add(i64::from(close_grace)))
    }

    /// Whether the grace is over too: nothing can be settled, and the account may go.
    pub fn is_over(&self, close_grace: u32, now: i64) -> bool {
        self.collectable_until(close_grace).is_some_and(|until| until < now)
    }

    /// Books a claim of `owed` (cumulative, of this delegate) under its credential with `seq`.
    ///
    /// Holds the limit and the end, then what every settlement holds. Once the delegation has ended
    /// the settle interval is not waited for: one longer than the grace would make what was served
    /// uncollectable.
    pub fn settle(
        &self,
        terms: &Terms,
        books: &Books,
        seq: Seq,
        owed: Amount,
        now: i64,
    ) -> Result<Settlement, Rejection> {
        if owed > self.limit {
            return Err(Rejection::OwedAboveLimit);
        }
        if self.is_over(terms.close_grace, now) {
            return Err(Rejection::DelegationOver);
        }
        let waiting = if self.has_ended(now) { Waiting::Not } else { Waiting::ForInterval };
        book(terms, books, &self.signer, seq, owed, now, waiting)
    }
}

fn check_limit_and_expiry(limit: Amount, expires_at: i64, now: i64) -> Result<(), Rejection> {
    if limit.is_zero() {
        return Err(Rejection::ZeroAmount);
    }
    if expires_at != 0 && expires_at <= now { Err(Rejection::ExpiryInPast) } else { Ok(()) }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;
    use crate::rules::RateWindow;
    use proptest::prelude::*;

    const TERMS: Terms =
        Terms { unit_price: 10, rate_limit: 100, settle_interval: 60, close_grace: 20, max_chain_depth: 0 };
    const BOOKS: Books = Books {
        deposited: Amount::new(500),
        claimed: Amount::ZERO,
        window: RateWindow { started_at: 0, claimed: Amount::ZERO },
        closing: false,
    };

    fn delegation(limit: u64, expires_at: i64) -> Delegation {
        Delegation::begin(Amount::new(limit), expires_at, 0).unwrap()
    }

    fn settle(delegation: Delegation, owed: u64, now: i64) -> Result<u64, Rejection> {
        delegation.settle(&TERMS, &BOOKS, Seq::new(9), Amount::new(owed), now).map(|done| done.payout.get())
    }

    #[test]
    fn a_delegate_is_bound_by_its_limit_and_by_what_binds_every_signer() {
        assert_eq!(settle(delegation(50, 0), 50, 60), Ok(50));
        assert_eq!(settle(delegation(50, 0), 51, 60), Err(Rejection::OwedAboveLimit));
        assert_eq!(settle(delegation(99, 0), 91, 60), Err(Rejection::OwedAboveCeiling));
        assert_eq!(settle(delegation(50, 0), 50, 59), Err(Rejection::SettleEarly));
        assert_eq!(settle(delegation(50, 0), 0, 60), Err(Rejection::OwedNotAboveClaimed));
    }

    #[test]
    fn what_was_signed_is_collectable_to_the_last_second_of_the_grace_and_without_the_interval() {
        assert_eq!(settle(delegation(50, 30), 50, 29), Err(Rejection::SettleEarly));
        assert_eq!(settle(delegation(50, 30), 50, 30), Ok(50));
        assert_eq!(settle(delegation(50, 30), 50, 50), Ok(50));
        assert_eq!(settle(delegation(50, 30), 50, 51), Err(Rejection::DelegationOver));
        let revoked = delegation(50, 0).revoke(10).unwrap();
        assert_eq!(settle(revoked, 50, 10), Ok(50));
        assert_eq!(settle(revoked, 50, 30), Ok(50));
        assert_eq!(settle(revoked, 50, 31), Err(Rejection::DelegationOver));
    }

    #[test]
    fn the_earlier_of_expiry_and_revocation_counts() {
        assert_eq!(delegation(1, 0).ends_at(), None);
        assert_eq!(delegation(1, 30).revoke(10).unwrap().ends_at(), Some(10));
        assert_eq!(delegation(1, 30).revoke(40).unwrap().ends_at(), Some(30));
        assert!(!delegation(1, 0).is_over(0, i64::MAX));
        assert_eq!(delegation(1, i64::MAX).collectable_until(20), Some(i64::MAX));
    }

    #[test]
    fn a_limit_only_rises_and_an_expiry_moves_but_not_into_the_past() {
        let first = delegation(50, 100);
        let change = |limit, expires_at| first.change(Amount::new(limit), expires_at, 40);
        assert_eq!(change(60, 41).unwrap(), Delegation { limit: Amount::new(60), expires_at: 41, ..first });
        assert_eq!(change(50, 0).unwrap().expires_at, 0);
        assert_eq!(change(49, 100), Err(Rejection::LimitLowered));
        assert_eq!(change(50, 40), Err(Rejection::ExpiryInPast));
        assert_eq!(change(0, 100), Err(Rejection::ZeroAmount));
        assert_eq!(Delegation::begin(Amount::ZERO, 0, 0), Err(Rejection::ZeroAmount));
        assert_eq!(Delegation::begin(Amount::new(1), -5, 0), Err(Rejection::ExpiryInPast));
        let revoked = first.revoke(40).unwrap();
        assert_eq!(revoked.change(Amount::new(60), 0, 40), Err(Rejection::DelegateRevoked));
        assert_eq!(revoked.revoke(41), Err(Rejection::AlreadyRevoked));
        assert_eq!(first.revoke(0), Err(Rejection::ClockOutOfRange));
    }

    proptest! {
        #[test]
        fn a_delegation_can_be_closed_exactly_when_nothing_of_it_can_be_settled(
            expires_at in 0..200_i64, revoked_at in 0..200_i64, now in 1..200_i64,
        ) {
            let delegation = Delegation { expires_at, revoked_at, ..delegation(50, 0) };
            let outcome = settle(delegation, 50, now);
            prop_assert_eq!(outcome == Err(Rejection::DelegationOver), delegation.is_over(20, now));
            if delegation.has_ended(now) {
                prop_assert_ne!(outcome, Err(Rejection::SettleEarly));
            }
        }
    }
}
