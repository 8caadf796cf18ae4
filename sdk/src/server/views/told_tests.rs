//! What the chain tells by itself, against what was read.

use super::tests::{AGE, Numbers, reads, views};
use super::*;
use std::sync::atomic::Ordering;

/// What reads find from now on: 1 + `changes`, in `slot`.
fn chain_is_at(views: &Views<Numbers>, slot: u64, changes: u64) {
    views.source.slot.store(slot, Ordering::SeqCst);
    views.source.changes.store(changes, Ordering::SeqCst);
}

fn tell(views: &Views<Numbers>, slot: u64, changes: u64) {
    views.told(1, Some(Arc::new(changes.saturating_add(1))), slot, false);
}

async fn cached(views: &Views<Numbers>) -> u64 {
    *views.get(1, Freshness::Cached).await.unwrap().unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_is_told_is_seen_without_a_read_and_grows_no_younger_by_it() {
    let views = views();
    chain_is_at(&views, 10, 0);
    assert_eq!(cached(&views).await, 1);
    tokio::time::advance(AGE / 2).await;
    tell(&views, 11, 5);
    assert_eq!((cached(&views).await, reads(&views)), (6, 1));
    // the subscription may have ended since without a word
    chain_is_at(&views, 12, 7);
    tokio::time::advance(AGE / 2).await;
    assert_eq!((cached(&views).await, reads(&views)), (8, 2));
}

#[tokio::test(start_paused = true)]
async fn what_is_told_late_replaces_nothing_newer() {
    let views = views();
    chain_is_at(&views, 10, 3);
    assert_eq!(cached(&views).await, 4);
    tell(&views, 9, 1);
    assert_eq!(cached(&views).await, 4);
    tell(&views, 12, 5);
    tell(&views, 11, 4);
    assert_eq!((cached(&views).await, reads(&views)), (6, 1));
}

#[tokio::test(start_paused = true)]
async fn a_read_at_a_node_that_lags_does_not_replace_what_was_told() {
    let views = views();
    chain_is_at(&views, 10, 0);
    cached(&views).await;
    tell(&views, 20, 5);
    assert_eq!(*views.get(1, Freshness::Now).await.unwrap().unwrap(), 6);
    assert_eq!(cached(&views).await, 6);
    // a chain that began anew is believed in the end
    tokio::time::advance(LAG).await;
    assert_eq!(cached(&views).await, 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_told_during_a_read_of_an_earlier_slot_stays() {
    let views = views();
    chain_is_at(&views, 10, 0);
    cached(&views).await;
    let read = views.get(1, Freshness::Now);
    let told = async {
        tokio::task::yield_now().await;
        tell(&views, 11, 5);
    };
    let (read, ()) = tokio::join!(read, told);
    assert_eq!((*read.unwrap().unwrap(), cached(&views).await), (6, 6));
}

#[tokio::test(start_paused = true)]
async fn a_read_that_does_not_tell_its_slot_is_not_believed_for_long_where_something_was_told_meanwhile() {
    let views = views();
    chain_is_at(&views, 10, 0);
    cached(&views).await;
    chain_is_at(&views, 0, 0);
    let read = views.get(1, Freshness::Now);
    let told = async {
        tokio::task::yield_now().await;
        tell(&views, 11, 5);
    };
    let _ = tokio::join!(read, told);
    assert_eq!(views.younger_than(1, AGE), None, "no request is served by it");
    chain_is_at(&views, 0, 5);
    assert_eq!((cached(&views).await, reads(&views)), (6, 3));
}

#[tokio::test(start_paused = true)]
async fn of_two_states_of_one_slot_or_of_an_unknown_one_a_new_read_says_which_holds() {
    for slot in [10, 0] {
        let views = views();
        chain_is_at(&views, slot, 0);
        cached(&views).await;
        tell(&views, 10, 5);
        assert_eq!(views.younger_than(1, AGE), None, "it is doubted");
        chain_is_at(&views, slot, 5);
        assert_eq!((cached(&views).await, reads(&views)), (6, 2), "slot {slot}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_that_began_before_a_doubt_does_not_end_it() {
    let views = views();
    cached(&views).await;
    let read = views.get(1, Freshness::Now);
    let told = async {
        tokio::task::yield_now().await;
        tell(&views, 10, 5);
    };
    let _ = tokio::join!(read, told);
    chain_is_at(&views, 0, 5);
    assert_eq!((cached(&views).await, reads(&views)), (6, 3));
}

#[tokio::test(start_paused = true)]
async fn of_what_nobody_looked_at_only_the_wanted_is_kept_and_read_before_it_is_served() {
    let views = views();
    tell(&views, 10, 5);
    assert!(!views.holds(1));
    views.told(1, Some(Arc::new(6)), 10, true);
    assert!(views.holds(1) && views.younger_than(1, AGE).is_none());
    chain_is_at(&views, 11, 6);
    assert_eq!((cached(&views).await, reads(&views)), (7, 1));
}
