#![allow(clippy::arithmetic_side_effects, reason = "an overflow fails the test, as it should")]

use super::*;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use amp_protocol::account::ChannelAccount;
use amp_protocol::json::CloseResponse;
use amp_protocol::money::Amount;
use amp_protocol::text::path;

use crate::chain::AccountSnapshot;
use crate::server::store::Incarnation;
use crate::server::testing::FakeChain;

async fn close(stage: &Stage, seq: u64) -> Answer {
    post_with(&stage.router, path::CLOSE, &stage.bench.credential(seq).await).await
}

fn total(stage: &Stage, answer: &Answer) -> u64 {
    assert_eq!(answer.status.as_u16(), 200, "{}", answer.body);
    let response: CloseResponse = serde_json::from_value(answer.body.clone()).unwrap();
    let key = crate::signer::Signer::public_key(&stage.bench.recipient).to_bytes();
    assert!(crate::signed::verify_close_statement(&response.close_statement, &key));
    response.close_statement.check(&CHANNEL, stage.bench.account().opened_slot).unwrap();
    response.close_statement.owed_total.get()
}

#[tokio::test]
async fn a_close_states_what_is_owed_and_nothing_is_served_after_it() {
    let stage = Stage::new().await;
    stage.quote(10).await.paid();
    stage.quote(20).await.paid();
    let first = close(&stage, 21).await;
    assert_eq!(total(&stage, &first), 20);
    assert_eq!(stage.quote(30).await.code(), (410, "AMP_CLOSED"));
    assert_eq!(close(&stage, 21).await.body, first.body);
    let stage = stage.restart().await;
    assert_eq!(stage.quote(30).await.code(), (410, "AMP_CLOSED"));
    assert_eq!(close(&stage, 22).await.body, first.body);
}

#[tokio::test]
async fn the_credential_of_a_close_authorizes_nothing() {
    let stage = Stage::new().await;
    stage.quote(10).await.paid();
    assert_eq!(total(&stage, &close(&stage, 9_000).await), 10);
    let status = stage.service.channel_status(&stage.bench.credential(0).await).await.unwrap();
    assert_eq!(status.last_seq.get(), 10);
}

#[tokio::test]
async fn an_old_credential_can_not_stop_service() {
    let stage = Stage::new().await;
    stage.quote(10).await.paid();
    stage.quote(20).await.paid();
    let answer = close(&stage, 10).await;
    assert_eq!((answer.code(), &answer.body["last_seq"]), ((400, "AMP_INVALID_SEQ"), &"20".into()));
    let mut forged = stage.bench.credential(100).await;
    forged.sig.0[1] ^= 1;
    assert_eq!(post_with(&stage.router, path::CLOSE, &forged).await.code(), (401, "AMP_INVALID_SIG"));
    stage.quote(30).await.paid();
}

#[tokio::test]
async fn a_close_waits_for_the_requests_in_flight_and_counts_them() {
    let stage = Stage::new().await;
    let slow_credential = stage.bench.credential(10).await;
    let slow = get_with(&stage.router, "/slow", &slow_credential);
    let closing = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let gate = stage.gate.clone();
        let opener = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            assert_eq!(stage.quote(20).await.code(), (410, "AMP_CLOSED"), "stopped while it waits");
            gate.notify_one();
        };
        let (closed, ()) = tokio::join!(close(&stage, 11), opener);
        closed
    };
    let (slow, closed) = tokio::join!(slow, closing);
    assert_eq!(slow.paid(), ("9990", "10", "10"));
    assert_eq!(total(&stage, &closed), 10);
}

#[tokio::test]
async fn a_request_that_outlasts_the_wait_is_not_served_and_not_owed() {
    let stage = Stage::with(|config| config.in_flight_wait(Duration::from_millis(50))).await;
    let slow_credential = stage.bench.credential(10).await;
    let slow = get_with(&stage.router, "/slow", &slow_credential);
    let closing = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let closed = close(&stage, 11).await;
        stage.gate.notify_one();
        closed
    };
    let (slow, closed) = tokio::join!(slow, closing);
    assert_eq!((slow.code(), total(&stage, &closed)), ((410, "AMP_CLOSED"), 0));
}

#[tokio::test]
async fn a_close_that_can_not_be_stored_gives_no_statement() {
    let stage = Stage::new().await;
    stage.quote(10).await.paid();
    // stopping is the first write, the statement the second
    for writes in [0, 1] {
        stage.bench.disk(Disk::FullAfter(writes));
        assert_eq!(close(&stage, 11).await.code(), (503, "UNAVAILABLE"), "after {writes} writes");
    }
    stage.bench.disk(Disk::Works);
    assert_eq!(total(&stage, &close(&stage, 11).await), 10);
}

#[tokio::test]
async fn a_close_still_works_where_the_policy_would_not_serve() {
    let stage = Stage::new().await;
    stage.quote(10).await.paid();
    stage.bench.chain.change_channel(|account| (account.books.closing, account.closing_at) = (true, 1));
    assert_eq!(total(&stage, &close(&stage, 11).await), 10);
}

#[tokio::test]
async fn a_funder_that_does_not_close_in_time_is_settled_and_closed() {
    let watch = |config: crate::server::ServiceConfig| {
        config.watch_interval(Duration::from_millis(100)).close_deadline(Duration::from_secs(2))
    };
    let stage = Stage::with(watch).await;
    stage.bench.chain.put_refund_account();
    stage.quote(10).await.paid();
    assert_eq!(total(&stage, &close(&stage, 11).await), 10);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(stage.bench.chain.sent(), 0, "the funder has until the deadline");
    for _ in 0..50 {
        if !stage.bench.chain.has(CHANNEL) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(!stage.bench.chain.has(CHANNEL), "closed");
    assert_eq!(stage.bench.chain.sent(), 2, "a settlement and a close");
    assert_eq!(stage.bench.chain.settled(), Amount::new(10));
}

#[tokio::test]
async fn a_funder_without_a_token_account_is_not_given_one() {
    let config = |config: crate::server::ServiceConfig| {
        config.watch_interval(Duration::from_millis(100)).close_deadline(Duration::ZERO)
    };
    let stage = Stage::with(config).await;
    stage.quote(10).await.paid();
    assert_eq!(total(&stage, &close(&stage, 11).await), 10);
    let chain = stage.bench.chain.clone();
    eventually("what is owed is collected", || chain.settled() == Amount::new(10)).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(chain.has(CHANNEL) && chain.sent() == 1, "its rent would be the funder's to keep");
    chain.put_refund_account();
    eventually("the channel is closed", || !chain.has(CHANNEL)).await;
}

#[tokio::test]
async fn lamports_sent_to_the_funders_associated_address_are_no_token_account() {
    let config = |config: crate::server::ServiceConfig| {
        config.watch_interval(Duration::from_millis(100)).close_deadline(Duration::ZERO)
    };
    let stage = Stage::with(config).await;
    let account = AccountSnapshot { owner: [0; 32].into(), lamports: 1, data: Vec::new() };
    stage.bench.chain.put(FakeChain::refund_account(), account);
    total(&stage, &close(&stage, 1).await);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(stage.bench.chain.has(CHANNEL) && stage.bench.chain.sent() == 0);
    stage.bench.chain.put_refund_account();
    let chain = stage.bench.chain.clone();
    eventually("the channel is closed", || !chain.has(CHANNEL)).await;
}

/// The channel as it is opened once more.
fn next(stage: &Stage) -> ChannelAccount {
    ChannelAccount { opened_slot: stage.bench.account().opened_slot + 1, ..stage.bench.account() }
}

#[tokio::test]
async fn a_close_is_not_sent_where_the_channel_was_opened_again_before_nor_is_the_next_one_served_meanwhile()
{
    let config = |config: crate::server::ServiceConfig| {
        config.watch_interval(Duration::from_millis(100)).close_deadline(Duration::from_secs(1))
    };
    let stage = Stage::with(config).await;
    stage.bench.chain.put_refund_account();
    total(&stage, &close(&stage, 1).await);
    let next = next(&stage);
    let waits = Arc::new(AtomicBool::new(false));
    let (core, noted) = (stage.service.core.clone(), waits.clone());
    // the last thing that is read before the close is made
    stage.bench.chain.before_reading(FakeChain::refund_account(), move |chain| {
        let incarnation = Incarnation { channel: CHANNEL, opened_slot: next.opened_slot };
        chain.before_reading(CHANNEL, move |chain| {
            noted.store(core.books.is_closed_by_accident(&incarnation), Ordering::SeqCst);
            chain.put_channel(CHANNEL, &next);
        });
    });
    eventually("it is about to be closed", || waits.load(Ordering::SeqCst)).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!((stage.bench.chain.has(CHANNEL), stage.bench.chain.sent()), (true, 0));
}

#[tokio::test]
async fn a_close_that_was_sent_before_a_restart_keeps_the_next_incarnation_waiting() {
    let stage = Stage::new().await;
    total(&stage, &close(&stage, 1).await);
    let stage = stage.restart_after(|bench| {
        let account = ChannelAccount { opened_slot: bench.account().opened_slot + 1, ..bench.account() };
        bench.chain.put_channel(CHANNEL, &account);
    });
    let stage = stage.await;
    let credential = stage.bench.credential_in(next(&stage).opened_slot, 10).await;
    assert_eq!(get_with(&stage.router, "/quote", &credential).await.code(), (503, "UNAVAILABLE"));
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(180)).await;
    tokio::time::resume();
    get_with(&stage.router, "/quote", &credential).await.paid();
}
