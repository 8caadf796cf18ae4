use std::sync::atomic::Ordering;
use std::time::Duration;

use amp_protocol::money::Amount;
use futures::future::join_all;

use super::{Reason, Verdict, Vitals};
use crate::chain::AccountSnapshot;
use crate::server::testing::{Bench, Disk};
use crate::server::{AmpService, ServiceConfig};
use crate::signer::Signer as _;

const ENOUGH: u64 = 5_000_000;

fn give(bench: &Bench, lamports: u64) {
    let owner = solana_address::Address::default();
    let recipient = bench.recipient.public_key().to_bytes();
    bench.chain.put(recipient, AccountSnapshot { owner, lamports, data: Vec::new() });
}

/// A service whose recipient can pay, and what it stands on.
async fn service(change: impl FnOnce(ServiceConfig) -> ServiceConfig) -> (Bench, AmpService) {
    let bench = Bench::new();
    give(&bench, ENOUGH);
    let service = bench.service_with(change(bench.config())).await;
    (bench, service)
}

async fn serve(bench: &Bench, service: &AmpService, seq: u64) -> Result<(), crate::server::Denial> {
    let price = Amount::new(10);
    let admission = service.authorize(&bench.credential(seq).await, price).await?;
    admission.charge(price).await.map(drop)
}

fn reasons(verdict: &Verdict) -> Vec<Reason> {
    assert_eq!(verdict.ok, verdict.findings.is_empty());
    verdict.findings.iter().map(|finding| finding.reason).collect()
}

#[tokio::test]
async fn a_service_that_works_is_live_and_ready() {
    let (_bench, service) = service(|config| config).await;
    let health = service.health().await;
    assert!(health.live.ok && health.ready.ok, "{health:?}");
    assert!(health.live.findings.is_empty() && health.ready.findings.is_empty());
}

#[tokio::test]
async fn a_worker_that_ended_without_being_asked_to_shows_as_not_live_and_not_ready() {
    let (_bench, service) = service(|config| config).await;
    service.worker.shutdown().await;
    let health = service.core.examine().await;
    assert_eq!(reasons(&health.live), [Reason::WorkerEnded]);
    assert_eq!(reasons(&health.ready), [Reason::WorkerEnded]);
}

#[tokio::test]
async fn a_worker_that_panics_has_ended() {
    let vitals = std::sync::Arc::new(Vitals::begin(ENOUGH));
    let held = vitals.clone();
    let worker = tokio::spawn(async move {
        let _runs = held.worker_runs();
        assert!(!held.worker_has_ended());
        panic!("told to");
    });
    assert!(worker.await.unwrap_err().is_panic());
    assert!(vitals.worker_has_ended());
}

#[tokio::test]
async fn a_service_that_is_shut_down_is_live_until_it_is_gone_and_not_ready() {
    let (_bench, service) = service(|config| config).await;
    service.shutdown().await;
    let health = service.core.examine().await;
    assert_eq!(reasons(&health.live), []);
    assert_eq!(reasons(&health.ready), [Reason::ShuttingDown]);
}

/// As long as two of its watches take, and ten seconds more.
#[tokio::test]
async fn a_worker_that_gives_no_sign_of_life_shows_as_not_live() {
    let (_bench, service) = service(|config| config.watch_interval(Duration::from_secs(30))).await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(100)).await;
    let found = |last_beat: u64| {
        // as if it had hung since then: nothing else runs meanwhile
        service.core.vitals.beat.store(last_beat, Ordering::Relaxed);
        service.core.examine_worker().map(|finding| finding.reason)
    };
    assert_eq!(found(35_000), None);
    assert_eq!(found(29_000), Some(Reason::WorkerSilent));
}

#[tokio::test]
async fn the_workers_loop_gives_signs_of_life() {
    let (_bench, service) = service(|config| config.watch_interval(Duration::from_millis(20))).await;
    let mut before = Duration::ZERO;
    for _ in 0..1_000 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        let silence = service.core.vitals.worker_silence();
        if silence < before {
            return;
        }
        before = silence;
    }
    panic!("it grows and grows");
}

#[tokio::test]
async fn a_store_that_can_not_be_read_shows_as_not_ready() {
    let (bench, service) = service(|config| config).await;
    bench.disk(Disk::Unreadable);
    let health = service.core.examine().await;
    assert_eq!(reasons(&health.ready), [Reason::StoreSilent]);
    assert!(health.live.ok, "a restart does not help");
    bench.disk(Disk::Works);
    assert!(service.core.examine().await.ready.ok);
}

#[tokio::test]
async fn a_store_that_failed_to_write_is_not_ready_until_it_writes_or_deserves_another_try() {
    let (bench, service) = service(|config| config).await;
    bench.disk(Disk::FullAfter(0));
    serve(&bench, &service, 10).await.unwrap_err();
    assert_eq!(reasons(&service.core.examine().await.ready), [Reason::StoreFails]);
    bench.disk(Disk::Works);
    serve(&bench, &service, 11).await.unwrap();
    assert!(service.core.examine().await.ready.ok);
}

#[tokio::test(start_paused = true)]
async fn after_a_pause_a_store_that_failed_is_tried_again() {
    let vitals = Vitals::begin(ENOUGH);
    assert_eq!(vitals.write_failed(), None);
    vitals.wrote(false);
    tokio::time::advance(Duration::from_secs(3)).await;
    assert_eq!(vitals.write_failed(), Some(Duration::from_secs(3)));
    vitals.wrote(true);
    assert_eq!(vitals.write_failed(), None);
}

#[tokio::test]
async fn a_chain_that_was_not_heard_of_for_too_long_shows_as_not_ready() {
    let (bench, service) = service(|config| config).await;
    bench.chain.go_down(true);
    assert!(service.core.examine().await.ready.ok, "it was heard of a moment ago");
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(61)).await;
    let ready = service.core.examine().await.ready;
    assert!(ready.has(Reason::ChainSilent), "{ready:?}");
    assert!(!format!("{ready:?}").contains("secret-key"), "{ready:?}");
    bench.chain.go_down(false);
    assert!(!service.core.examine().await.ready.has(Reason::ChainSilent), "an idle service asks");
}

#[tokio::test]
async fn a_recipient_that_can_not_pay_shows_as_not_ready_until_it_is_given_lamports() {
    let (bench, service) = service(|config| config.min_recipient_lamports(ENOUGH + 1)).await;
    let ready = service.core.examine().await.ready;
    assert_eq!(reasons(&ready), [Reason::RecipientPoor]);
    assert!(ready.findings[0].message.contains("5000000 lamports"), "{ready:?}");
    give(&bench, ENOUGH + 1);
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(31)).await;
    assert!(!service.core.examine().await.ready.has(Reason::RecipientPoor));
}

#[tokio::test]
async fn however_many_probe_the_chain_is_asked_once_a_second() {
    let (bench, service) = service(|config| config).await;
    // nothing but probes asks any more
    service.shutdown().await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(31)).await;
    let before = bench.chain.reads();
    join_all((0..50).map(|_| service.health())).await;
    assert_eq!(bench.chain.reads(), before + 1);
    tokio::time::advance(Duration::from_secs(31)).await;
    service.health().await;
    assert_eq!(bench.chain.reads(), before + 2);
}

#[tokio::test]
async fn a_chain_that_was_heard_of_a_moment_ago_is_not_asked() {
    let (bench, service) = service(|config| config).await;
    service.shutdown().await;
    let before = bench.chain.reads();
    assert!(service.core.examine().await.live.ok);
    assert_eq!(bench.chain.reads(), before);
}

#[tokio::test]
async fn a_report_is_given_out_again_for_a_second() {
    let (bench, service) = service(|config| config).await;
    assert!(service.health().await.ready.ok);
    tokio::time::pause();
    bench.disk(Disk::Unreadable);
    assert!(service.health().await.ready.ok);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(service.health().await.ready.has(Reason::StoreSilent));
}
