//! A channel with delegates closes: their spending is in the statement, their rent comes back.

use amp_protocol::json::DelegateCredential;
use amp_protocol::money::{Amount, Seq};

use super::chain::Weather;
use super::*;
use crate::client::{CloseOutcome, Overcharge};

const START: u64 = 1_000_000;
const NOW: i64 = 1_000_000;

/// A funder that paid twice, and an agent with this limit that paid three times.
async fn spent(world: &World, limit: u64) -> (Client, Address, KeypairSigner) {
    let (funder, channel) = world.funded().await;
    let (agent, key) = world.agent(&funder, limit).await;
    for client in [&funder, &agent, &agent, &funder, &agent] {
        world.seq(client).await;
    }
    (funder, channel, key)
}

/// Closes at once, and returns refund and payout.
async fn closed(world: &World, funder: &Client) -> (u64, u64) {
    let outcome = funder.close(&world.service.origin).await.unwrap();
    let CloseOutcome::Closed { refund, payout, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(world.chain.count("request_close"), 0);
    (refund.get(), payout.get())
}

/// Closes against a service whose statement must not be used.
async fn forced(world: &World, funder: &Client) -> ClientError {
    let outcome = funder.close(&world.service.origin).await.unwrap();
    let CloseOutcome::Requested { reason, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(world.chain.count("close_channel"), 0);
    *reason
}

#[tokio::test]
async fn an_honest_statement_with_delegates_closes_at_once_and_their_rent_comes_back() {
    let world = World::new().await;
    let (funder, channel, key) = spent(&world, 1_000).await;
    assert_eq!(closed(&world, &funder).await, (10_000 - 5 * PRICE, 5 * PRICE));
    assert_eq!(world.chain.tokens(&world.funder.public_key()), START - 5 * PRICE);
    assert_eq!(world.chain.delegation(&channel, &key.public_key()), None);
    assert_eq!(world.chain.count("close_delegation"), 1);
    assert_eq!(funder.channels().await.unwrap()[0].committed(), Amount::new(5 * PRICE));
}

#[tokio::test]
async fn a_statement_is_believed_up_to_own_spending_and_what_delegates_are_shown_to_have_signed() {
    // own: two prices; the limit: three prices and 50, three of them signed for
    for (lie, fine) in [(0, true), (1, false)] {
        let world = World::new().await;
        let (funder, ..) = spent(&world, 3 * PRICE + 50).await;
        world.service.lie(|lies| lies.owed = lie);
        if fine {
            assert_eq!(closed(&world, &funder).await.1, 5 * PRICE + lie);
            continue;
        }
        let reason = forced(&world, &funder).await;
        let ClientError::Overcharged {
            overcharge: Overcharge::WithDelegates { total, own, delegated }, ..
        } = reason
        else {
            panic!("{reason}")
        };
        assert_eq!((total.get(), own.get(), delegated.get()), (5 * PRICE + 1, 2 * PRICE, 3 * PRICE));
        // after the grace the funder has everything that was not settled
        world.chain.state().time += 60;
        closed_after_grace(&world, &funder).await;
    }
}

#[tokio::test]
async fn what_delegates_are_not_shown_to_have_signed_is_not_believed() {
    // nothing shown; a credential of another seq; one that is not of this epoch
    for lie in [
        |shown: &mut Vec<DelegateCredential>| shown.clear(),
        |shown: &mut Vec<DelegateCredential>| shown[0].seq = Seq::new(3 * PRICE + 1),
        |shown: &mut Vec<DelegateCredential>| shown[0].created_slot += 1,
    ] {
        let world = World::new().await;
        let (funder, ..) = spent(&world, 1_000).await;
        world.service.lie(|lies| lies.shown = Some(lie));
        let reason = forced(&world, &funder).await;
        let ClientError::Overcharged { overcharge, .. } = &reason else { panic!("{reason}") };
        assert!(matches!(overcharge, Overcharge::Total { .. } | Overcharge::Unsigned { .. }), "{reason}");
    }
}

async fn closed_after_grace(world: &World, funder: &Client) {
    let outcome = funder.close(&world.service.origin).await.unwrap();
    assert!(matches!(outcome, CloseOutcome::Closed { .. }), "{outcome:?}");
    assert_eq!(world.chain.tokens(&world.funder.public_key()), START);
    assert_eq!(world.chain.count("close_delegation"), 1);
}

#[tokio::test]
async fn a_statement_above_the_deposit_is_refused_whatever_the_limits_are() {
    let world = World::new().await;
    let (funder, ..) = spent(&world, 1_000_000).await;
    world.service.lie(|lies| lies.owed = 10_000 - 5 * PRICE + 1);
    let reason = forced(&world, &funder).await;
    assert!(matches!(reason, ClientError::Overcharged { .. }), "{reason}");
}

#[tokio::test]
async fn a_delegation_whose_grace_is_over_counts_with_what_was_claimed() {
    for (time, fine) in [(NOW + 60, true), (NOW + 61, false)] {
        let world = World::new().await;
        let (funder, channel, key) = spent(&world, 1_000).await;
        funder.revoke_delegate(&world.service.origin, &key.public_key()).await.unwrap();
        world.chain.settle_delegate(&channel, &key.public_key(), 2 * PRICE);
        world.chain.state().time = time;
        // the third call of the agent was not settled in time: it can't be collected by a statement either
        if fine {
            assert_eq!(closed(&world, &funder).await, (10_000 - 5 * PRICE, 3 * PRICE));
        } else {
            let reason = forced(&world, &funder).await;
            assert!(matches!(reason, ClientError::Overcharged { .. }), "{reason}");
        }
    }
}

#[tokio::test]
async fn what_a_closed_delegation_was_claimed_for_stays_in_the_statement() {
    let world = World::new().await;
    let (funder, channel, key) = spent(&world, 1_000).await;
    funder.revoke_delegate(&world.service.origin, &key.public_key()).await.unwrap();
    world.chain.settle_delegate(&channel, &key.public_key(), 3 * PRICE);
    world.chain.state().time = NOW + 61;
    funder.close_delegation(&channel, &key.public_key()).await.unwrap();
    assert_eq!(closed(&world, &funder).await, (10_000 - 5 * PRICE, 2 * PRICE));
}

#[tokio::test]
async fn a_delegate_that_another_store_named_is_searched_for_before_a_statement_is_refused() {
    for searchable in [true, false] {
        let world = World::new().await;
        let (funder, ..) = spent(&world, 1_000).await;
        drop(funder);
        let fresh = world.builder().store(world.folder.path().join("new.db")).build().await.unwrap();
        fresh.recover(&world.service.origin).await.unwrap();
        world.chain.state().searchable = searchable;
        if searchable {
            assert_eq!(closed(&world, &fresh).await.1, 5 * PRICE);
        } else {
            assert!(matches!(forced(&world, &fresh).await, ClientError::Overcharged { .. }));
        }
    }
}

#[tokio::test]
async fn a_delegation_that_can_not_be_closed_does_not_spoil_the_close() {
    let world = World::new().await;
    let (funder, channel, key) = spent(&world, 1_000).await;
    let close = funder.close(&world.service.origin);
    let storm = async {
        while world.chain.count("close_channel") == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        world.chain.state().weather = Some(Weather::Refused);
    };
    let (outcome, ()) = tokio::join!(close, storm);
    assert!(matches!(outcome, Ok(CloseOutcome::Closed { .. })), "{outcome:?}");
    assert_eq!(world.states(&funder).await, [ChannelState::Closed]);
    // the rent can still be had
    funder.close_delegation(&channel, &key.public_key()).await.unwrap();
    assert_eq!(world.chain.delegation(&channel, &key.public_key()), None);
}

#[tokio::test]
async fn a_close_in_the_slot_of_a_delegation_waits_for_the_next() {
    let world = World::new().await;
    let (funder, channel) = world.funded().await;
    let made = world.delegate(&funder, &KeypairSigner::generate(), 500).await;
    world.chain.state().slot = made.created_slot;
    assert_eq!(closed(&world, &funder).await, (10_000, 0));
    assert_eq!(world.chain.delegations_of(&channel), []);
}

#[tokio::test]
async fn many_delegations_of_a_closed_channel_are_closed_a_few_at_a_time() {
    let world = World::new().await;
    let (funder, channel) = world.funded().await;
    for _ in 0..11 {
        world.delegate(&funder, &KeypairSigner::generate(), 10).await;
    }
    let sent = world.chain.state().payers.len();
    closed(&world, &funder).await;
    assert_eq!(world.chain.delegations_of(&channel), []);
    assert_eq!(world.chain.count("close_delegation"), 11);
    assert_eq!(world.chain.state().payers.len() - sent, 3, "one that closes, two that sweep");
}

#[tokio::test]
async fn a_channel_that_the_service_closed_refunds_no_more_than_delegates_left() {
    let world = World::new().await;
    let (funder, channel, key) = spent(&world, 1_000).await;
    world.chain.settle_delegate(&channel, &key.public_key(), 3 * PRICE);
    world.chain.remove(&channel);
    let outcome = funder.close(&world.service.origin).await.unwrap();
    assert!(matches!(outcome, CloseOutcome::AlreadyClosed), "{outcome:?}");
    // two prices of its own and the three that were claimed: the budget must not count them as back
    assert_eq!(funder.channels().await.unwrap()[0].committed(), Amount::new(5 * PRICE));
    assert_eq!(world.chain.delegation(&channel, &key.public_key()), None);
}
