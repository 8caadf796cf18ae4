//! Many channels and one worker: whose turn it is, what waits for what, and how it ends.

#![allow(clippy::arithmetic_side_effects, reason = "an overflow fails the test, as it should")]

use super::*;
use std::time::Duration;

use amp_protocol::message::Key;
use amp_protocol::money::Amount;
use tokio::time::{sleep, timeout};

use crate::server::settlement::Why;
use crate::server::{Denial, ServiceConfig, Settled};

fn watching(config: ServiceConfig) -> ServiceConfig {
    config.watch_interval(Duration::from_millis(100))
}

/// Low numbers are other accounts of the bench.
fn channel(number: u8) -> Key {
    [100 + number; 32]
}

/// A channel that owes 10.
async fn owing(stage: &Stage, number: u8) -> Key {
    stage.bench.another(channel(number));
    stage.quote_on(channel(number), 10).await.paid();
    channel(number)
}

fn ask_for_close(stage: &Stage, channel: Key) {
    let mut account = stage.bench.chain.channel_at(channel);
    (account.books.closing, account.closing_at) = (true, stage.bench.chain.now());
    stage.bench.chain.put_channel(channel, &account);
}

fn claimed(stage: &Stage, channel: Key) -> u64 {
    stage.bench.chain.channel_at(channel).books.claimed.get()
}

/// Somebody asks for a settlement, and waits.
fn ask(stage: &Stage, channel: Key) -> tokio::task::JoinHandle<Result<Settled, Denial>> {
    let service = stage.service.clone();
    tokio::spawn(async move { service.settle(channel.into()).await })
}

#[tokio::test]
async fn a_settlement_that_does_not_confirm_holds_up_no_other_channel() {
    let stage = Stage::with(watching).await;
    let (stuck, closing, asked) = (owing(&stage, 1).await, owing(&stage, 2).await, owing(&stage, 3).await);
    let chain = stage.bench.chain.clone();
    chain.hold(stuck);
    ask_for_close(&stage, stuck);
    eventually("it is on its way", || chain.sent() == 1).await;
    ask_for_close(&stage, closing);
    eventually("the next is noticed and settled", || claimed(&stage, closing) == 10).await;
    assert_eq!(stage.service.settle(asked.into()).await.unwrap().paid, Amount::new(10));
    assert_eq!(claimed(&stage, stuck), 0);
    chain.let_go(stuck);
    eventually("it is settled too", || claimed(&stage, stuck) == 10).await;
}

#[tokio::test]
async fn a_visit_that_takes_too_long_has_failed_and_its_channel_is_visited_again() {
    let stage = Stage::new().await;
    stage.quote(10).await.paid();
    stage.bench.chain.hold(CHANNEL);
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    let denial = stage.service.settle(CHANNEL.into()).await.unwrap_err();
    assert_eq!((denial.code(), began.elapsed().as_secs()), (None, 180));
    tokio::time::resume();
    stage.bench.chain.let_go(CHANNEL);
    assert_eq!(stage.service.settle(CHANNEL.into()).await.unwrap().paid, Amount::new(10));
}

#[tokio::test]
async fn two_settlements_of_one_channel_are_never_under_way_at_once() {
    let stage = Stage::new().await;
    stage.quote(10).await.paid();
    let chain = stage.bench.chain.clone();
    chain.hold(CHANNEL);
    let (one, other) = (ask(&stage, CHANNEL), ask(&stage, CHANNEL));
    eventually("one is on its way", || chain.sent() == 1).await;
    sleep(Duration::from_millis(50)).await;
    assert_eq!(chain.sent(), 1, "the other waits");
    chain.let_go(CHANNEL);
    let paid = [one, other].map(|asked| async { asked.await.unwrap().unwrap().paid.get() });
    let paid = futures::future::join_all(paid).await;
    assert_eq!((paid, chain.sent()), (vec![10, 0], 1), "each has its own outcome");
}

#[tokio::test]
async fn what_has_a_grace_to_lose_is_settled_before_what_was_asked_for() {
    let stage = Stage::with(watching).await;
    let chain = stage.bench.chain.clone();
    // as many as may be under way, and none of them ends
    for number in 1..=8 {
        chain.hold(owing(&stage, number).await);
        ask(&stage, channel(number));
    }
    eventually("all places are taken", || chain.sent() == 8).await;
    let (asked, closing) = (owing(&stage, 20).await, owing(&stage, 21).await);
    ask(&stage, asked);
    ask_for_close(&stage, closing);
    sleep(Duration::from_millis(300)).await;
    assert_eq!((chain.sent(), claimed(&stage, asked)), (8, 0), "there is no place for either");
    // it takes the first place that is free, and keeps it
    chain.hold(closing);
    chain.let_go(channel(1));
    eventually("one is settled, one begun", || claimed(&stage, channel(1)) == 10 && chain.sent() == 9).await;
    sleep(Duration::from_millis(100)).await;
    assert_eq!(claimed(&stage, asked), 0);
    chain.let_go(closing);
    eventually("both are settled", || claimed(&stage, closing) + claimed(&stage, asked) == 20).await;
}

#[tokio::test]
async fn a_shutdown_finishes_what_is_under_way_and_begins_nothing() {
    let stage = Stage::new().await;
    stage.quote(10).await.paid();
    let chain = stage.bench.chain.clone();
    chain.hold(CHANNEL);
    let under_way = ask(&stage, CHANNEL);
    eventually("it is on its way", || chain.sent() == 1).await;
    stage.quote(20).await.paid();
    let waits = ask(&stage, CHANNEL);
    let service = stage.service.clone();
    let mut shutdown = tokio::spawn(async move { service.shutdown().await });
    assert!(timeout(Duration::from_millis(50), &mut shutdown).await.is_err(), "it waits");
    assert_eq!(waits.await.unwrap().unwrap_err().code(), None);
    chain.let_go(CHANNEL);
    shutdown.await.unwrap();
    assert_eq!(under_way.await.unwrap().unwrap().paid, Amount::new(10));
    assert_eq!(chain.sent(), 1);
}

#[tokio::test]
async fn whoever_asks_is_answered_when_all_signers_are_settled_however_many_visits_that_takes() {
    let stage = Stage::with(|config| config.max_delegates(20)).await;
    let delegates: Vec<_> = (0..20).map(|_| stage.bench.delegate(1_000)).collect();
    for (key, _) in &delegates {
        stage.quote_by(key, 10).await.paid();
    }
    let settled = stage.service.settle(CHANNEL.into()).await.unwrap();
    // three visits, of eight signers at most
    assert_eq!((settled.paid, settled.transactions.len()), (Amount::new(200), 3 + 3 + 2));
}

#[tokio::test]
async fn a_request_that_is_refused_because_its_channel_closes_has_it_settled_at_once() {
    let config = |config: ServiceConfig| config.channel_max_age(Duration::from_millis(1));
    let stage = Stage::with(config).await;
    stage.quote(10).await.paid();
    // the watch has been, and comes again in half a minute
    sleep(Duration::from_millis(50)).await;
    ask_for_close(&stage, CHANNEL);
    assert_eq!(stage.quote(20).await.code(), (410, "AMP_CLOSED"));
    eventually("it is settled", || claimed(&stage, CHANNEL) == 10).await;
}

#[tokio::test]
async fn delegates_made_used_once_and_revoked_are_not_served_faster_than_they_are_settled() {
    let config = |config: ServiceConfig| config.max_delegates(1).channel_max_age(Duration::from_millis(1));
    let stage = Stage::with(config).await;
    sleep(Duration::from_millis(50)).await;
    for _ in 0..3 {
        let (key, address) = stage.bench.delegate(1_000);
        stage.quote_by(&key, 10).await.paid();
        stage.bench.chain.change_delegation(address, |account| {
            account.delegation = account.delegation.revoke(stage.bench.chain.now()).unwrap();
        });
        sleep(Duration::from_millis(5)).await;
    }
    let (key, _) = stage.bench.delegate(1_000);
    let answer = stage.quote_by(&key, 10).await;
    assert_eq!(answer.code(), (429, "AMP_RATE_EXCEEDED"));
    assert_eq!(answer.header("retry-after"), "10");
    let message = answer.body["message"].as_str().unwrap();
    assert!(message.contains("wait until the service has settled"), "{message}");
    // the refusal makes the worker look: who ended is settled
    let chain = stage.bench.chain.clone();
    eventually("the others are settled", || chain.settled() == Amount::new(30)).await;
    eventually("it is noted", || {
        stage.service.core.books.active()[0].ledger().uncollected(&chain.channel()).is_empty()
    })
    .await;
    stage.quote_by(&key, 10).await.paid();
}

#[tokio::test]
async fn a_refusal_during_a_look_makes_the_worker_look_once_more() {
    let stage = Stage::with(watching).await;
    let chain = stage.bench.chain.clone();
    // due a minute after the last settlement where somebody was refused, an hour after it where not
    chain.change_channel(|account| account.terms.rate_limit = 10);
    stage.quote(10).await.paid();
    let worker = stage.service.worker.clone();
    chain.before_reading(CHANNEL, move |_| worker.poke(CHANNEL, Why::Full));
    eventually("it is settled", || claimed(&stage, CHANNEL) == 10).await;
}
