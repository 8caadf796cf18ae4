//! What the chain tells by itself, and what nobody tells.

#![allow(clippy::arithmetic_side_effects, reason = "an overflow fails the test, as it should")]

use super::*;
use crate::server::channels::Channel;
use std::time::Duration;

use amp_protocol::account::ChannelAccount;
use amp_protocol::money::Amount;
use tokio::time::sleep;

use crate::server::ServiceConfig;

const SLOT: u64 = 1_000;
const HOUR: Duration = Duration::from_secs(3_600);

/// A service that would look at its channels only once an hour, and at views that are so old.
fn seldom(config: ServiceConfig) -> ServiceConfig {
    let day = 24 * 3_600;
    config.watch_interval(HOUR).channel_max_age(HOUR).min_close_grace(day)
}

/// One that is told of changes.
async fn told(config: impl FnOnce(ServiceConfig) -> ServiceConfig) -> Stage {
    let bench = Bench::new();
    bench.chain.change_channel(|account| account.terms.close_grace = 24 * 3_600);
    bench.chain.offer_subscriptions(SLOT);
    let stage = Stage::over(bench, config).await;
    let chain = stage.bench.chain.clone();
    eventually("it has subscribed", || chain.subscriptions() == 1).await;
    stage
}

/// What was told is taken in.
async fn heard(stage: &Stage, check: impl Fn(Option<Arc<Channel>>) -> bool) {
    let core = stage.service.core.clone();
    let view = || core.channels.younger_than(CHANNEL, HOUR).flatten();
    eventually("it is taken in", || check(view())).await;
}

fn ask_for_close(stage: &Stage) {
    let now = stage.bench.chain.now();
    stage.bench.chain.change_channel(|account| (account.books.closing, account.closing_at) = (true, now));
}

fn claimed(stage: &Stage) -> u64 {
    stage.bench.chain.channel().books.claimed.get()
}

#[tokio::test]
async fn a_close_request_that_is_told_is_settled_and_refused_at_once() {
    let stage = told(seldom).await;
    stage.quote(10).await.paid();
    let reads = stage.bench.chain.reads();
    ask_for_close(&stage);
    stage.bench.chain.tell(CHANNEL, SLOT + 1);
    heard(&stage, |view| view.is_some_and(|view| view.books.closing)).await;
    eventually("it is settled", || claimed(&stage) == 10).await;
    assert_eq!(stage.quote(20).await.code(), (410, "AMP_CLOSED"));
    assert!(stage.bench.chain.reads() - reads < 10, "nothing was polled");
}

#[tokio::test]
async fn a_top_up_that_is_told_is_spent_without_a_look() {
    let stage = told(seldom).await;
    stage.bench.chain.change_channel(|account| account.terms.rate_limit = 1_000_000);
    stage.quote(10).await.paid();
    sleep(Duration::from_millis(200)).await;
    let reads = stage.bench.chain.reads();
    stage.bench.chain.change_channel(|account| account.books.deposited = Amount::new(20_000));
    stage.bench.chain.tell(CHANNEL, SLOT + 1);
    heard(&stage, |view| view.is_some_and(|view| view.books.deposited.get() == 20_000)).await;
    assert_eq!(stage.quote(20_000).await.paid(), ("19980", "20", "10"));
    assert_eq!(stage.bench.chain.reads(), reads);
}

#[tokio::test]
async fn what_is_told_of_an_earlier_slot_than_the_last_read_closes_nothing() {
    let stage = told(seldom).await;
    stage.quote(10).await.paid();
    let before = stage.bench.chain.channel();
    ask_for_close(&stage);
    stage.bench.chain.tell(CHANNEL, SLOT - 1);
    stage
        .bench
        .chain
        .put_channel(CHANNEL, &ChannelAccount { terms: stage.bench.chain.channel().terms, ..before });
    tokio::task::yield_now().await;
    stage.quote(20).await.paid();
}

#[tokio::test]
async fn a_channel_that_is_told_gone_is_served_no_more() {
    let stage = told(seldom).await;
    stage.quote(10).await.paid();
    stage.bench.chain.remove(CHANNEL);
    stage.bench.chain.tell(CHANNEL, SLOT + 1);
    heard(&stage, |view| view.is_none()).await;
    assert_eq!(stage.quote(20).await.code(), (410, "AMP_CLOSED"));
}

#[tokio::test]
async fn what_is_told_of_anothers_channel_or_of_one_that_is_not_one_is_ignored() {
    let stage = told(seldom).await;
    stage.quote(10).await.paid();
    let account = stage.bench.chain.channel();
    stage.bench.chain.change_channel(|account| {
        (account.recipient, account.books.closing) = ([9; 32], true);
    });
    stage.bench.chain.tell(CHANNEL, SLOT + 1);
    let mut other_kind = stage.bench.chain.snapshot(CHANNEL);
    other_kind.data.truncate(100);
    stage.bench.chain.put(CHANNEL, other_kind);
    stage.bench.chain.tell(CHANNEL, SLOT + 2);
    stage.bench.chain.put_channel(CHANNEL, &ChannelAccount { nonce: 7, ..account });
    stage.bench.chain.tell(CHANNEL, SLOT + 3);
    heard(&stage, |view| view.is_some_and(|view| view.nonce == 7)).await;
    stage.quote(20).await.paid();
    assert_eq!(stage.bench.chain.sent(), 0);
}

#[tokio::test]
async fn a_subscription_that_ends_is_begun_again_and_what_happened_meanwhile_is_looked_for() {
    let stage = told(seldom).await;
    stage.quote(10).await.paid();
    stage.bench.chain.cut_subscriptions();
    ask_for_close(&stage);
    eventually("it is settled", || claimed(&stage) == 10).await;
    assert_eq!(stage.bench.chain.subscriptions(), 2);
}

#[tokio::test(start_paused = true)]
async fn while_no_subscription_stands_it_is_tried_ever_less_often() {
    let stage = told(seldom).await;
    stage.bench.chain.cut_subscriptions();
    stage.bench.chain.go_down(true);
    for _ in 0..600 {
        sleep(Duration::from_secs(1)).await;
    }
    // 2, 4, 8, 16, 32 seconds, then once a minute
    assert_eq!(stage.bench.chain.subscriptions(), 1 + 5 + 8);
}

#[tokio::test]
async fn a_close_during_an_outage_is_settled_when_the_node_is_back_however_rare_the_watch() {
    let bench = Bench::new();
    bench.chain.change_channel(|account| account.terms.close_grace = 24 * 3_600);
    let stage = Stage::over(bench, |config| seldom(config).channel_max_age(Duration::from_secs(15))).await;
    stage.quote(10).await.paid();
    // the first watch has been
    sleep(Duration::from_millis(200)).await;
    stage.bench.chain.go_down(true);
    pass(Duration::from_secs(20)).await;
    assert_eq!(stage.quote(20).await.code(), (503, "UNAVAILABLE"));
    ask_for_close(&stage);
    pass(Duration::from_secs(600)).await;
    assert_eq!(stage.bench.chain.sent(), 0);
    stage.bench.chain.go_down(false);
    eventually("it is settled", || claimed(&stage) == 10).await;
}

#[tokio::test]
async fn after_an_outage_a_channel_is_looked_at_at_once_however_often_that_failed() {
    let stage = Stage::with(|config| config.watch_interval(Duration::from_secs(600))).await;
    stage.quote(10).await.paid();
    sleep(Duration::from_millis(200)).await;
    stage.bench.chain.go_down(true);
    pass(Duration::from_secs(600)).await;
    // until it pauses for a minute
    for _ in 0..7 {
        sleep(Duration::from_millis(100)).await;
        pass(Duration::from_secs(61)).await;
    }
    sleep(Duration::from_millis(100)).await;
    ask_for_close(&stage);
    stage.bench.chain.go_down(false);
    eventually("it is settled", || claimed(&stage) == 10).await;
}

#[tokio::test]
async fn a_short_outage_does_not_have_everything_looked_at() {
    let bench = Bench::new();
    for channel in 100..150 {
        bench.another([channel; 32]);
    }
    let stage = Stage::over(bench, |config| config.watch_interval(Duration::from_secs(600))).await;
    for channel in 100..150 {
        stage.quote_on([channel; 32], 10).await.paid();
    }
    pass(Duration::from_secs(20)).await;
    stage.bench.chain.go_down(true);
    assert_eq!(stage.quote_on([100; 32], 20).await.code(), (503, "UNAVAILABLE"));
    let reads = stage.bench.chain.reads();
    stage.bench.chain.go_down(false);
    let core = stage.service.core.clone();
    eventually("it is noticed", || !core.outage.is_away()).await;
    sleep(Duration::from_millis(500)).await;
    assert_eq!(stage.bench.chain.reads(), reads);
}

#[tokio::test]
async fn a_subscription_that_says_nothing_any_more_is_made_up_for_by_the_watch() {
    let stage = told(seldom).await;
    stage.quote(10).await.paid();
    sleep(Duration::from_millis(200)).await;
    // it is not told, and no error either
    ask_for_close(&stage);
    pass(HOUR).await;
    eventually("it is settled", || claimed(&stage) == 10).await;
    assert_eq!(stage.bench.chain.subscriptions(), 1);
}

#[tokio::test]
async fn a_service_that_is_dropped_or_shut_down_follows_the_chain_no_more() {
    let stage = told(|config| config).await;
    let chain = stage.bench.chain.clone();
    stage.service.shutdown().await;
    chain.cut_subscriptions();
    sleep(Duration::from_millis(2_500)).await;
    assert_eq!(chain.subscriptions(), 1);
    let Stage { bench, service, router, .. } = stage;
    let core = Arc::downgrade(&service.core);
    drop((service, router));
    eventually("nothing holds it", || core.upgrade().is_none()).await;
    let service = bench.service_with(bench.config()).await;
    eventually("it has subscribed", || chain.subscriptions() == 2).await;
    let core = Arc::downgrade(&service.core);
    drop(service);
    eventually("nothing holds it, without a shutdown", || core.upgrade().is_none()).await;
}
