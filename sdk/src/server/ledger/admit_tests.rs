//! Each bound of an admission, broken.

use amp_protocol::account::ChannelAccount;
use amp_protocol::money::{Amount, Seq};
use amp_protocol::rules::Delegation;

use super::{Authority, ChannelLedger, Refusal, Request, SignerId};
use crate::server::testing::{LIMITS, channel_account, signer_id};

const NOW: i64 = 1_000;

/// The authorized signer's.
fn request(account: &ChannelAccount, seq: u64, price: u64) -> Request {
    let (signer, authority) = (SignerId::authorized(account), Authority::channel(account));
    Request {
        signer,
        authority,
        seq: Seq::new(seq),
        sig: [seq as u8; 64],
        price: Amount::new(price),
        key: None,
        metered: false,
    }
}

fn admit(ledger: &mut ChannelLedger, account: &ChannelAccount, seq: u64, price: u64) -> Result<(), Refusal> {
    ledger.admit(account, &request(account, seq, price), &LIMITS, NOW).map(drop)
}

/// Made at `NOW`, never expires.
fn delegation(limit: u64) -> Delegation {
    Delegation::begin(Amount::new(limit), 0, NOW).unwrap()
}

fn delegate(key: u8) -> SignerId {
    SignerId { key: [key; 32], epoch: 10 }
}

fn delegated(key: u8, delegation: Delegation, seq: u64, price: u64) -> Request {
    let (signer, authority) = (delegate(key), Authority::Delegation(delegation));
    Request { signer, authority, ..request(&account(), seq, price) }
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
    let other = delegated(77, delegation(600), 60, 600);
    assert!(ledger.admit(&account, &other, &LIMITS, NOW).is_ok());
    let short =
        Refusal::Balance { price: Amount::new(401), balance: Amount::new(400), required_seq: Seq::new(41) };
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
    assert!(ledger.admit(&settled, &request(&settled, 51, 1), &LIMITS, NOW + 60).is_ok());
}

#[test]
fn a_lost_store_goes_on_from_what_the_chain_has_paid() {
    let mut account = account();
    account.signer.claimed = Amount::new(95);
    account.books.claimed = Amount::new(95);
    let mut ledger = ChannelLedger::default();
    assert_eq!(admit(&mut ledger, &account, 10, 5), Err(Refusal::SeqUsed { last_seq: Seq::new(10) }));
    assert_eq!(admit(&mut ledger, &account, 11, 15), Ok(()));
    assert_eq!(ledger.spent_total(&account), Some(Amount::new(95)));
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
fn a_delegate_is_refused_at_its_limit_and_others_are_not() {
    let mut ledger = ChannelLedger::default();
    let mut admit_by = |key, limit, seq, price| {
        ledger.admit(&account(), &delegated(key, delegation(limit), seq, price), &LIMITS, NOW)
    };
    assert!(admit_by(7, 50, 9, 40).is_ok());
    let short =
        Refusal::DelegateLimit { price: Amount::new(11), left: Amount::new(10), required_seq: Seq::new(6) };
    assert_eq!(admit_by(7, 50, 10, 11), Err(short), "a ceiling of 100 is no limit of 100");
    assert!(admit_by(8, 50, 9, 50).is_ok(), "each delegate has its own limit, and its own seqs");
    assert!(admit_by(7, 51, 10, 11).is_ok(), "the limit was raised");
    assert_eq!(admit(&mut ledger, &account(), 20, 200), Ok(()));
}

#[test]
fn a_delegate_spends_until_the_second_of_its_end_and_learns_how_it_ended() {
    let mut ledger = ChannelLedger::default();
    let expiring = Delegation { expires_at: NOW + 30, ..delegation(50) };
    let revoked = expiring.revoke(NOW + 20).unwrap();
    let mut at = |delegation, seq, now| {
        ledger.admit(&account(), &delegated(7, delegation, seq, 10), &LIMITS, now).map(drop)
    };
    assert_eq!(at(expiring, 1, NOW + 29), Ok(()));
    assert_eq!(at(expiring, 2, NOW + 30), Err(Refusal::Ended { at: NOW + 30, revoked: false }));
    assert_eq!(at(revoked, 2, NOW + 20), Err(Refusal::Ended { at: NOW + 20, revoked: true }));
    let both = Delegation { revoked_at: NOW + 40, ..expiring };
    assert_eq!(at(both, 2, NOW + 40), Err(Refusal::Ended { at: NOW + 30, revoked: false }));
    let prolonged = Delegation { expires_at: NOW + 90, ..delegation(50) };
    assert_eq!(at(prolonged, 2, NOW + 40), Ok(()), "nothing of the refused ones was kept");
}

#[test]
fn a_delegation_made_anew_begins_new_books() {
    let mut ledger = ChannelLedger::default();
    let first = delegated(7, delegation(50), 5, 50);
    assert!(ledger.admit(&account(), &first, &LIMITS, NOW).is_ok());
    let anew = Request { signer: SignerId { epoch: 11, ..first.signer }, ..first };
    assert!(ledger.admit(&account(), &anew, &LIMITS, NOW).is_ok());
    assert_eq!(ledger.signer(&first.signer).unwrap().reserved, Amount::new(50));
}

#[test]
fn signers_share_the_rate_window() {
    let mut ledger = ChannelLedger::default();
    assert_eq!(admit(&mut ledger, &account(), 30, 300), Ok(()));
    let request = |price| delegated(7, delegation(1_000), 90, price);
    let refused = ledger.admit(&account(), &request(201), &LIMITS, NOW).unwrap_err();
    assert!(matches!(refused, Refusal::Rate { fits: true, .. }), "{refused:?}");
    assert!(ledger.admit(&account(), &request(200), &LIMITS, NOW).is_ok());
    assert!(matches!(admit(&mut ledger, &account(), 31, 1), Err(Refusal::Rate { .. })));
}

#[test]
fn what_another_signer_may_settle_before_the_next_window_shortens_the_wait() {
    let mut ledger = ChannelLedger::default();
    let early = Delegation {
        signer: amp_protocol::rules::SignerBooks { claimed: Amount::ZERO, last_settled_at: NOW - 30 },
        ..delegation(1_000)
    };
    assert!(ledger.admit(&account(), &delegated(7, early, 50, 500), &LIMITS, NOW).is_ok());
    let wait = |refused| match refused {
        Err(Refusal::Rate { retry_after, .. }) => retry_after,
        other => panic!("{other:?}"),
    };
    let own = ledger.admit(&account(), &delegated(7, early, 60, 10), &LIMITS, NOW);
    assert_eq!(wait(own.map(drop)), 60);
    // of the delegate the authorized signer's request does not know
    assert_eq!(wait(admit(&mut ledger, &account(), 1, 10)), 120);
}

#[test]
fn a_stopped_channel_admits_nothing() {
    let mut ledger = ChannelLedger { stopped_at: Some(1), ..Default::default() };
    assert_eq!(admit(&mut ledger, &account(), 1, 0), Err(Refusal::Stopped));
}
