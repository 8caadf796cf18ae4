use super::*;
use crate::chain::{Chain, PROGRAM_ID};
use crate::server::{ServiceConfig, StartError};

#[tokio::test]
async fn after_a_restart_no_seq_is_taken_twice_and_what_was_spent_is_known() {
    let stage = Stage::new().await;
    stage.quote(20).await.paid();
    stage.quote(30).await.paid();
    let stage = stage.restart().await;
    assert_eq!(stage.quote(30).await.code(), (400, "AMP_INVALID_SEQ"));
    assert_eq!(stage.quote(20).await.code(), (400, "AMP_INVALID_SEQ"));
    assert_eq!(stage.quote(25).await.paid(), ("9970", "30", "10"));
    let answer = stage.quote(31).await;
    assert_eq!((answer.code(), &answer.body["required_seq"]), ((402, "AMP_UNDERFUNDED"), &"40".into()));
}

#[tokio::test]
async fn what_can_not_be_stored_is_not_served_and_not_charged() {
    let stage = Stage::new().await;
    stage.quote(10).await.paid();
    stage.bench.disk(Disk::FullAfter(0));
    let answer = stage.quote(20).await;
    assert_eq!(answer.code(), (503, "UNAVAILABLE"));
    assert!(answer.headers.get(header::COST).is_none());
    assert!(!answer.body.to_string().contains("disk full"), "{}", answer.body);
    stage.bench.disk(Disk::Works);
    assert_eq!(stage.quote(21).await.paid(), ("9980", "20", "10"));
}

#[tokio::test]
async fn a_charge_that_was_taken_back_is_not_claimed_though_a_later_one_reached_the_disk_with_it() {
    let stage = Stage::new().await;
    let price = amp_protocol::money::Amount::new(10);
    let admit = async |seq| stage.service.authorize(&stage.bench.credential(seq).await, price).await.unwrap();
    let (first, second) = (admit(10).await, admit(20).await);
    stage.bench.disk(Disk::FailsFirst(1));
    let (failed, stored) = tokio::join!(first.charge(price), second.charge(price));
    assert!(failed.is_err() && stored.is_ok());
    let book = stage.service.core.books.of(CHANNEL).pop().unwrap();
    let owed = || book.ledger().owed_total(&stage.bench.account());
    eventually("what is owed is what was served", || owed() == Some(price)).await;
    let stage = stage.restart().await;
    let status = stage.service.channel_status(&stage.bench.credential(0).await).await.unwrap();
    assert_eq!(status.spent, price);
}

#[tokio::test]
async fn a_failed_answer_waits_for_the_store_too() {
    let stage = Stage::new().await;
    stage.bench.disk(Disk::FullAfter(0));
    let answer = get_with(&stage.router, "/fail", &stage.bench.credential(10).await).await;
    assert_eq!(answer.code(), (503, "UNAVAILABLE"));
}

#[tokio::test]
async fn a_charge_whose_caller_is_gone_is_made_all_the_same() {
    let stage = Stage::new().await;
    let credential = stage.bench.credential(10).await;
    let price = amp_protocol::money::Amount::new(10);
    let admission = stage.service.authorize(&credential, price).await.unwrap();
    {
        let mut charge = Box::pin(admission.charge(price));
        assert!(futures::poll!(&mut charge).is_pending());
    }
    let stage = stage.restart().await;
    let status = stage.service.channel_status(&credential).await.unwrap();
    assert_eq!((status.spent, status.last_seq.get()), (price, 10));
}

#[tokio::test]
async fn a_store_of_another_service_or_network_is_refused() {
    let stage = Stage::new().await;
    stage.quote(10).await.paid();
    let Stage { bench, service, router, .. } = stage;
    service.shutdown().await;
    drop((service, router));
    let config: ServiceConfig = bench.config().network("solana:devnet").program_id(PROGRAM_ID);
    let chain: Arc<dyn Chain> = bench.chain.clone();
    let error = AmpService::start(config, chain, bench.store().await).await.err().unwrap();
    assert!(matches!(error, StartError::Store(_)));
    assert!(error.to_string().contains("network solana:localnet"), "{error}");
}

#[tokio::test]
async fn a_configuration_or_mint_that_can_not_be_served_stops_the_start() {
    let bench = Bench::new();
    let start = async |config| AmpService::start(config, bench.chain.clone(), bench.store().await).await;
    let error = start(bench.config().settle_interval(0)).await.err().unwrap();
    assert!(matches!(error, StartError::Config(_)), "{error}");
    bench.chain.remove(super::super::testing::MINT);
    let error = start(bench.config()).await.err().unwrap();
    assert!(error.to_string().contains("no mint"), "{error}");
}
