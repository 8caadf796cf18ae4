//! What the watch costs, and that it misses nothing.

#![allow(clippy::arithmetic_side_effects, reason = "an overflow fails the test, as it should")]

use super::*;
use std::time::Duration;

use amp_protocol::message::Key;
use amp_protocol::money::Amount;

use crate::server::store::Incarnation;

/// Lets the worker watch for so long.
async fn pass(seconds: u64) {
    tokio::time::pause();
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}

fn channel(number: u16) -> Key {
    let mut key = [9; 32];
    key[..2].copy_from_slice(&number.to_be_bytes());
    key
}

/// So many more channels on chain, each with a book; they are batched in the order of their addresses, and
/// [`CHANNEL`] is in the last batch.
fn open(stage: &Stage, count: u16) {
    for number in 0..count {
        stage.bench.another(channel(number));
        let opened_slot = stage.bench.account().opened_slot;
        stage.service.core.books.open(Incarnation { channel: channel(number), opened_slot });
    }
}

fn ask_for_close(stage: &Stage, channel: Key) {
    let mut account = stage.bench.chain.channel_at(channel);
    (account.books.closing, account.closing_at) = (true, stage.bench.chain.now());
    stage.bench.chain.put_channel(channel, &account);
}

/// A service whose first watch has been.
async fn staged() -> Stage {
    let stage = Stage::new().await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    stage
}

/// Calls to the node in one watch.
async fn calls(stage: &Stage) -> usize {
    let before = stage.bench.chain.calls();
    // a second more, so that the watch is done by then
    pass(31).await;
    stage.bench.chain.calls() - before
}

#[tokio::test]
async fn idle_channels_cost_a_hundredth_of_a_call_each() {
    let stage = staged().await;
    stage.quote(10).await.paid();
    stage.service.settle(CHANNEL.into()).await.unwrap();
    open(&stage, 249);
    assert_eq!(calls(&stage).await, 3);
    open(&stage, 1_000);
    assert_eq!(calls(&stage).await, 11);
}

#[tokio::test]
async fn a_channel_that_owes_costs_no_read_of_its_own_unless_a_delegate_of_it_does() {
    let stage = staged().await;
    let delegates: Vec<_> = (0..3).map(|_| stage.bench.delegate(1_000)).collect();
    stage.quote(10).await.paid();
    open(&stage, 149);
    assert_eq!(calls(&stage).await, 2);
    for (key, _) in &delegates {
        stage.quote_by(key, 10).await.paid();
    }
    assert_eq!(calls(&stage).await, 3, "all its delegations at once");
}

#[tokio::test]
async fn what_is_not_owed_is_not_looked_at_but_what_closes_is_noticed_in_any_batch() {
    let stage = staged().await;
    open(&stage, 299);
    stage.quote_on(channel(150), 10).await.paid();
    for number in [20, 150, 270] {
        ask_for_close(&stage, channel(number));
    }
    pass(31).await;
    let chain = stage.bench.chain.clone();
    eventually("it is settled", || chain.settled() == Amount::new(10)).await;
    assert_eq!(chain.sent(), 1);
}

#[tokio::test]
async fn a_batch_that_can_not_be_read_is_tried_again_before_the_next_watch_and_holds_up_no_other() {
    let stage = staged().await;
    open(&stage, 250);
    stage.quote(10).await.paid();
    stage.quote_on(channel(50), 10).await.paid();
    let chain = stage.bench.chain.clone();
    chain.fail_reads_of(channel(7), true);
    for channel in [CHANNEL, channel(50)] {
        ask_for_close(&stage, channel);
    }
    pass(31).await;
    eventually("the last batch was read", || chain.settled() == Amount::new(10)).await;
    assert!(stage.bench.chain.channel_at(channel(50)).books.claimed.is_zero());
    chain.fail_reads_of(channel(7), false);
    pass(4).await;
    eventually("the first one too", || chain.settled() == Amount::new(20)).await;
}

#[tokio::test]
async fn channels_that_are_only_watched_keep_the_chains_time() {
    let stage = staged().await;
    open(&stage, 1);
    stage.bench.chain.advance(500);
    pass(31).await;
    let off = stage.service.core.time.now() - stage.bench.chain.now();
    assert!((-1..=1).contains(&off), "{off}");
}
