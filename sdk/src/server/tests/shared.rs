//! Two processes of one service behind a balancer, on one PostgreSQL database and one chain.

#![allow(clippy::arithmetic_side_effects, reason = "an overflow fails the test, as it should")]

use std::time::Duration;

use amp_protocol::money::{Amount, Seq};
use amp_test_postgres::TestPostgres;
use futures::future::join_all;

use super::*;
use crate::server::store::PostgresStore;
use crate::server::{Denial, ServiceConfig};

struct Pair {
    bench: Bench,
    services: [AmpService; 2],
    stores: [PostgresStore; 2],
    routers: [Router; 2],
    gates: [Gate; 2],
}

impl Pair {
    /// Nothing where there is no PostgreSQL.
    async fn new() -> Option<Self> {
        Self::with(|config| config).await
    }

    async fn with(change: impl Fn(ServiceConfig) -> ServiceConfig) -> Option<Self> {
        let (server, schema) = (TestPostgres::shared()?, TestPostgres::schema());
        let bench = Bench::new();
        let store = async || PostgresStore::connect(&server.address(), &schema).await.unwrap();
        let stores = [store().await, store().await];
        let mut services = Vec::new();
        for store in &stores {
            let (config, chain) = (change(bench.config()), bench.chain.clone());
            services.push(AmpService::start(config, chain, store.clone()).await.unwrap());
        }
        let services: [AmpService; 2] = services.try_into().ok().unwrap();
        let [(first, gate), (second, other)] = [router(&services[0]), router(&services[1])];
        Some(Self { bench, services, stores, routers: [first, second], gates: [gate, other] })
    }

    async fn quote(&self, at: usize, seq: u64) -> Answer {
        get_with(&self.routers[at], "/quote", &self.bench.credential(seq).await).await
    }

    async fn named(&self, at: usize, path: &str, seq: u64) -> Answer {
        let request = signed(Request::get(path), &self.bench.credential(seq).await);
        let request = request.header("idempotency-key", "a").body(Body::empty()).unwrap();
        call(&self.routers[at], request).await
    }

    async fn spent(&self, at: usize) -> u64 {
        let credential = self.bench.credential(0).await;
        self.services[at].channel_status(&credential).await.unwrap().spent.get()
    }
}

fn is_served(answer: &Answer) -> bool {
    answer.status == StatusCode::OK
}

#[tokio::test]
async fn a_seq_is_taken_once_whichever_process_it_comes_to() {
    let Some(pair) = Pair::new().await else { return };
    for round in 1..=20 {
        let answers = join_all((0..6).map(|n| pair.quote(n % 2, round * 100))).await;
        assert_eq!(answers.iter().filter(|answer| is_served(answer)).count(), 1, "round {round}");
        assert!(answers.iter().all(|answer| is_served(answer) || answer.code() == (400, "AMP_INVALID_SEQ")));
    }
    assert_eq!((pair.spent(0).await, pair.spent(1).await), (200, 200));
}

#[tokio::test]
async fn no_two_processes_together_pass_the_ceiling() {
    let Some(pair) = Pair::new().await else { return };
    // 60 seqs, and none of them authorizes more than 100: ten calls
    let seqs: Vec<u64> = (41..=100).collect();
    let answers = join_all(seqs.iter().map(|seq| pair.quote(*seq as usize % 2, *seq))).await;
    let served = answers.iter().filter(|answer| is_served(answer)).count();
    assert_eq!(served as u64 * 10, pair.spent(0).await);
    assert!((4..=10).contains(&served), "{served}");
    assert!(answers.iter().filter(|answer| !is_served(answer)).all(|answer| answer.status != 503));
}

#[tokio::test]
async fn no_two_processes_together_pass_the_deposit() {
    let Some(pair) = Pair::new().await else { return };
    pair.bench.chain.change_channel(|account| account.books.deposited = Amount::new(150));
    let answers = join_all((1..=40).map(|n| pair.quote(n as usize % 2, 110 + n))).await;
    assert_eq!(answers.iter().filter(|answer| is_served(answer)).count(), 15);
    assert_eq!((pair.spent(0).await, pair.spent(1).await), (150, 150));
}

#[tokio::test]
async fn what_is_in_flight_at_one_process_is_set_aside_at_the_other() {
    let Some(pair) = Pair::new().await else { return };
    pair.bench.chain.change_channel(|account| account.books.deposited = Amount::new(15));
    let credential = pair.bench.credential(11).await;
    let slow = get_with(&pair.routers[0], "/slow", &credential);
    let other = async {
        eventually("it is admitted", || {
            pair.services[0].core.books.of(CHANNEL).pop().is_some_and(|book| book.ledger().in_flight() == 1)
        })
        .await;
        let refused = pair.quote(1, 12).await;
        pair.gates[0].notify_one();
        refused
    };
    let (served, refused) = tokio::join!(slow, other);
    served.paid();
    assert_eq!(refused.code(), (402, "AMP_UNDERFUNDED"));
}

#[tokio::test]
async fn a_failed_request_gives_back_what_was_set_aside_for_all_processes() {
    let Some(pair) = Pair::new().await else { return };
    pair.bench.chain.change_channel(|account| account.books.deposited = Amount::new(15));
    let failed = get_with(&pair.routers[0], "/fail", &pair.bench.credential(11).await).await;
    assert_eq!(failed.status, 500);
    pair.quote(1, 12).await.paid();
}

#[tokio::test]
async fn a_client_that_goes_away_gives_it_back_too() {
    let Some(pair) = Pair::new().await else { return };
    pair.bench.chain.change_channel(|account| account.books.deposited = Amount::new(15));
    let admission = pair.services[0].authorize(&pair.bench.credential(11).await, Amount::new(10)).await;
    assert_eq!(pair.quote(1, 12).await.code(), (402, "AMP_UNDERFUNDED"));
    drop(admission.unwrap());
    for _ in 0..200 {
        // a seq that was refused is not used
        if is_served(&pair.quote(1, 13).await) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it is never given back");
}

#[tokio::test]
async fn what_a_dead_process_had_set_aside_is_free_again_and_it_can_not_charge_it() {
    let Some(pair) = Pair::new().await else { return };
    pair.bench.chain.change_channel(|account| account.books.deposited = Amount::new(15));
    let price = Amount::new(10);
    let slow = pair.services[0].authorize(&pair.bench.credential(11).await, price).await.unwrap();
    pair.stores[0].be_silent().await;
    crate::server::store::SharedStore::stay_alive(&pair.stores[1], true).await.unwrap();
    pair.quote(1, 12).await.paid();
    assert!(matches!(slow.charge(price).await, Err(Denial::Unavailable { .. })));
    assert_eq!((pair.spent(0).await, pair.spent(1).await), (10, 10));
}

#[tokio::test]
async fn a_close_at_one_process_waits_for_the_other_ends_its_service_and_counts_all() {
    let Some(pair) = Pair::new().await else { return };
    pair.quote(0, 10).await.paid();
    pair.quote(1, 20).await.paid();
    let credential = pair.bench.credential(30).await;
    let slow = get_with(&pair.routers[1], "/slow", &credential);
    let close = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let newest = pair.bench.credential(30).await;
        let closing = pair.services[0].close(&newest);
        let later = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            pair.gates[1].notify_one();
        };
        tokio::join!(closing, later).0.unwrap()
    };
    let (served, closed) = tokio::join!(slow, close);
    served.paid();
    assert_eq!(closed.close_statement.owed_total, Amount::new(30));
    for at in [0, 1] {
        assert_eq!(pair.quote(at, 40).await.code(), (410, "AMP_CLOSED"));
        let again = pair.services[at].close(&pair.bench.credential(30).await).await.unwrap();
        assert_eq!(again.close_statement, closed.close_statement);
    }
}

#[tokio::test]
async fn what_the_other_process_served_is_collected_by_the_one_that_looks_after_all() {
    let often = |config: ServiceConfig| config.watch_interval(Duration::from_millis(50)).settle_every(100);
    let Some(pair) = Pair::with(often).await else { return };
    for (at, seq) in [(0, 10), (1, 20), (1, 30)] {
        pair.quote(at, seq).await.paid();
    }
    pair.bench.chain.advance(120);
    eventually("it is settled", || pair.bench.chain.settled() == Amount::new(30)).await;
    assert_eq!(pair.bench.chain.sent(), 1, "by one of the two");
}

#[tokio::test]
async fn a_name_is_answered_once_whichever_process_it_comes_to() {
    let Some(pair) = Pair::new().await else { return };
    let answers = join_all((1..=6).map(|n| pair.named(n % 2, "/quote", n as u64 * 10))).await;
    let charged = |answer: &&Answer| is_served(answer) && answer.header(header::COST) == "10";
    assert_eq!(answers.iter().filter(charged).count(), 1);
    let again = pair.named(1, "/quote", 90).await;
    assert_eq!((again.header("idempotent-replayed"), again.header(header::COST)), ("true", "0"));
    assert_eq!(pair.spent(0).await, 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_crashes_under_load_loses_nothing_that_was_served_and_serves_on() {
    let Some(server) = TestPostgres::start() else { return };
    let (bench, schema) = (Bench::new(), TestPostgres::schema());
    let mut routers = Vec::new();
    for _ in 0..2 {
        let store = PostgresStore::connect(&server.address(), &schema).await.unwrap();
        let service = AmpService::start(bench.config(), bench.chain.clone(), store).await.unwrap();
        routers.push((router(&service).0, service));
    }
    let (bench, routers) = (&bench, &routers);
    let call = async |seq: u64| {
        let (router, _) = &routers[seq as usize % 2];
        (seq, get_with(router, "/quote", &bench.credential(2_000 + seq).await).await)
    };
    let pay = async {
        let mut all = Vec::new();
        for round in 0..12 {
            all.extend(join_all((0..8).map(|n| call(round * 8 + n))).await);
        }
        all
    };
    let crash = async {
        tokio::time::sleep(Duration::from_millis(30)).await;
        tokio::task::block_in_place(|| server.crash());
    };
    let (answers, ()) = tokio::join!(pay, crash);
    let served: Vec<u64> = answers.iter().filter(|(_, one)| is_served(one)).map(|(seq, _)| *seq).collect();
    assert!(served.len() >= 20, "{}", served.len());
    let spent = routers[0].1.channel_status(&bench.credential(0).await).await.unwrap().spent;
    assert_eq!(spent, Amount::new(served.len() as u64 * 10), "charged is what was served");
    for seq in served {
        let (_, again) = call(seq).await;
        assert_eq!(again.code(), (400, "AMP_INVALID_SEQ"), "{seq}");
    }
    let last = routers[1].1.channel_status(&bench.credential(0).await).await.unwrap().last_seq;
    assert!(last >= Seq::new(2_000));
}

#[tokio::test]
async fn what_another_process_claimed_from_a_delegate_that_is_gone_counts_once() {
    let Some(pair) = Pair::new().await else { return };
    let (key, delegation) = pair.bench.delegate(1_000);
    let price = Amount::new(10);
    let by_delegate = async |at: usize, seq| {
        let credential = pair.bench.delegated(&key, seq).await;
        pair.services[at].authorize(&credential, price).await.unwrap().charge(price).await.unwrap();
    };
    // the second process knows the channel from before
    pair.quote(1, 10).await.paid();
    by_delegate(0, 10).await;
    pair.bench.chain.advance(120);
    pair.services[0].settle(CHANNEL.into()).await.unwrap();
    pair.bench.chain.remove(delegation);
    for at in [1, 0] {
        assert_eq!(
            pair.quote(at, 100 + at as u64).await.header(header::BALANCE),
            if at == 1 { "9970" } else { "9960" }
        );
    }
    let closed = pair.services[1].close(&pair.bench.credential(101).await).await.unwrap();
    assert_eq!(closed.close_statement.owed_total, Amount::new(40));
}

#[tokio::test]
async fn a_process_that_writes_without_pause_keeps_no_other_out() {
    let Some(pair) = Pair::new().await else { return };
    let (done, quiet) = (std::sync::atomic::AtomicBool::new(false), Amount::ZERO);
    let hot = async {
        let mut seq = 1;
        while !done.load(std::sync::atomic::Ordering::Relaxed) {
            seq += 1;
            let credential = pair.bench.credential(seq).await;
            let _ = pair.services[0].authorize(&credential, quiet).await;
        }
    };
    let other = async {
        for seq in 0..10 {
            pair.quote(1, 9_000 + seq * 10).await.paid();
            assert_eq!(pair.spent(1).await, (seq + 1) * 10);
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    };
    tokio::join!(hot, hot_too(&pair, &done), other);
}

/// A second client of the first process, so that its queue is never empty.
async fn hot_too(pair: &Pair, done: &std::sync::atomic::AtomicBool) {
    let (key, _) = pair.bench.delegate(1_000);
    let mut seq = 1;
    while !done.load(std::sync::atomic::Ordering::Relaxed) {
        seq += 1;
        let credential = pair.bench.delegated(&key, seq).await;
        let _ = pair.services[0].authorize(&credential, Amount::ZERO).await;
    }
}
