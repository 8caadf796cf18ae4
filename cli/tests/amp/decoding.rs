//! `decode`.

use amp_sdk::chain::{Chain as _, PROGRAM_ID, channel};
use amp_sdk::protocol::money::Seq;
use amp_sdk::signed::sign_credential;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use crate::town::Town;

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_is_told_by_its_signature() {
    let town = Town::found().await;
    town.node.keep_history();
    let at = town.with_channel(1).await;
    let closed = town.amp(&["close", &town.origin, "--yes", "--json"]).await.json();
    let signature = closed["closed"]["transaction"].as_str().unwrap();
    let said = town.amp(&["decode", signature]).await;
    said.says(&[
        "transaction",
        "close_channel",
        "close statement message",
        "owed_total",
        "succeeded",
        &at.to_string(),
    ]);
    let json = town.amp(&["decode", signature, "--json"]).await.json();
    let names: Vec<&Value> =
        json["instructions"].as_array().unwrap().iter().map(|one| &one["program"]).collect();
    assert_eq!(names, ["compute budget", "ed25519 signature check", "AMP"]);
    assert_eq!(json["instructions"][2]["accounts"]["channel"], at.to_string());
    assert_eq!(json["instructions"][1]["signed"]["signer"], town.recipient.to_string());
    let unknown = bs58::encode([7; 64]).into_string();
    town.amp(&["decode", &unknown]).await.fails(9, &["the node knows no transaction"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_told_by_their_address_and_their_data() {
    let town = Town::found().await;
    let at = town.with_channel(0).await;
    let json = town.amp(&["decode", &at.to_string(), "--json"]).await.json();
    assert_eq!((&json["kind"], &json["channel_account"]["deposited"]), (&"channel".into(), &"250000".into()));
    let data = BASE64_STANDARD.encode(town.chain.account(&at).await.unwrap().unwrap().data);
    let json = town.amp(&["decode", &data, "--json"]).await.json();
    assert_eq!((&json["kind"], &json["channel_account"]["channel"]), (&"channel".into(), &Value::Null));
    for (address, kind) in [
        (town.mint.address, "mint"),
        (town.mint.account_of(&town.agent), "token account"),
        (town.agent, "another program's account"),
    ] {
        town.amp(&["decode", &address.to_string()]).await.says(&[kind, "lamports"]);
    }
    let none = "4zMMC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncDU";
    town.amp(&["decode", none]).await.fails(9, &["there is no account"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_is_told_with_whose_it_is_and_what_it_is_worth() {
    let town = Town::found().await;
    let at = town.with_channel(0).await;
    let epoch = channel(&town.chain, &PROGRAM_ID, &at).await.unwrap().unwrap().opened_slot;
    let credential = sign_credential(&town.key("agent.json"), &at, epoch, Seq::new(700)).await.unwrap();
    let json = serde_json::to_string(&credential).unwrap();
    let told = town.amp(&["decode", &json, "--json"]).await.json();
    assert_eq!((&told["kind"], &told["chain"]["worth"]), (&"credential".into(), &"700".into()));
    assert_eq!(told["chain"]["signed_by"], town.agent.to_string());
    let headers = format!("AMP-Channel: {at}\nAMP-Seq: 701\nAMP-Sig: {}", credential.sig);
    town.amp(&["decode", &headers]).await.says(&["credential", "none of the keys"]);
    let far = town.amp(&["decode", &json, "--rpc", "http://127.0.0.1:1", "--json"]).await.json();
    assert!(far["chain"]["unknown"].as_str().unwrap().contains("did not answer"), "{far}");
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_and_the_services_json_are_told() {
    let town = Town::found().await;
    let pricing = town.amp(&["discover", &town.origin, "--json"]).await.json();
    let price = format!("AMP-Pricing: {}", pricing["pricing"]["default"]);
    town.amp(&["decode", &price]).await.says(&["402: the price of this route", "per-call", "250"]);
    town.amp(&["decode", "AMP-Cost: 250"]).await.says(&["charged for this request"]);
    town.amp(&["decode", "AMP-Cost: much"]).await.fails(10, &["amp-cost", "is not a number"]);
    town.amp(&["decode", "AMP-Weight: 7"]).await.fails(2, &["no header of AMP"]);
    town.amp(&["decode", &pricing.to_string()]).await.says(&["discovery document"]);
    let error = r#"{"error":"AMP_CLOSED","message":"it is closing"}"#;
    town.amp(&["decode", error]).await.says(&["error", "410", "it is closing"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_nothing_known_is_called_that() {
    let town = Town::found().await;
    for what in ["hello", "", "{\"a\":1}", "AQID", "@none.json"] {
        let said = town.amp(&["decode", what]).await;
        assert!(said.code == 2 || said.err.contains("can't read none.json"), "{what}: {said:?}");
    }
}
