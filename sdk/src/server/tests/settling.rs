use super::*;
use std::time::Duration;

use amp_protocol::code::Code;
use amp_protocol::money::Amount;

#[tokio::test]
async fn what_is_owed_is_collected_once() {
    let stage = Stage::new().await;
    stage.quote(10).await.paid();
    stage.quote(20).await.paid();
    let settled = stage.service.settle(CHANNEL.into()).await.unwrap();
    assert_eq!(settled.paid, Amount::new(20));
    assert_eq!(settled.transactions.len(), 1);
    let again = stage.service.settle(CHANNEL.into()).await.unwrap();
    assert_eq!((again.paid, again.transactions.len()), (Amount::ZERO, 0));
    assert_eq!((stage.bench.chain.sent(), stage.bench.chain.channel().books.claimed.get()), (1, 20));
    // what was claimed is not owed again, and what follows is
    assert_eq!(stage.quote(30).await.paid(), ("9970", "30", "10"));
    stage.bench.chain.advance(60);
    assert_eq!(stage.service.settle(CHANNEL.into()).await.unwrap().paid, Amount::new(10));
}

#[tokio::test]
async fn settling_everything_answers_for_each_channel() {
    let stage = Stage::new().await;
    stage.quote(10).await.paid();
    let outcomes = stage.service.settle_all().await;
    assert_eq!(outcomes.len(), 1);
    let (channel, outcome) = &outcomes[0];
    assert_eq!((channel.to_bytes(), outcome.as_ref().unwrap().paid), (CHANNEL, Amount::new(10)));
    let unknown = stage.service.settle([1; 32].into()).await.unwrap_err();
    assert_eq!(unknown.code(), Some(Code::NoChannel));
}

#[tokio::test]
async fn a_settlement_that_landed_unseen_is_a_success() {
    let stage = Stage::new().await;
    stage.quote(10).await.paid();
    stage.bench.chain.fate(Fate::LandsUnseen);
    assert_eq!(stage.service.settle(CHANNEL.into()).await.unwrap().paid, Amount::new(10));
    assert_eq!(stage.bench.chain.sent(), 1);
}

#[tokio::test]
async fn a_lost_settlement_is_no_success() {
    let stage = Stage::new().await;
    stage.bench.chain.fate(Fate::Lost);
    stage.quote(10).await.paid();
    let denial = stage.service.settle(CHANNEL.into()).await.unwrap_err();
    assert_eq!(denial.code(), None);
    assert!(stage.bench.chain.settled().is_zero());
    stage.bench.chain.fate(Fate::Lands);
    assert_eq!(stage.service.settle(CHANNEL.into()).await.unwrap().paid, Amount::new(10));
}

#[tokio::test]
async fn the_worker_tries_again_without_waiting_for_the_watch() {
    let stage = Stage::new().await;
    stage.bench.chain.change_channel(|account| account.terms.rate_limit = 10);
    stage.bench.chain.fate(Fate::Lost);
    stage.quote(10).await.paid();
    assert_eq!(stage.quote(20).await.code(), (429, "AMP_RATE_EXCEEDED"));
    let chain = stage.bench.chain.clone();
    eventually("a settlement is lost", || chain.sent() == 1).await;
    stage.bench.chain.fate(Fate::Lands);
    eventually("the claim is booked", || chain.settled() == Amount::new(10)).await;
}

#[tokio::test]
async fn a_close_request_is_noticed_and_settled_at_once() {
    let stage = Stage::with(|config| config.watch_interval(Duration::from_millis(100))).await;
    stage.quote(10).await.paid();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(stage.bench.chain.sent(), 0, "a routine settlement is not due for an hour");
    stage.bench.chain.change_channel(|account| {
        account.signer.last_settled_at = crate::server::clock::unix_now();
        (account.books.closing, account.closing_at) = (true, 1);
    });
    let chain = stage.bench.chain.clone();
    eventually("the claim is booked", || chain.channel().books.claimed == Amount::new(10)).await;
}

#[tokio::test]
async fn what_was_served_before_a_crash_is_collected_after_it() {
    let stage = Stage::new().await;
    stage.quote(10).await.paid();
    let stage = stage.restart().await;
    // not a request since: the worker finds the channel in the store
    assert_eq!(stage.service.settle(CHANNEL.into()).await.unwrap().paid, Amount::new(10));
}

#[tokio::test]
async fn only_what_is_on_disk_is_claimed() {
    let stage = Stage::new().await;
    stage.quote(10).await.paid();
    let price = Amount::new(10);
    let admission = stage.service.authorize(&stage.bench.credential(20).await, price).await.unwrap();
    stage.bench.disk(Disk::Hangs);
    let charge = tokio::spawn(admission.charge(price));
    tokio::time::sleep(Duration::from_millis(20)).await;
    let service = stage.service.clone();
    let settling = tokio::spawn(async move { service.settle(CHANNEL.into()).await });
    let chain = stage.bench.chain.clone();
    eventually("the claim is booked", || !chain.settled().is_zero()).await;
    assert_eq!(stage.bench.chain.settled(), Amount::new(10));
    stage.bench.disk(Disk::Works);
    assert_eq!(charge.await.unwrap().unwrap().spent, Amount::new(20));
    assert_eq!(settling.await.unwrap().unwrap().paid, Amount::new(10));
}

#[tokio::test]
async fn a_refusal_for_the_rate_makes_the_worker_settle_when_it_may() {
    let stage = Stage::new().await;
    stage.bench.chain.change_channel(|account| {
        account.terms.rate_limit = 10;
        account.books.window.started_at -= 30;
    });
    stage.quote(10).await.paid();
    assert_eq!(stage.quote(20).await.code(), (429, "AMP_RATE_EXCEEDED"));
    let chain = stage.bench.chain.clone();
    eventually("the claim is booked", || chain.channel().books.claimed == Amount::new(10)).await;
}

/// Lets the worker watch for so long.
async fn pass(seconds: u64) {
    tokio::time::pause();
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}

/// The store has a thread of its own, and that one's time does not pass with the others'.
async fn ended(stage: &Stage) {
    eventually("the channel is ended", || stage.service.core.books.active().is_empty()).await;
}

#[tokio::test]
async fn a_channel_gone_from_the_chain_is_ended_and_not_loaded_again() {
    let stage = Stage::new().await;
    stage.quote(10).await.paid();
    stage.bench.chain.remove(CHANNEL);
    pass(590).await;
    assert_eq!(stage.service.settle_all().await.len(), 1, "a node may be wrong for that long");
    pass(110).await;
    ended(&stage).await;
    assert_eq!(stage.service.settle_all().await.len(), 0);
    let stage = stage.restart().await;
    assert_eq!(stage.quote(20).await.code(), (402, "AMP_NO_CHANNEL"), "the books are not loaded");
}

#[tokio::test]
async fn a_channel_that_was_taken_for_gone_is_served_and_settled_on_with_its_ledger() {
    let stage = Stage::new().await;
    stage.quote(10).await.paid();
    let account = stage.bench.chain.channel();
    stage.bench.chain.remove(CHANNEL);
    pass(700).await;
    ended(&stage).await;
    assert_eq!(stage.service.settle_all().await.len(), 0);
    stage.bench.chain.put_channel(CHANNEL, &account);
    pass(2).await;
    assert_eq!(stage.quote(10).await.code(), (400, "AMP_INVALID_SEQ"));
    assert_eq!(stage.quote(20).await.paid(), ("9980", "20", "10"));
    assert_eq!(stage.service.settle_all().await.len(), 1);
    assert_eq!(stage.bench.chain.settled(), Amount::new(20));
    let stage = stage.restart().await;
    assert_eq!(stage.quote(20).await.code(), (400, "AMP_INVALID_SEQ"));
    assert_eq!(stage.quote(30).await.paid(), ("9970", "30", "10"));
}

#[tokio::test]
async fn a_channel_that_was_taken_for_gone_has_its_ledger_after_a_restart_too() {
    let stage = Stage::new().await;
    stage.quote(10).await.paid();
    let account = stage.bench.chain.channel();
    stage.bench.chain.remove(CHANNEL);
    pass(700).await;
    ended(&stage).await;
    let stage = stage.restart().await;
    assert_eq!(stage.service.settle_all().await.len(), 0, "not loaded");
    stage.bench.chain.put_channel(CHANNEL, &account);
    assert_eq!(stage.quote(10).await.code(), (400, "AMP_INVALID_SEQ"));
    assert_eq!(stage.quote(20).await.paid(), ("9980", "20", "10"));
    assert_eq!(stage.service.settle(CHANNEL.into()).await.unwrap().paid, Amount::new(20));
}

#[tokio::test]
async fn a_channel_that_was_taken_for_gone_is_collected_from_while_it_closes() {
    let stage = Stage::new().await;
    stage.quote(10).await.paid();
    let account = stage.bench.chain.channel();
    stage.bench.chain.remove(CHANNEL);
    pass(700).await;
    ended(&stage).await;
    let stage = stage.restart().await;
    stage.bench.chain.put_channel(CHANNEL, &account);
    stage.bench.chain.change_channel(|account| (account.books.closing, account.closing_at) = (true, 1));
    assert_eq!(stage.quote(20).await.code(), (410, "AMP_CLOSED"));
    // unless the worker was quicker
    stage.service.settle(CHANNEL.into()).await.unwrap();
    assert_eq!(stage.bench.chain.settled(), Amount::new(10));
}

#[tokio::test]
async fn a_channel_that_was_taken_for_gone_is_settled_on_demand() {
    let stage = Stage::new().await;
    stage.quote(10).await.paid();
    let account = stage.bench.chain.channel();
    stage.bench.chain.remove(CHANNEL);
    pass(700).await;
    ended(&stage).await;
    stage.bench.chain.put_channel(CHANNEL, &account);
    assert_eq!(stage.service.settle(CHANNEL.into()).await.unwrap().paid, Amount::new(10));
    assert_eq!(stage.service.settle_all().await.len(), 1, "it is looked after again");
}

#[tokio::test]
async fn a_service_that_shut_down_settles_nothing_more() {
    let stage = Stage::new().await;
    stage.quote(10).await.paid();
    stage.service.shutdown().await;
    let denial = stage.service.settle(CHANNEL.into()).await.unwrap_err();
    assert_eq!(denial.code(), None);
    assert_eq!(stage.bench.chain.sent(), 0);
    // clones still answer, and a second shutdown is no error
    stage.quote(20).await.paid();
    stage.service.shutdown().await;
}

#[tokio::test]
async fn a_client_can_not_make_the_service_pay_a_fee_for_every_call() {
    let stage = Stage::with(|config| config.min_settle_interval(1)).await;
    stage.bench.chain.change_channel(|account| {
        (account.terms.rate_limit, account.terms.settle_interval) = (10, 1);
    });
    let chain = stage.bench.chain.clone();
    stage.quote(10).await.paid();
    assert_eq!(stage.quote(20).await.code(), (429, "AMP_RATE_EXCEEDED"));
    eventually("the claim is booked", || chain.settled() == Amount::new(10)).await;
    chain.advance(5);
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    stage.quote(20).await.paid();
    for _ in 0..3 {
        assert_eq!(stage.quote(30).await.code(), (429, "AMP_RATE_EXCEEDED"));
        tokio::time::sleep(Duration::from_millis(1_100)).await;
    }
    assert_eq!(chain.sent(), 1, "the next one is due a minute after the last");
}

#[tokio::test]
async fn what_is_not_worth_a_fee_waits_for_more_or_for_the_close() {
    let routine = |config: crate::server::ServiceConfig| {
        let config = config.watch_interval(Duration::from_millis(100)).settle_every(1);
        config.min_settlement(Amount::new(20))
    };
    let stage = Stage::with(routine).await;
    let chain = stage.bench.chain.clone();
    stage.quote(10).await.paid();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(chain.sent(), 0);
    stage.quote(20).await.paid();
    eventually("it is worth a settlement", || chain.settled() == Amount::new(20)).await;
    stage.quote(30).await.paid();
    chain.advance(60);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(chain.sent(), 1);
    chain.change_channel(|account| (account.books.closing, account.closing_at) = (true, 1));
    eventually("the rest is claimed", || chain.settled() == Amount::new(30)).await;
}

#[tokio::test]
async fn a_panic_in_one_settlement_does_not_end_the_worker() {
    let stage = Stage::new().await;
    stage.quote(10).await.paid();
    stage.bench.chain.fate(Fate::Panics);
    assert_eq!(stage.service.settle(CHANNEL.into()).await.unwrap_err().code(), None);
    stage.bench.chain.fate(Fate::Lands);
    assert_eq!(stage.service.settle(CHANNEL.into()).await.unwrap().paid, Amount::new(10));
}
