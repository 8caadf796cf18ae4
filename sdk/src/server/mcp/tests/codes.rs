//! Every code that can come over MCP. AMP_SETTLE_EARLY and AMP_INVALID_PROOF can't: no method settles, and
//! none takes a proof.

use std::time::Duration;

use amp_protocol::json::{Base58, ErrorBody};

use super::*;
use crate::server::testing::MINT;

fn body(answer: &Value) -> ErrorBody {
    serde_json::from_value(answer["error"]["data"].clone()).unwrap()
}

#[tokio::test]
async fn no_credential_is_asked_for_payment_with_the_price() {
    let mut stage = Stage::new().await;
    let answer = stage.raw.request("tools/call", json!({"name": "quote"})).await;
    assert_eq!(refused(&answer), (-32602, "AMP_NO_CHANNEL"));
    let pricing = body(&answer).amp_pricing.unwrap();
    assert_eq!((pricing.rate, pricing.token.0), (Amount::new(10), MINT));
}

#[tokio::test]
async fn every_refusal_names_the_price_of_its_tool() {
    let mut stage = Stage::with(|config| config.tool("dear", Amount::new(700))).await;
    let answer = stage.call("dear", 699).await;
    assert_eq!(refused(&answer), (-32602, "AMP_UNDERFUNDED"));
    let body = body(&answer);
    assert_eq!(body.amp_pricing.unwrap().rate, Amount::new(700));
    assert_eq!((body.required_seq.unwrap().get(), body.channel), (700, Some(Base58(CHANNEL))));
}

#[tokio::test]
async fn an_unknown_channel_is_no_channel() {
    let mut stage = Stage::new().await;
    stage.bench.chain.remove(CHANNEL);
    assert_eq!(refused(&stage.call("quote", 10).await), (-32602, "AMP_NO_CHANNEL"));
}

#[tokio::test]
async fn a_ceiling_above_the_deposit_is_underfunded() {
    let mut stage = Stage::new().await;
    let answer = stage.call("quote", 10_001).await;
    assert_eq!(
        (refused(&answer).1, &answer["error"]["data"]["shortage"]),
        ("AMP_UNDERFUNDED", &json!("balance"))
    );
}

#[tokio::test]
async fn a_closing_channel_is_closed() {
    let mut stage = Stage::new().await;
    stage.bench.chain.change_channel(|account| (account.books.closing, account.closing_at) = (true, 1));
    assert_eq!(refused(&stage.call("quote", 10).await), (-32602, "AMP_CLOSED"));
}

#[tokio::test]
async fn a_rate_limit_says_when_to_ask_again() {
    let mut stage = Stage::new().await;
    stage.bench.chain.change_channel(|account| account.terms.rate_limit = 15);
    assert_eq!(paid(&stage.call("quote", 10).await)[1], "10");
    let answer = stage.call("quote", 20).await;
    assert_eq!(refused(&answer), (-32602, "AMP_RATE_EXCEEDED"));
    assert!(body(&answer).retry_after.is_some());
}

#[tokio::test]
async fn a_replay_is_an_invalid_seq_and_names_the_last_one() {
    let mut stage = Stage::new().await;
    stage.call("quote", 10).await;
    let answer = stage.call("quote", 10).await;
    assert_eq!(refused(&answer), (-32602, "AMP_INVALID_SEQ"));
    assert_eq!(body(&answer).last_seq.unwrap().get(), 10);
}

#[tokio::test]
async fn another_keys_signature_is_invalid() {
    let mut stage = Stage::new().await;
    let mut credential = stage.bench.credential(10).await;
    credential.sig.0[1] ^= 1;
    assert_eq!(refused(&stage.raw.call("quote", &credential).await), (-32602, "AMP_INVALID_SIG"));
    // whoever pays may call again: nothing was used up
    assert_eq!(paid(&stage.call("quote", 10).await)[1], "10");
}

#[tokio::test]
async fn a_small_deposit_is_low_and_the_smallest_is_named() {
    let mut stage = Stage::with(|config| config.min_deposit(Amount::new(10_001))).await;
    let answer = stage.call("quote", 10).await;
    assert_eq!(refused(&answer), (-32602, "AMP_DEPOSIT_LOW"));
    assert_eq!(body(&answer).min_deposit, Some(Amount::new(10_001)));
}

#[tokio::test]
async fn a_chain_that_is_away_is_no_fault_of_the_request() {
    let mut stage = Stage::with(|config| config.channel_max_age(Duration::from_millis(1))).await;
    stage.bench.chain.go_down(true);
    let answer = stage.call("quote", 10).await;
    assert_eq!(refused(&answer), (-32603, "UNAVAILABLE"));
    assert!(
        answer["error"]["data"]["retry_after"].is_u64() && !answer.to_string().contains("secret-key"),
        "{answer}"
    );
    stage.bench.chain.go_down(false);
    assert_eq!(paid(&stage.call("quote", 10).await)[1], "10");
}

#[tokio::test]
async fn an_unknown_tool_costs_nothing_and_is_not_told_apart_without_a_credential() {
    let mut stage = Stage::new().await;
    let answer = stage.raw.request("tools/call", json!({"name": "nothing"})).await;
    assert_eq!(refused(&answer), (-32602, "AMP_NO_CHANNEL"));
    let answer = stage.call("nothing", 10).await;
    assert_eq!(
        (&answer["error"]["message"], &answer["error"]["data"]["amp"]["cost"]),
        (&json!("no such tool"), &json!("0"))
    );
}
