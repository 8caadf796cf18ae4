use amp_protocol::money::{Amount, Seq};
use amp_protocol::rejection::Rejection;
use amp_protocol::rules::{Books, Delegation, RateWindow, SignerBooks, Terms};

use crate::domain::every_state;

/// The first second, looked for one by one, in which a delegation with this expiry and revocation has ended.
fn first_second_after_the_end(expires_at: i64, revoked_at: i64, now: i64) -> Option<i64> {
    (-3..=now).find(|second| {
        (expires_at != 0 && *second >= expires_at) || (revoked_at != 0 && *second >= revoked_at)
    })
}

#[test]
fn the_end_and_the_grace_are_counted_by_the_second_in_all_4_608_cases() {
    let states = every_state(|state| {
        let (expires_at, revoked_at) = (state.time(-1, 6), state.time(0, 7));
        let (grace, now) = (state.up_to32(3), state.time(-2, 15));
        let signer = SignerBooks { claimed: Amount::ZERO, last_settled_at: 0 };
        let delegation = Delegation { limit: Amount::new(1), signer, expires_at, revoked_at };
        let ended = first_second_after_the_end(expires_at, revoked_at, now);
        assert_eq!(delegation.has_ended(now), ended.is_some());
        // one second more than the grace has seconds
        let over = ended.is_some_and(|end| (end..now).count() > grace as usize);
        assert_eq!(delegation.is_over(grace, now), over, "{delegation:?} at {now}");
        assert_eq!(delegation.collectable_until(grace).is_none(), expires_at == 0 && revoked_at == 0);
        true
    });
    assert_eq!(states, 4_608);
}

#[test]
fn a_delegation_is_begun_changed_and_revoked_within_its_rules_in_all_10_368_cases() {
    let states = every_state(|state| {
        let (limit, expires_at, now) = (state.up_to(3), state.time(-1, 4), state.time(-1, 4));
        let (old_limit, old_expiry, revoked_at) = (state.up_to(3), state.time(0, 5), state.time(0, 2));
        let signer = SignerBooks { claimed: Amount::new(old_limit / 2), last_settled_at: 0 };
        let old = Delegation { limit: Amount::new(old_limit), signer, expires_at: old_expiry, revoked_at };
        let past = expires_at != 0 && (expires_at..=now).next().is_some();
        let (zero, limit) = (limit == 0, Amount::new(limit));

        let fresh = SignerBooks { claimed: Amount::ZERO, last_settled_at: now };
        let begun = Delegation { limit, signer: fresh, expires_at, revoked_at: 0 };
        let expected = match (zero, past) {
            (true, _) => Err(Rejection::ZeroAmount),
            (_, true) => Err(Rejection::ExpiryInPast),
            _ => Ok(begun),
        };
        assert_eq!(Delegation::begin(limit, expires_at, now), expected);

        let expected = match (revoked_at != 0, zero, past, limit < old.limit) {
            (true, ..) => Err(Rejection::DelegateRevoked),
            (_, true, ..) => Err(Rejection::ZeroAmount),
            (_, _, true, _) => Err(Rejection::ExpiryInPast),
            (.., true) => Err(Rejection::LimitLowered),
            _ => Ok(Delegation { limit, expires_at, ..old }),
        };
        assert_eq!(old.change(limit, expires_at, now), expected);

        let expected = match (revoked_at != 0, now <= 0) {
            (true, _) => Err(Rejection::AlreadyRevoked),
            (_, true) => Err(Rejection::ClockOutOfRange),
            _ => Ok(Delegation { revoked_at: now, ..old }),
        };
        assert_eq!(old.revoke(now), expected);
        true
    });
    assert_eq!(states, 10_368);
}

/// Limit, end, grace and interval around each other; deposit and rate leave room.
#[test]
fn a_delegates_claim_is_held_to_limit_end_and_ceiling_in_all_810_000_cases() {
    let books = Books {
        deposited: Amount::new(50),
        claimed: Amount::new(10),
        window: RateWindow { started_at: 0, claimed: Amount::ZERO },
        closing: false,
    };
    let states = every_state(|state| {
        let (limit, claimed, owed, seq) = (state.up_to(4), state.up_to(4), state.up_to(5), state.up_to(5));
        let (expires_at, revoked_at, now) = (state.time(0, 4), state.time(0, 4), state.time(0, 9));
        let (close_grace, settle_interval) = (state.up_to32(2), 1 + 3 * state.up_to32(1));
        if claimed > limit {
            return false;
        }
        let terms = Terms { unit_price: 1, rate_limit: 40, settle_interval, close_grace, max_chain_depth: 0 };
        let signer = SignerBooks { claimed: Amount::new(claimed), last_settled_at: 0 };
        let delegation = Delegation { limit: Amount::new(limit), signer, expires_at, revoked_at };
        let end = first_second_after_the_end(expires_at, revoked_at, now);
        let over = end.is_some_and(|end| (end..now).count() > close_grace as usize);
        let waits = end.is_none() && (0..now).count() < settle_interval as usize;
        let broken = [
            (owed > limit, Rejection::OwedAboveLimit),
            (over, Rejection::DelegationOver),
            (owed <= claimed, Rejection::OwedNotAboveClaimed),
            (owed > seq, Rejection::OwedAboveCeiling),
            (waits, Rejection::SettleEarly),
        ];
        let broken: Vec<Rejection> =
            broken.into_iter().filter_map(|(broken, rejection)| broken.then_some(rejection)).collect();
        match delegation.settle(&terms, &books, Seq::new(seq), Amount::new(owed), now) {
            Ok(done) => {
                assert!(broken.is_empty(), "{broken:?}");
                assert_eq!((done.payout.get(), done.signer_claimed.get()), (owed - claimed, owed));
                assert_eq!(done.claimed.get(), 10 + owed - claimed);
            }
            Err(rejection) => assert!(broken.contains(&rejection), "{rejection:?}: {broken:?}"),
        }
        true
    });
    assert_eq!(states, 810_000);
}
