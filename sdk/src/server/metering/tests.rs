#![allow(clippy::arithmetic_side_effects, reason = "an overflow fails the test, as it should")]

use std::time::Duration;

use amp_protocol::code::Code;
use amp_protocol::money::Seq;
use amp_protocol::rate::Per;
use tokio::time::{sleep, timeout};

use super::*;
use crate::server::testing::{Bench, CHANNEL, Disk};
use crate::server::views::Freshness;

/// 3 base units for every 4 things.
const RATE: Rate = Rate { amount: Amount::new(3), per: Per::new(4).unwrap() };

async fn metered(bench: &Bench, service: &AmpService, seq: u64) -> Meter {
    service.authorize_metered(&bench.credential(seq).await, RATE).await.unwrap()
}

/// What the service says that was spent, once nothing is in flight.
async fn spent(bench: &Bench, service: &AmpService) -> u64 {
    let book = service.core.books.of(CHANNEL).pop().unwrap();
    book.drained(Duration::from_secs(5)).await;
    assert_eq!(book.ledger().in_flight(), 0);
    service.channel_status(&bench.credential(0).await).await.unwrap().spent.get()
}

async fn serving() -> (Bench, AmpService) {
    let bench = Bench::new();
    let config = bench.config().stream_wait(Duration::from_millis(600));
    let service = bench.service_with(config).await;
    (bench, service)
}

#[tokio::test]
async fn what_was_counted_is_charged_and_the_rest_is_free_again() {
    let (bench, service) = serving().await;
    let meter = metered(&bench, &service, 1_000).await;
    meter.spend(101).await.unwrap();
    meter.cover(1).await.unwrap();
    assert!(meter.available() > 1, "some is paid for ahead");
    let receipt = meter.finish().await.unwrap();
    assert_eq!((receipt.cost.get(), receipt.spent.get(), receipt.balance.get()), (76, 76, 9_924));
    assert_eq!(spent(&bench, &service).await, 76);
    assert_eq!(meter.count(1), 0, "nothing leaves after the end");
    assert_eq!(meter.finish().await.unwrap_err().code(), Some(Code::Closed));
}

#[tokio::test]
async fn a_stream_that_is_dropped_is_charged_for_what_was_counted() {
    let (bench, service) = serving().await;
    let meter = metered(&bench, &service, 1_000).await;
    assert_eq!(meter.count(3), 3);
    drop(meter.clone());
    meter.cover(2).await.unwrap();
    assert_eq!(meter.count(2), 2);
    drop(meter);
    assert_eq!(spent(&bench, &service).await, 4);
}

#[tokio::test]
async fn nothing_may_leave_before_it_is_on_disk() {
    let (bench, service) = serving().await;
    let meter = metered(&bench, &service, 1_000).await;
    let all = meter.available();
    assert_eq!(meter.count(u64::MAX), all);
    bench.disk(Disk::Hangs);
    assert!(timeout(Duration::from_millis(100), meter.cover(1)).await.is_err());
    assert_eq!(meter.count(1), 0);
    bench.disk(Disk::Works);
    meter.cover(1).await.unwrap();
    assert_eq!(meter.count(1), 1);
}

#[tokio::test]
async fn a_stream_at_the_ceiling_says_what_it_needs_and_goes_on_when_that_is_signed() {
    let (bench, service) = serving().await;
    let meter = metered(&bench, &service, 30).await;
    meter.spend(40).await.unwrap();
    let mut needs = meter.needs();
    let asked = bench.chain.calls();
    let waiting = tokio::spawn({
        let meter = meter.clone();
        async move { meter.spend(10).await }
    });
    let need = needs.wait_for(Option::is_some).await.unwrap().clone().unwrap();
    assert_eq!(need.required_seq(), Some(Seq::new(38)), "50 things are 37.5");
    assert_eq!(need.refusal.as_ref().map(|body| body.error), Some(Code::Underfunded));
    let status = async || service.channel_status(&bench.credential(0).await).await.unwrap();
    assert_eq!(status().await.required_seq, Some(Seq::new(38)));
    // less than it needs does not do
    service.raise_ceiling(&bench.credential(37).await).await.unwrap();
    sleep(Duration::from_millis(50)).await;
    assert!(!waiting.is_finished());
    service.raise_ceiling(&bench.credential(38).await).await.unwrap();
    waiting.await.unwrap().unwrap();
    assert_eq!(bench.chain.calls(), asked, "it waited for its client, not for a look at the chain");
    assert_eq!((meter.needs().borrow().clone(), status().await.required_seq), (None, None));
    assert_eq!(meter.finish().await.unwrap().cost.get(), 38);
}

#[tokio::test]
async fn a_stream_for_which_nothing_more_is_signed_ends_with_what_was_delivered() {
    let (bench, service) = serving().await;
    let meter = metered(&bench, &service, 30).await;
    meter.spend(40).await.unwrap();
    let denial = meter.spend(1).await.unwrap_err();
    assert_eq!(denial.code(), Some(Code::Underfunded));
    service.raise_ceiling(&bench.credential(100).await).await.unwrap();
    assert_eq!(meter.spend(1).await.unwrap_err(), denial, "it is over");
    assert_eq!(meter.finish().await.unwrap().cost.get(), 30);
}

#[tokio::test]
async fn what_was_not_even_authorized_for_one_thing_is_refused_at_once() {
    let (bench, service) = serving().await;
    metered(&bench, &service, 3).await.spend(4).await.unwrap();
    assert_eq!(spent(&bench, &service).await, 3);
    let refused = service.authorize_metered(&bench.credential(2).await, RATE).await.unwrap_err();
    let Denial::Refused(body) = refused else { panic!("{refused}") };
    assert_eq!((body.error, body.required_seq), (Code::Underfunded, Some(Seq::new(4))));
}

#[tokio::test]
async fn while_a_stream_runs_what_it_has_used_can_be_settled_and_what_is_ahead_can_not() {
    let (bench, service) = serving().await;
    let meter = metered(&bench, &service, 1_000).await;
    for _ in 0..40 {
        meter.spend(10).await.unwrap();
    }
    let book = service.core.books.of(CHANNEL).pop().unwrap();
    let owed = book.ledger().owed_total(&bench.account()).unwrap().get();
    assert!(owed > 0 && owed <= 300, "{owed}");
    bench.chain.advance(120);
    service.settle(CHANNEL.into()).await.unwrap();
    assert_eq!(meter.finish().await.unwrap().cost.get(), 300);
}

#[tokio::test]
async fn after_a_crash_what_was_set_aside_is_spent_for_it_may_have_left() {
    let (bench, service) = serving().await;
    let meter = metered(&bench, &service, 1_000).await;
    meter.spend(10).await.unwrap();
    let ahead = RATE.cost(meter.counted() + meter.available()).unwrap().get();
    assert!(ahead > 8);
    // another request of the same signer is stored meanwhile
    let other = service.authorize(&bench.credential(999).await, Amount::new(5)).await.unwrap();
    other.charge(Amount::new(5)).await.unwrap();
    let spent_after_a_kill = async || {
        let bench = bench.after_a_kill();
        let service = bench.service_with(bench.config()).await;
        service.channel_status(&bench.credential(0).await).await.unwrap().spent.get()
    };
    assert_eq!(spent_after_a_kill().await, ahead + 5);
    meter.finish().await.unwrap();
    assert_eq!(spent_after_a_kill().await, 8 + 5);
}

#[tokio::test]
async fn a_last_charge_that_could_not_be_stored_stands_and_is_stored_later() {
    let (bench, service) = serving().await;
    let meter = metered(&bench, &service, 1_000).await;
    meter.spend(100).await.unwrap();
    bench.disk(Disk::FailsFirst(1));
    assert_eq!(meter.finish().await.unwrap_err().code(), None);
    timeout(Duration::from_secs(5), async {
        while spent(&bench, &service).await != 75 {
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_close_ends_a_stream_and_its_statement_has_all_that_was_delivered() {
    let (bench, service) = serving().await;
    let meter = metered(&bench, &service, 1_000).await;
    meter.spend(100).await.unwrap();
    let streaming = tokio::spawn(async move {
        meter.stopped().await;
        meter.cover(u64::from(u32::MAX)).await.unwrap_err();
        meter.finish().await.unwrap()
    });
    let closed = service.close(&bench.credential(1_000).await).await.unwrap();
    assert_eq!(closed.close_statement.owed_total.get(), 75);
    assert_eq!(streaming.await.unwrap().cost.get(), 75);
}

#[tokio::test]
async fn a_stream_of_a_channel_whose_close_was_asked_for_does_not_go_on() {
    let (bench, service) = serving().await;
    let meter = metered(&bench, &service, 1_000).await;
    let mut account = bench.account();
    account.books.closing = true;
    account.closing_at = bench.chain.now();
    bench.chain.put_channel(CHANNEL, &account);
    service.core.channels.get(CHANNEL, Freshness::Now).await.unwrap();
    let denial = meter.spend(1_000).await.unwrap_err();
    assert_eq!(denial.code(), Some(Code::Closed));
}

#[tokio::test]
async fn a_delegates_stream_ends_at_its_limit() {
    let (bench, service) = serving().await;
    let (key, _) = bench.delegate(30);
    let credential = bench.delegated(&key, 1_000).await;
    let meter = service.authorize_metered(&credential, RATE).await.unwrap();
    meter.spend(40).await.unwrap();
    let Denial::Refused(body) = meter.spend(1).await.unwrap_err() else { panic!("it is over") };
    assert_eq!(body.shortage, Some(amp_protocol::json::Shortage::DelegateLimit));
    assert_eq!(meter.finish().await.unwrap().cost.get(), 30);
}

#[tokio::test]
async fn streams_side_by_side_are_charged_for_what_each_delivered() {
    let (bench, service) = serving().await;
    let mut streams = Vec::new();
    for n in 0..24_u64 {
        let meter = metered(&bench, &service, 9_000 - n).await;
        streams.push(tokio::spawn(async move {
            let mut counted = 0;
            for step in 0..n {
                counted += meter.count(step);
                meter.spend(n % 5 + 1).await.unwrap();
                counted += n % 5 + 1;
            }
            assert_eq!(meter.counted(), counted);
            if n % 2 == 0 {
                assert_eq!(Some(meter.finish().await.unwrap().cost), RATE.cost(counted));
            }
            RATE.cost(counted).unwrap().get()
        }));
    }
    let mut all = 0;
    for stream in streams {
        all += stream.await.unwrap();
    }
    assert_eq!(spent(&bench, &service).await, all);
}

#[tokio::test]
async fn a_close_is_told_what_has_left_of_a_stream_that_nobody_polls() {
    let bench = Bench::new();
    let service = bench.service_with(bench.config().in_flight_wait(Duration::from_millis(50))).await;
    let meter = metered(&bench, &service, 100).await;
    meter.spend(120).await.unwrap();
    // its client does not read, so nobody asks for more, nor looks whether it has stopped
    let closed = service.close(&bench.credential(100).await).await.unwrap();
    assert_eq!(closed.close_statement.owed_total.get(), 90);
    assert_eq!(meter.count(1), 0, "and nothing leaves after it");
}

#[tokio::test]
async fn what_has_left_can_be_claimed_though_the_stream_may_not_go_on() {
    let (bench, service) = serving().await;
    let meter = metered(&bench, &service, 100).await;
    meter.spend(120).await.unwrap();
    // half of it is used, and there is no more to be had
    meter.reach_ahead().await;
    let book = service.core.books.of(CHANNEL).pop().unwrap();
    assert_eq!(book.ledger().owed_total(&bench.account()).unwrap().get(), 90);
    assert_eq!(meter.finish().await.unwrap().cost.get(), 90);
}

#[tokio::test]
async fn a_stream_of_a_channel_whose_close_was_asked_for_is_claimed_within_the_grace() {
    let (bench, service) = serving().await;
    let meter = metered(&bench, &service, 1_000).await;
    meter.spend(120).await.unwrap();
    bench.chain.change_channel(|account| (account.books.closing, account.closing_at) = (true, 1));
    assert_eq!(service.settle(CHANNEL.into()).await.unwrap().paid.get(), 90);
    assert_eq!(meter.count(1), 0);
}

#[tokio::test]
async fn a_close_waits_for_a_last_charge_that_could_not_be_stored() {
    let (bench, service) = serving().await;
    let meter = metered(&bench, &service, 1_000).await;
    meter.spend(100).await.unwrap();
    // fails at once, and again a second later
    bench.disk(Disk::FailsFirst(2));
    meter.finish().await.unwrap_err();
    sleep(Duration::from_millis(50)).await;
    bench.disk(Disk::Works);
    let closed = service.close(&bench.credential(1_000).await).await.unwrap();
    assert_eq!(closed.close_statement.owed_total.get(), 75);
}

#[tokio::test]
async fn a_step_that_can_not_be_stored_sets_nothing_more_aside_when_it_is_tried_again() {
    let (bench, service) = serving().await;
    let meter = metered(&bench, &service, 9_000).await;
    bench.disk(Disk::FullAfter(0));
    for _ in 0..5 {
        meter.reach_ahead().await;
    }
    let reserved = |service: &AmpService| {
        let book = service.core.books.of(CHANNEL).pop().unwrap();
        let reserved = book
            .ledger()
            .signer(&crate::server::ledger::SignerId::authorized(&bench.account()))
            .unwrap()
            .reserved;
        reserved.get()
    };
    let once = reserved(&service);
    meter.reach_ahead().await;
    assert_eq!(reserved(&service), once);
    bench.disk(Disk::Works);
    assert_eq!(meter.finish().await.unwrap().cost.get(), 0);
    assert_eq!(reserved(&service), 0);
}

#[tokio::test]
async fn a_service_that_shuts_down_charges_what_has_left_of_its_streams() {
    let (bench, service) = serving().await;
    let meter = metered(&bench, &service, 1_000).await;
    meter.spend(100).await.unwrap();
    service.shutdown().await;
    let bench = bench.after_a_kill();
    let service = bench.service_with(bench.config()).await;
    assert_eq!(service.channel_status(&bench.credential(0).await).await.unwrap().spent.get(), 75);
}
