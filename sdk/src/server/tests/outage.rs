//! Serving on while the chain does not answer.

#![allow(clippy::arithmetic_side_effects, reason = "an overflow fails the test, as it should")]

use super::*;
use std::time::Duration;

use amp_protocol::money::Amount;
use amp_protocol::text::path;
use tokio::time::sleep;

use crate::server::ServiceConfig;

/// 100 may be admitted unseen: ten calls.
fn exposed(config: ServiceConfig) -> ServiceConfig {
    config.outage_exposure(Amount::new(100))
}

async fn stage() -> Stage {
    let bench = Bench::new();
    for channel in 100..110 {
        bench.another([channel; 32]);
    }
    let stage = Stage::over(bench, exposed).await;
    // the first watch has been
    sleep(Duration::from_millis(100)).await;
    stage
}

/// The node is away, and the views are older than they should be.
async fn outage(stage: &Stage) {
    stage.bench.chain.go_down(true);
    pass(Duration::from_secs(16)).await;
}

/// The service has found out that the node is back.
async fn back(stage: &Stage) {
    pass(Duration::from_secs(3)).await;
    let core = stage.service.core.clone();
    eventually("it is noticed", || !core.outage.is_away()).await;
}

#[tokio::test]
async fn a_known_channel_is_served_on_up_to_the_exposure_and_without_asking_each_time() {
    let stage = stage().await;
    stage.quote(10).await.paid();
    outage(&stage).await;
    stage.quote(20).await.paid();
    let asked = stage.bench.chain.asked();
    for call in 3..=11 {
        stage.quote(call * 10).await.paid();
    }
    let answer = stage.quote(120).await;
    assert_eq!((answer.code(), stage.bench.chain.asked()), ((503, "UNAVAILABLE"), asked));
    assert_ne!(answer.header("retry-after"), "");
    assert_eq!(stage.service.settle(CHANNEL.into()).await.unwrap_err().code(), None);
    stage.bench.chain.go_down(false);
    back(&stage).await;
    stage.quote(120).await.paid();
    // it has been looked at since: the next outage has an exposure of its own
    outage(&stage).await;
    stage.quote(130).await.paid();
    stage.bench.chain.go_down(false);
    back(&stage).await;
    stage.bench.chain.change_channel(|account| account.signer.last_settled_at -= 3_600);
    assert_eq!(stage.service.settle(CHANNEL.into()).await.unwrap().paid, Amount::new(130));
}

#[tokio::test]
async fn without_an_exposure_nothing_is_served_on_an_old_view() {
    let stage = Stage::new().await;
    stage.quote(10).await.paid();
    outage(&stage).await;
    assert_eq!(stage.quote(20).await.code(), (503, "UNAVAILABLE"));
}

#[tokio::test]
async fn the_exposure_is_one_for_all_channels() {
    let stage = stage().await;
    for channel in 100..110 {
        stage.quote_on([channel; 32], 10).await.paid();
    }
    stage.quote(10).await.paid();
    outage(&stage).await;
    for channel in 100..110 {
        stage.quote_on([channel; 32], 20).await.paid();
    }
    assert_eq!(stage.quote(20).await.code(), (503, "UNAVAILABLE"));
}

#[tokio::test]
async fn new_channels_closing_ones_and_stopped_ones_are_not_served() {
    let stage = stage().await;
    // looked at, and closing
    let mut closing = stage.bench.account();
    (closing.books.closing, closing.closing_at) = (true, stage.bench.chain.now());
    stage.bench.chain.put_channel([120; 32], &closing);
    assert_eq!(stage.quote_on([120; 32], 10).await.code(), (410, "AMP_CLOSED"));
    // looked at, and stopped
    stage.quote_on([100; 32], 10).await.paid();
    let credential = stage.bench.credential_on([100; 32], 10).await;
    assert_eq!(post_with(&stage.router, path::CLOSE, &credential).await.status, StatusCode::OK);
    outage(&stage).await;
    assert_eq!(stage.quote_on([120; 32], 20).await.code(), (503, "UNAVAILABLE"));
    assert_eq!(stage.quote_on([100; 32], 20).await.code(), (410, "AMP_CLOSED"));
    assert_eq!(stage.quote_on([101; 32], 10).await.code(), (503, "UNAVAILABLE"), "never looked at");
}

#[tokio::test]
async fn a_channel_that_was_told_closing_is_not_served_on_an_older_look() {
    let bench = Bench::new();
    bench.chain.offer_subscriptions(1_000);
    let stage = Stage::over(bench, exposed).await;
    sleep(Duration::from_millis(100)).await;
    stage.quote(10).await.paid();
    outage(&stage).await;
    stage.quote(20).await.paid();
    stage.bench.chain.change_channel(|account| (account.books.closing, account.closing_at) = (true, 1));
    // of the slot of the last look: it is not known which is newer
    stage.bench.chain.tell(CHANNEL, 1_000);
    let core = stage.service.core.clone();
    let is_doubted = || core.channels.younger_than(CHANNEL, Duration::from_secs(3_600)).is_none();
    eventually("it is told", is_doubted).await;
    assert_eq!(stage.quote(30).await.code(), (503, "UNAVAILABLE"));
}

#[tokio::test]
async fn views_are_served_on_until_they_are_half_a_grace_old() {
    let stage = stage().await;
    stage.quote(10).await.paid();
    stage.bench.chain.go_down(true);
    pass(Duration::from_secs(1_799)).await;
    stage.quote(20).await.paid();
    pass(Duration::from_secs(1)).await;
    assert_eq!(stage.quote(30).await.code(), (503, "UNAVAILABLE"));
}

#[tokio::test]
async fn what_is_not_charged_gives_its_exposure_back() {
    let stage = stage().await;
    stage.quote(10).await.paid();
    outage(&stage).await;
    for call in 2..30 {
        let credential = stage.bench.credential(call * 10).await;
        assert_eq!(get_with(&stage.router, "/fail", &credential).await.status.as_u16(), 500);
    }
    let credential = stage.bench.credential(300).await;
    drop(stage.service.authorize(&credential, Amount::new(100)).await.unwrap());
    stage.bench.disk(Disk::FullAfter(0));
    assert_eq!(stage.quote(310).await.code(), (503, "UNAVAILABLE"), "the disk");
    stage.bench.disk(Disk::Works);
    // a refusal holds nothing back either: the ceiling is too low
    let credential = stage.bench.credential(311).await;
    assert_eq!(stage.service.authorize(&credential, Amount::new(600)).await.unwrap_err().code(), None);
    let credential = stage.bench.credential(312).await;
    assert!(stage.service.authorize(&credential, Amount::new(100)).await.is_ok());
}

#[tokio::test]
async fn an_answer_of_the_node_about_something_else_does_not_renew_the_exposure() {
    let stage = stage().await;
    stage.quote(10).await.paid();
    outage(&stage).await;
    for call in 2..=11 {
        stage.quote(call * 10).await.paid();
    }
    // it is back for one look at another channel, and away again
    stage.bench.chain.go_down(false);
    stage.quote_on([100; 32], 10).await.paid();
    stage.bench.chain.go_down(true);
    assert_eq!(stage.quote(120).await.code(), (503, "UNAVAILABLE"));
    pass(Duration::from_secs(16)).await;
    assert_eq!(stage.quote(120).await.code(), (503, "UNAVAILABLE"));
}

#[tokio::test]
async fn delegates_strangers_and_all_that_is_no_request_wait_for_the_chain() {
    let stage = stage().await;
    let (key, _) = stage.bench.delegate(1_000);
    stage.quote(10).await.paid();
    // its delegations are looked at later than the channel, and are not old yet when that is
    pass(Duration::from_secs(10)).await;
    stage.quote_by(&key, 10).await.paid();
    stage.bench.chain.go_down(true);
    pass(Duration::from_secs(6)).await;
    stage.quote(20).await.paid();
    assert_eq!(stage.quote_by(&key, 20).await.code(), (503, "UNAVAILABLE"));
    let stranger = KeypairSigner::generate();
    assert_eq!(stage.quote_by(&stranger, 20).await.code(), (503, "UNAVAILABLE"));
    let credential = stage.bench.credential(30).await;
    assert_eq!(post_with(&stage.router, path::CLOSE, &credential).await.code(), (503, "UNAVAILABLE"));
    assert_eq!(get_with(&stage.router, path::CHANNEL, &credential).await.code(), (503, "UNAVAILABLE"));
    // a search that fails where the chain answers is no outage
    stage.bench.chain.go_down(false);
    back(&stage).await;
    stage.bench.chain.fail_searches(true);
    pass(Duration::from_secs(16)).await;
    assert_eq!(stage.quote_by(&key, 20).await.code(), (503, "UNAVAILABLE"));
    stage.quote(30).await.paid();
    assert!(!stage.service.core.outage.is_away());
}

#[tokio::test]
async fn what_was_served_in_an_outage_is_collected_though_a_close_was_asked_for_right_after_the_last_look() {
    let stage = stage().await;
    stage.quote(10).await.paid();
    let now = stage.bench.chain.now();
    stage.bench.chain.change_channel(|account| (account.books.closing, account.closing_at) = (true, now));
    outage(&stage).await;
    stage.quote(20).await.paid();
    // as long as may be; the chain's clock goes on as well
    stage.bench.chain.advance(1_790);
    pass(Duration::from_secs(1_774)).await;
    for call in 3..=11 {
        stage.quote(call * 10).await.paid();
    }
    stage.bench.chain.go_down(false);
    back(&stage).await;
    let chain = stage.bench.chain.clone();
    eventually("all of it is collected", || chain.settled() == Amount::new(110)).await;
    assert_eq!(stage.quote(120).await.code(), (410, "AMP_CLOSED"));
}

#[tokio::test]
async fn an_outage_that_begins_when_the_worker_has_ended_is_over_when_the_chain_is_back() {
    let stage = stage().await;
    stage.quote(10).await.paid();
    stage.service.shutdown().await;
    outage(&stage).await;
    stage.quote(20).await.paid();
    stage.bench.chain.go_down(false);
    back(&stage).await;
}
