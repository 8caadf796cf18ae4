//! What is paid for, and what never is.

use std::sync::atomic::Ordering;

use amp_protocol::money::Amount;

use crate::api::BYTES;
use crate::stage::{PRICE, Stage, eventually};

#[tokio::test]
async fn an_answer_of_the_api_is_paid_for_and_one_without_credential_is_told_the_price() {
    let stage = Stage::set().await;
    let refused = stage.http.get(stage.url("/quote")).send().await.unwrap();
    assert_eq!(refused.status(), 402);
    assert!(refused.headers().contains_key("amp-pricing"));
    assert_eq!(stage.api.requests(), 0, "the API was not asked");
    let answer = stage.get("/quote").await;
    assert_eq!(answer.payment().unwrap().cost, Some(Amount::new(PRICE)));
    assert_eq!((answer.status().as_u16(), answer.text().await.unwrap()), (200, "42".to_owned()));
    assert_eq!(stage.spent().await, PRICE);
}

#[tokio::test]
async fn a_failure_of_the_api_is_passed_on_and_not_charged() {
    let stage = Stage::set().await;
    stage.get("/quote").await;
    let answer = stage.get("/fail").await;
    assert_eq!(answer.payment().unwrap().cost, Some(Amount::ZERO));
    assert_eq!((answer.status().as_u16(), answer.text().await.unwrap()), (500, "failed".to_owned()));
    assert_eq!(stage.get("/missing").await.status(), 404);
    assert_eq!(stage.spent().await, PRICE);
}

#[tokio::test]
async fn an_api_that_is_down_is_502_and_not_charged() {
    let mut stage = Stage::set().await;
    stage.get("/quote").await;
    stage.api.go_down().await;
    let answer = stage.get("/quote").await;
    assert_eq!(answer.status(), 502);
    assert_eq!(answer.payment().unwrap().cost, Some(Amount::ZERO));
    assert!(answer.text().await.unwrap().contains("UPSTREAM_UNREACHABLE"));
    assert_eq!(stage.spent().await, PRICE);
}

#[tokio::test]
async fn an_api_that_is_too_slow_is_504_and_not_charged() {
    let stage = Stage::set().await;
    stage.get("/quote").await;
    let answer = stage.get("/slow").await;
    assert_eq!(answer.status(), 504);
    assert_eq!(answer.payment().unwrap().cost, Some(Amount::ZERO));
    assert_eq!(stage.spent().await, PRICE);
}

#[tokio::test]
async fn where_every_answer_is_paid_for_the_apis_failures_are_none() {
    let more = "[[route]]\npath = \"/missing\"\nprice = \"0.001\"\ncharge = \"answered\"\n[[route]]\npath = \"/fail\"\nprice = \"0.001\"\ncharge = \"answered\"\n[[route]]\npath = \"/slow\"\nprice = \"0.001\"\ncharge = \"answered\"\n";
    let mut stage = Stage::with(more, false).await;
    assert_eq!(stage.get("/missing").await.status(), 404);
    assert_eq!(stage.spent().await, PRICE, "a refusal is an answer");
    assert_eq!(stage.get("/fail").await.status(), 500);
    assert_eq!(stage.get("/slow").await.status(), 504);
    stage.api.go_down().await;
    assert_eq!(stage.get("/missing").await.status(), 502);
    assert_eq!(stage.spent().await, PRICE);
}

#[tokio::test]
async fn a_route_by_the_byte_charges_the_bytes_that_were_delivered() {
    let stage = Stage::set().await;
    let answer = stage.get("/bytes").await;
    let body = answer.bytes().await.unwrap();
    assert_eq!(body.len(), BYTES);
    // 3 base units for every 1000 bytes; what was set aside beyond is given back once the last byte has left
    eventually("as many as came are charged", async || stage.spent().await == 300).await;
}

#[tokio::test]
async fn a_body_that_breaks_off_by_the_byte_is_charged_for_what_came() {
    let more = "[[route]]\npath = \"/breaks\"\nprice = \"0.000001\"\nmode = \"per-byte\"\n";
    let stage = Stage::with(more, false).await;
    let mut answer = stage.get("/breaks").await;
    let mut came = Vec::new();
    let error = loop {
        match answer.chunk().await {
            Ok(Some(piece)) => came.extend_from_slice(&piece),
            Ok(None) => panic!("it seems whole"),
            Err(error) => break error,
        }
    };
    assert_eq!(came, b"half", "{error}");
    eventually("four bytes are charged", async || stage.spent().await == 4).await;
}

#[tokio::test]
async fn units_that_the_api_reports_are_charged() {
    let stage = Stage::set().await;
    let answer = stage.get("/units").await;
    assert!(!answer.headers().contains_key("amp-units"), "that is between the API and the gateway");
    assert_eq!(answer.text().await.unwrap(), "five units");
    // set aside before the body leaves, and booked once its end has left
    eventually("five units are charged", async || stage.spent().await == 35).await;
}

#[tokio::test]
async fn units_of_an_answer_without_a_body_are_charged_before_its_head_leaves() {
    let stage = Stage::set().await;
    let head = stage.client.execute(stage.http.head(stage.url("/units")).build().unwrap()).await.unwrap();
    assert_eq!(head.status(), 200);
    eventually("five units are charged", async || stage.spent().await == 35).await;
}

#[tokio::test]
async fn a_free_route_needs_no_credential_and_names_no_payer() {
    let stage = Stage::with("[[route]]\npath = \"/echo\"\nprice = \"0\"\n", false).await;
    let request = stage.http.get(stage.url("/echo")).header("AMP-Payer", "me").header("AMP_COST", "0");
    let said: std::collections::BTreeMap<String, String> =
        request.send().await.unwrap().json().await.unwrap();
    assert!(!said.keys().any(|name| name.starts_with("amp")), "{said:?}");
}

#[tokio::test]
async fn a_request_is_not_sent_to_the_api_before_it_is_admitted() {
    let stage = Stage::set().await;
    let request = stage.http.get(stage.url("/quote"));
    let request = request.header("AMP-Channel", stage.recipient.to_string()).header("AMP-Seq", "1");
    let refused = request.header("AMP-Sig", "1".repeat(64)).send().await.unwrap();
    assert_eq!(refused.status(), 402, "no such channel");
    assert_eq!(stage.api.seen.requests.load(Ordering::SeqCst), 0);
}
