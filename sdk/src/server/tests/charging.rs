//! Routes that are charged otherwise than the rest of the service.

use super::*;
use crate::server::ChargeOn;
use std::time::Duration;

/// Failures of `/fail` and abandoned calls of `/slow` are paid for, those of other routes are not.
async fn stage() -> Stage {
    Stage::with(|config| {
        config.route_charges_on("/fail", ChargeOn::Always).route_charges_on("/slow", ChargeOn::Always)
    })
    .await
}

async fn get_seq(stage: &Stage, path: &str, seq: u64) -> Answer {
    get_with(&stage.router, path, &stage.bench.credential(seq).await).await
}

#[tokio::test]
async fn a_failure_is_paid_for_on_the_route_that_says_so_and_on_no_other() {
    let stage = stage().await;
    let answer = get_seq(&stage, "/fail", 10).await;
    assert_eq!((answer.status.as_u16(), answer.header(header::COST)), (500, "10"));
    let answer = get_seq(&stage, "/nothing", 20).await;
    assert_eq!((answer.status.as_u16(), answer.header(header::COST)), (404, "0"));
    assert_eq!(get_seq(&stage, "/quote", 21).await.paid(), ("9980", "20", "10"));
}

#[tokio::test]
async fn no_spelling_of_the_route_gets_its_failure_for_free() {
    let stage = stage().await;
    for (seq, path) in (1..).zip(["/%66ail", "//fail", "/quote/../fail", "/fail/%2e%2e/nothing"]) {
        let answer = get_seq(&stage, path, seq * 10).await;
        assert_eq!((answer.status.is_success(), answer.header(header::COST)), (false, "10"), "{path}");
    }
}

#[tokio::test]
async fn a_service_that_charges_always_may_have_a_route_that_does_not() {
    let lenient = |config: crate::server::ServiceConfig| {
        config.charge_on(ChargeOn::Always).route_charges_on("/fail", ChargeOn::Success)
    };
    let stage = Stage::with(lenient).await;
    assert_eq!(get_seq(&stage, "/fail", 10).await.header(header::COST), "0");
    assert_eq!(get_seq(&stage, "/fail/%2e%2e/nothing", 20).await.header(header::COST), "10");
    assert_eq!(get_seq(&stage, "/nothing", 30).await.header(header::COST), "10");
}

#[tokio::test]
async fn a_call_that_is_abandoned_is_paid_for_where_its_route_charges_always() {
    let stage = stage().await;
    let spent = async |path: &str, seq: u64| {
        let credential = stage.bench.credential(seq).await;
        let abandoned = get_with(&stage.router, path, &credential);
        assert!(tokio::time::timeout(Duration::from_millis(100), abandoned).await.is_err());
        let book = stage.service.core.books.of(CHANNEL).pop().unwrap();
        book.drained(Duration::from_secs(5)).await;
        stage.service.channel_status(&credential).await.unwrap().spent.get()
    };
    assert_eq!(spent("/slow", 10).await, 10);
    // the same handler, where nothing is said about it
    let plain = Stage::new().await;
    let credential = plain.bench.credential(10).await;
    let abandoned = get_with(&plain.router, "/slow", &credential);
    assert!(tokio::time::timeout(Duration::from_millis(100), abandoned).await.is_err());
    assert_eq!(plain.service.channel_status(&credential).await.unwrap().spent.get(), 0);
}
