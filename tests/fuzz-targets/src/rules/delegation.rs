use amp_protocol::money::{Amount, Seq};
use amp_protocol::rejection::Rejection;
use amp_protocol::rules::{Books, Delegation, Terms};

use super::settlement::Claim;
use super::{at_most_the_last_second, wide};
use crate::Verdict;
use crate::input::Input;

/// All that can become of a delegation: begun, changed, revoked, settled.
pub fn rules_delegation(bytes: &[u8]) -> Verdict {
    let mut input = Input::new(bytes);
    let (delegation, now) = (input.delegation(), input.time());
    let (limit, expires_at) = (input.amount(), input.time());
    begins(limit, expires_at, now);
    changes(&delegation, limit, expires_at, now);
    revokes(&delegation, now);
    let (terms, books) = (input.terms(), input.books());
    settles(&delegation, &terms, &books, Seq::new(input.number()), input.amount(), now)
}

fn begins(limit: Amount, expires_at: i64, now: i64) {
    let lasts = expires_at == 0 || expires_at > now;
    match Delegation::begin(limit, expires_at, now) {
        Ok(begun) => {
            assert!(!limit.is_zero() && lasts);
            assert_eq!((begun.limit, begun.expires_at, begun.revoked_at), (limit, expires_at, 0));
            assert_eq!((begun.signer.claimed, begun.signer.last_settled_at), (Amount::ZERO, now));
            assert!(!begun.has_ended(now) && !begun.is_over(0, now));
        }
        Err(Rejection::ZeroAmount) => assert!(limit.is_zero()),
        Err(Rejection::ExpiryInPast) => assert!(!lasts),
        Err(other) => panic!("{other:?}"),
    }
}

fn changes(delegation: &Delegation, limit: Amount, expires_at: i64, now: i64) {
    let lasts = expires_at == 0 || expires_at > now;
    match delegation.change(limit, expires_at, now) {
        Ok(changed) => {
            assert!(!limit.is_zero() && lasts && limit >= delegation.limit && delegation.revoked_at == 0);
            assert_eq!(changed, Delegation { limit, expires_at, ..*delegation });
            assert!(!changed.has_ended(now));
        }
        Err(Rejection::DelegateRevoked) => assert_ne!(delegation.revoked_at, 0),
        Err(Rejection::ZeroAmount) => assert!(limit.is_zero()),
        Err(Rejection::ExpiryInPast) => assert!(!lasts),
        Err(Rejection::LimitLowered) => assert!(limit < delegation.limit),
        Err(other) => panic!("{other:?}"),
    }
}

fn revokes(delegation: &Delegation, now: i64) {
    match delegation.revoke(now) {
        Ok(revoked) => {
            assert!(delegation.revoked_at == 0 && now > 0);
            assert_eq!(revoked, Delegation { revoked_at: now, ..*delegation });
            assert!(revoked.has_ended(now), "nothing new from this second on");
            assert!(revoked.change(Amount::MAX, 0, now).is_err() && revoked.revoke(now).is_err());
        }
        Err(Rejection::AlreadyRevoked) => assert_ne!(delegation.revoked_at, 0),
        Err(Rejection::ClockOutOfRange) => assert!(now <= 0),
        Err(other) => panic!("{other:?}"),
    }
}

fn settles(
    delegation: &Delegation,
    terms: &Terms,
    books: &Books,
    seq: Seq,
    owed: Amount,
    now: i64,
) -> Verdict {
    let ends = [delegation.expires_at, delegation.revoked_at].into_iter().filter(|time| *time != 0).min();
    assert_eq!(delegation.ends_at(), ends);
    assert_eq!(delegation.has_ended(now), ends.is_some_and(|end| now >= end));
    let last = ends.map(|end| at_most_the_last_second(i128::from(end) + i128::from(terms.close_grace)));
    assert_eq!(delegation.collectable_until(terms.close_grace).map(i128::from), last);
    let over = last.is_some_and(|last| i128::from(now) > last);
    assert_eq!(delegation.is_over(terms.close_grace, now), over);

    let outcome = delegation.settle(terms, books, seq, owed, now);
    match outcome {
        Err(Rejection::OwedAboveLimit) => assert!(wide(owed) > wide(delegation.limit)),
        Err(Rejection::DelegationOver) => assert!(over),
        _ => {
            assert!(owed <= delegation.limit && !over);
            let claim = Claim { terms: *terms, books: *books, signer: delegation.signer, seq, owed, now };
            claim.check(&outcome, !delegation.has_ended(now));
        }
    }
    Verdict::of(&outcome)
}
