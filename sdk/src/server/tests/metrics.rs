//! Each metric moves when it should, and by how much.

use super::*;
use std::convert::Infallible;
use std::time::Duration;

use amp_protocol::text::path;
use tower::{Layer as _, service_fn};

use crate::server::ChargeOn;
use crate::server::metrics::Outcome;
use crate::server::testing::Exposition;

async fn read(service: &AmpService) -> Exposition {
    Exposition::parse(&service.metrics().await).unwrap()
}

async fn value(stage: &Stage, sample: &str) -> f64 {
    read(&stage.service).await.get(sample)
}

async fn abandon(stage: &Stage, credential: &CredentialBody) {
    let abandoned = get_with(&stage.router, "/slow", credential);
    assert!(tokio::time::timeout(Duration::from_millis(100), abandoned).await.is_err());
}

/// The one outcome that was counted since, and that it was counted once.
struct Tally(Vec<(String, f64)>);

impl Tally {
    async fn of(stage: &Stage) -> Self {
        Self(read(&stage.service).await.0["amp_requests"].samples.clone())
    }

    async fn next(&mut self, stage: &Stage) -> String {
        let before = std::mem::replace(self, Self::of(stage).await);
        let all = before.0.iter().zip(&self.0).filter(|(before, now)| before.1 != now.1);
        let changed: Vec<_> = all.map(|(before, now)| (now.0.clone(), now.1 - before.1)).collect();
        assert!(changed.len() == 1 && changed[0].1 == 1.0, "{changed:?}");
        let label = changed[0].0.split('"').nth(1);
        label.unwrap().to_owned()
    }
}

#[tokio::test]
async fn each_request_is_counted_once_under_what_came_of_it() {
    let stage = Stage::with(|config| config.channel_max_age(Duration::from_millis(1))).await;
    let mut tally = Tally::of(&stage).await;
    stage.quote(10).await.paid();
    assert_eq!(tally.next(&stage).await, "served");
    get_with(&stage.router, "/fail", &stage.bench.credential(20).await).await;
    assert_eq!(tally.next(&stage).await, "not_charged");
    post_with(&stage.router, path::CREDENTIAL, &stage.bench.credential(30).await).await.paid();
    assert_eq!(tally.next(&stage).await, "ceiling_raised");
    bare(&stage.router, Method::GET, "/quote").await;
    assert_eq!(tally.next(&stage).await, "no_credential");
    stage.quote(10).await;
    assert_eq!(tally.next(&stage).await, "AMP_INVALID_SEQ");
    let mut forged = stage.bench.credential(40).await;
    forged.sig.0[0] ^= 1;
    get_with(&stage.router, "/quote", &forged).await;
    assert_eq!(tally.next(&stage).await, "AMP_INVALID_SIG");
    call(&stage.router, Request::get("/quote").header(header::SEQ, "1").body(Body::empty()).unwrap()).await;
    assert_eq!(tally.next(&stage).await, "AMP_NO_CHANNEL");
    stage.quote(10_001).await;
    assert_eq!(tally.next(&stage).await, "AMP_UNDERFUNDED");
    abandon(&stage, &stage.bench.credential(41).await).await;
    assert_eq!(tally.next(&stage).await, "client_gone");
    stage.bench.disk(Disk::FullAfter(0));
    stage.quote(42).await;
    assert_eq!(tally.next(&stage).await, "not_stored");
    stage.bench.disk(Disk::Works);
    stage.bench.chain.change_channel(|account| account.terms.rate_limit = 5);
    tokio::time::sleep(Duration::from_millis(5)).await;
    stage.quote(60).await;
    assert_eq!(tally.next(&stage).await, "AMP_RATE_EXCEEDED");
    stage.bench.chain.change_channel(|account| (account.books.closing, account.closing_at) = (true, 1));
    tokio::time::sleep(Duration::from_millis(5)).await;
    stage.quote(60).await;
    assert_eq!(tally.next(&stage).await, "AMP_CLOSED");
    stage.bench.chain.go_down(true);
    stage.quote(60).await;
    assert_eq!(tally.next(&stage).await, "unavailable");
}

#[tokio::test]
async fn a_free_route_counts_as_no_request() {
    let stage = Stage::new().await;
    bare(&stage.router, Method::GET, "/free").await;
    assert!(Tally::of(&stage).await.0.iter().all(|(_, count)| *count == 0.0));
}

#[tokio::test]
async fn a_handler_that_panics_or_gives_an_error_charged_nothing_and_nobody_went_away() {
    let stage = Stage::new().await;
    let mut tally = Tally::of(&stage).await;
    let layer = AmpLayer::new(stage.service.clone());
    let request = async |seq| {
        signed(Request::get("/quote"), &stage.bench.credential(seq).await).body(Body::empty()).unwrap()
    };
    let failing = layer.layer(service_fn(async |_: Request<Body>| Err::<http::Response<Body>, _>("broken")));
    assert_eq!(failing.oneshot(request(10).await).await.unwrap_err(), "broken");
    assert_eq!(tally.next(&stage).await, "not_charged");
    let panicking =
        layer.layer(service_fn(async |_: Request<Body>| -> Result<http::Response<Body>, Infallible> {
            panic!("told to")
        }));
    let answer = tokio::spawn(panicking.oneshot(request(20).await)).await;
    assert!(answer.unwrap_err().is_panic());
    assert_eq!(tally.next(&stage).await, "not_charged");
    assert_eq!(value(&stage, "amp_charged_base_units_total").await, 0.0);
}

#[tokio::test]
async fn who_goes_away_from_what_is_always_charged_is_counted_as_gone_and_what_it_paid_as_charged() {
    let stage = Stage::with(|config| config.charge_on(ChargeOn::Always)).await;
    let mut tally = Tally::of(&stage).await;
    abandon(&stage, &stage.bench.credential(10).await).await;
    let book = stage.service.core.books.of(CHANNEL).pop().unwrap();
    book.drained(Duration::from_secs(5)).await;
    assert_eq!(tally.next(&stage).await, "client_gone");
    assert_eq!(value(&stage, "amp_charged_base_units_total").await, 10.0);
}

#[tokio::test]
async fn a_served_request_is_one_check_one_admission_and_one_commit() {
    let stage = Stage::new().await;
    for seq in [10, 20, 30] {
        stage.quote(seq).await.paid();
    }
    let read = read(&stage.service).await;
    for count in ["amp_verify_seconds_count", "amp_admission_seconds_count", "amp_commit_seconds_count"] {
        assert_eq!(read.get(count), 3.0, "{count}");
    }
    assert_eq!(read.get("amp_charged_base_units_total"), 30.0);
    assert_eq!((read.get("amp_commits_in_flight"), read.get("amp_commits_failed_total")), (0.0, 0.0));
}

#[tokio::test]
async fn a_delegates_request_is_checked_against_the_authorized_key_and_then_the_delegates() {
    let stage = Stage::new().await;
    let (key, _) = stage.bench.delegate(1_000);
    stage.quote_by(&key, 10).await.paid();
    assert_eq!(value(&stage, "amp_verify_seconds_count").await, 2.0);
}

#[tokio::test]
async fn a_charge_that_is_not_stored_is_a_failed_commit_and_no_amount() {
    let stage = Stage::new().await;
    stage.bench.disk(Disk::FullAfter(0));
    stage.quote(10).await;
    let read = read(&stage.service).await;
    assert_eq!((read.get("amp_commits_failed_total"), read.get("amp_charged_base_units_total")), (1.0, 0.0));
    assert_eq!((read.get("amp_unsettled_base_units"), read.get("amp_exposure_base_units")), (0.0, 0.0));
}

#[tokio::test]
async fn what_is_in_flight_is_exposure_and_what_is_served_is_unsettled() {
    let stage = Stage::new().await;
    stage.quote(10).await.paid();
    let credential = stage.bench.credential(20).await;
    let router = stage.router.clone();
    let waits = tokio::spawn(async move { get_with(&router, "/slow", &credential).await });
    let book = stage.service.core.books.of(CHANNEL).pop().unwrap();
    eventually("it is admitted", || book.ledger().in_flight() == 1).await;
    let now = read(&stage.service).await;
    assert_eq!((now.get("amp_unsettled_base_units"), now.get("amp_exposure_base_units")), (10.0, 20.0));
    assert_eq!(now.get("amp_requests_in_flight"), 1.0);
    assert_eq!(now.get("amp_channels{state=\"open\"}"), 1.0);
    stage.gate.notify_one();
    waits.await.unwrap().paid();
    let now = read(&stage.service).await;
    assert_eq!((now.get("amp_unsettled_base_units"), now.get("amp_exposure_base_units")), (20.0, 20.0));
    assert_eq!(now.get("amp_requests_in_flight"), 0.0);
}

#[tokio::test]
async fn a_settlement_moves_the_amount_from_unsettled_to_settled() {
    let stage = Stage::new().await;
    stage.quote(10).await.paid();
    stage.service.settle(CHANNEL.into()).await.unwrap();
    let read = read(&stage.service).await;
    assert_eq!((read.get("amp_settled_base_units_total"), read.get("amp_unsettled_base_units")), (10.0, 0.0));
    assert_eq!(read.get("amp_settlements_total{outcome=\"confirmed\"}"), 1.0);
    assert_eq!(read.get("amp_transactions_total{outcome=\"confirmed\"}"), 1.0);
    assert_eq!(read.get("amp_fees_lamports_total"), 10_000.0);
}

#[tokio::test]
async fn a_settlement_that_landed_unseen_is_booked_and_one_that_was_lost_has_failed() {
    let stage = Stage::new().await;
    stage.quote(10).await.paid();
    stage.bench.chain.fate(Fate::Lost);
    stage.service.settle(CHANNEL.into()).await.unwrap_err();
    let lost = read(&stage.service).await;
    assert_eq!(lost.get("amp_settlements_total{outcome=\"failed\"}"), 1.0);
    assert_eq!((lost.get("amp_settled_base_units_total"), lost.get("amp_unsettled_base_units")), (0.0, 10.0));
    stage.bench.chain.fate(Fate::LandsUnseen);
    stage.service.settle(CHANNEL.into()).await.unwrap();
    let landed = read(&stage.service).await;
    assert_eq!(landed.get("amp_settlements_total{outcome=\"booked\"}"), 1.0);
    assert_eq!(landed.get("amp_transactions_total{outcome=\"unconfirmed\"}"), 2.0);
    assert_eq!(landed.get("amp_settled_base_units_total"), 10.0);
    assert_eq!(landed.get("amp_fees_lamports_total"), 0.0, "nobody saw what it cost");
}

#[tokio::test]
async fn a_settlement_that_breaks_off_or_whose_node_goes_away_has_failed() {
    let stage = Stage::new().await;
    stage.quote(10).await.paid();
    stage.bench.chain.fate(Fate::Panics);
    stage.service.settle(CHANNEL.into()).await.unwrap_err();
    assert_eq!(value(&stage, "amp_settlements_total{outcome=\"failed\"}").await, 1.0);
    stage.bench.chain.fate(Fate::Lands);
    let recipient = crate::signer::Signer::public_key(&stage.bench.recipient);
    let mint = crate::server::testing::MINT.into();
    let payout = crate::chain::associated_token_address(&recipient, &mint, &crate::chain::TOKEN_PROGRAM);
    stage.bench.chain.before_reading(payout.to_bytes(), |chain| chain.go_down(true));
    stage.service.settle(CHANNEL.into()).await.unwrap_err();
    assert_eq!(value(&stage, "amp_settlements_total{outcome=\"failed\"}").await, 2.0);
}

#[tokio::test]
async fn what_a_closing_channel_owes_is_at_risk_and_its_grace_runs() {
    // nothing is sent: what is at risk stays so
    let stage = Stage::with(|config| config.watch_interval(Duration::from_millis(50))).await;
    stage.bench.chain.fate(Fate::Lost);
    stage.quote(10).await.paid();
    let now = read(&stage.service).await;
    assert_eq!((now.get("amp_at_risk_base_units"), now.get("amp_grace_left_seconds")), (0.0, f64::INFINITY));
    let asked_at = stage.bench.chain.now() - 600;
    stage.bench.chain.change_channel(|account| {
        (account.books.closing, account.closing_at) = (true, asked_at);
    });
    let book = stage.service.core.books.of(CHANNEL).pop().unwrap();
    eventually("it is noticed", || book.noted().is_some_and(|noted| noted.closing)).await;
    let now = read(&stage.service).await;
    assert_eq!(now.get("amp_at_risk_base_units"), 10.0);
    assert_eq!(
        (now.get("amp_channels{state=\"open\"}"), now.get("amp_channels{state=\"closing\"}")),
        (0.0, 1.0)
    );
    let left = now.get("amp_grace_left_seconds");
    assert!((2_000.0..=3_000.0).contains(&left), "{left}");
}

#[tokio::test]
async fn a_closing_channel_that_owes_nothing_has_no_grace_to_lose() {
    let stage = Stage::with(|config| config.watch_interval(Duration::from_millis(50))).await;
    stage.quote(10).await.paid();
    let asked_at = stage.bench.chain.now();
    stage.bench.chain.change_channel(|account| {
        (account.books.closing, account.closing_at) = (true, asked_at);
    });
    let chain = stage.bench.chain.clone();
    eventually("it is settled", || chain.settled().get() == 10).await;
    let book = stage.service.core.books.of(CHANNEL).pop().unwrap();
    eventually("it is looked at", || book.noted().is_some() && book.ledger().stake().unsettled.is_zero())
        .await;
    let now = read(&stage.service).await;
    assert_eq!(now.get("amp_channels{state=\"closing\"}"), 1.0);
    assert_eq!((now.get("amp_at_risk_base_units"), now.get("amp_grace_left_seconds")), (0.0, f64::INFINITY));
}

#[tokio::test]
async fn of_a_delegate_that_ended_what_it_owes_is_at_risk_and_nothing_else_of_its_channel() {
    let stage = Stage::with(|config| config.watch_interval(Duration::from_millis(50))).await;
    stage.bench.chain.fate(Fate::Lost);
    let (key, address) = stage.bench.delegate(1_000);
    stage.quote(30).await.paid();
    stage.quote_by(&key, 10).await.paid();
    stage.quote_by(&key, 20).await.paid();
    let now = stage.bench.chain.now();
    stage.bench.chain.change_delegation(address, |account| account.delegation.expires_at = now - 5);
    let book = stage.service.core.books.of(CHANNEL).pop().unwrap();
    eventually("it is noticed", || book.noted().is_some_and(|noted| noted.grace_ends.is_some())).await;
    let now = read(&stage.service).await;
    assert_eq!((now.get("amp_at_risk_base_units"), now.get("amp_unsettled_base_units")), (20.0, 30.0));
    assert_eq!(now.get("amp_channels{state=\"open\"}"), 1.0);
    assert!(now.get("amp_grace_left_seconds").is_finite());
}

#[tokio::test]
async fn a_stopped_channel_is_counted_as_one() {
    let stage = Stage::new().await;
    stage.quote(10).await.paid();
    stage.service.close(&stage.bench.credential(20).await).await.unwrap();
    let now = read(&stage.service).await;
    assert_eq!(
        (now.get("amp_channels{state=\"stopped\"}"), now.get("amp_channels{state=\"open\"}")),
        (1.0, 0.0)
    );
}

#[tokio::test]
async fn after_a_restart_what_was_settled_before_is_not_unsettled_once_the_channel_was_looked_at() {
    let stage = Stage::new().await;
    stage.quote(10).await.paid();
    stage.service.settle(CHANNEL.into()).await.unwrap();
    let stage = stage.restart().await;
    let book = stage.service.core.books.of(CHANNEL).pop().unwrap();
    eventually("it is looked at", || book.ledger().stake().unsettled.is_zero()).await;
    assert_eq!(value(&stage, "amp_unsettled_base_units").await, 0.0);
    stage.quote(20).await.paid();
    assert_eq!(value(&stage, "amp_unsettled_base_units").await, 10.0);
}

#[tokio::test]
async fn every_book_is_counted_once_however_many_there_are_and_none_that_ended() {
    let stage = Stage::new().await;
    let channel = |number: u16| {
        let mut key = [9; 32];
        key[..2].copy_from_slice(&number.to_be_bytes());
        crate::server::store::Incarnation { channel: key, opened_slot: 1 }
    };
    for number in 0..1_025 {
        stage.service.core.books.open(channel(number));
    }
    stage.service.core.books.find(&channel(512)).unwrap().end();
    assert_eq!(stage.service.core.survey().await.open, 1_024);
}

#[tokio::test]
async fn what_the_chain_is_asked_is_counted_with_its_answer_or_that_there_was_none() {
    let stage = Stage::new().await;
    let asked = async |outcome| {
        let read = read(&stage.service).await;
        read.get(&format!("amp_chain_requests_total{{request=\"account\",outcome=\"{outcome}\"}}"))
    };
    let before = (asked("ok").await, asked("failed").await, asked("unanswered").await);
    assert_eq!((before.1, before.2), (0.0, 0.0));
    let (chain, channel) = (stage.service.core.chain.clone(), CHANNEL.into());
    chain.account(&channel).await.unwrap();
    {
        let mut unanswered = chain.account(&channel);
        assert!(futures::poll!(&mut unanswered).is_pending());
    }
    stage.bench.chain.go_down(true);
    chain.account(&channel).await.unwrap_err();
    let after = (asked("ok").await, asked("failed").await, asked("unanswered").await);
    assert_eq!(after, (before.0 + 1.0, 1.0, 1.0));
}

#[tokio::test]
async fn a_subscription_shows_while_it_works() {
    let stage = Stage::new().await;
    assert_eq!(value(&stage, "amp_chain_subscribed").await, 0.0);
    stage.service.core.metrics.chain.subscribed(true);
    assert_eq!(value(&stage, "amp_chain_subscribed").await, 1.0);
}

#[tokio::test]
async fn two_services_of_one_process_count_apart() {
    let (one, other) = (Stage::new().await, Stage::new().await);
    one.quote(10).await.paid();
    assert_eq!(value(&one, "amp_requests_total{outcome=\"served\"}").await, 1.0);
    assert_eq!(value(&other, "amp_requests_total{outcome=\"served\"}").await, 0.0);
}

#[tokio::test]
async fn no_label_has_more_values_than_are_written_here_and_none_names_a_channel() {
    let stage = Stage::new().await;
    stage.quote(10).await.paid();
    stage.quote_on([77; 32], 10).await;
    let text = stage.service.metrics().await;
    assert!(!text.contains(&solana_address::Address::from(CHANNEL).to_string()));
    let read = Exposition::parse(&text).unwrap();
    let series: usize = read.0.values().map(|family| family.samples.len()).sum();
    assert_eq!(read.0["amp_requests"].samples.len(), Outcome::labels().len());
    assert!(series < 150, "{series}");
}
