//! `receipt`.

use amp_sdk::protocol::message::CloseStatement;
use amp_sdk::protocol::money::Amount;
use amp_sdk::signed::sign_close_statement;

use crate::town::Town;

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_is_fetched_kept_and_verified_later() {
    let town = Town::found().await;
    let url = town.url("/quote");
    town.with_channel(3).await;
    let receipt = town.amp(&["receipt", "get", &url]).await;
    std::fs::write(town.file("receipt.json"), receipt.ok()).unwrap();
    let said = town.amp(&["receipt", "verify", "@receipt.json"]).await;
    said.says(&["metering proof", "0.00075 ", "calls", "3", &town.recipient.to_string(), "TRUE"]);
    let json = town.amp(&["receipt", "verify", "@receipt.json", "--json"]).await.json();
    assert_eq!((&json["valid"], &json["receipt"]["owed"]), (&true.into(), &"750".into()));
    // who must have signed can be said where the chain does not know it any more
    let recipient = town.recipient.to_string();
    let alone =
        ["receipt", "verify", "@receipt.json", "--recipient", &recipient, "--rpc", "http://127.0.0.1:1"];
    town.amp(&alone).await.says(&["750u", "TRUE"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_with_another_number_or_by_another_key_is_false() {
    let town = Town::found().await;
    let url = town.url("/quote");
    let at = town.with_channel(1).await;
    let receipt = town.amp(&["receipt", "get", &url]).await.json();
    let mut changed = receipt.clone();
    changed["owed"] = "1".into();
    town.amp(&["receipt", "verify", &changed.to_string()]).await.fails(10, &["FALSE", "did not sign"]);
    let other = town.agent.to_string();
    let by_other = ["receipt", "verify", &receipt.to_string(), "--recipient", &other].map(str::to_owned);
    town.amp(&by_other.each_ref().map(String::as_str)).await.fails(10, &["FALSE", &other]);

    let statement = CloseStatement { channel: at.to_bytes(), opened_slot: 1, owed_total: Amount::new(250) };
    let signed = sign_close_statement(&town.key("service.json"), &statement).await.unwrap();
    let wrapped = serde_json::json!({"close_statement": signed}).to_string();
    town.amp(&["receipt", "verify", &wrapped]).await.says(&[
        "close statement",
        "TRUE",
        "of an earlier channel",
    ]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_receipt_and_what_nobody_signed_yet_is_said() {
    let town = Town::found().await;
    town.amp(&["receipt", "verify", "{}"]).await.fails(2, &["not a receipt"]);
    town.amp(&["receipt", "verify", "hello"]).await.fails(2, &["not a receipt"]);
    town.amp(&["receipt", "get", &town.origin]).await.fails(9, &["no channel"]);
    town.with_channel(0).await;
    town.amp(&["receipt", "get", &town.origin]).await.fails(9, &["has charged nothing yet"]);
}
