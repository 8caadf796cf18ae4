//! A server in a process of its own, and an agent that started it.

#![allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    reason = "a panic fails the test, as it should"
)]

use std::process::Stdio;

use amp_mcp_tests::PRICE;
use amp_protocol::json::CredentialBody;
use amp_protocol::money::Seq;
use amp_sdk::signed::sign_credential;
use amp_sdk::signer::{KeypairSigner, Signer as _};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;

#[tokio::test]
async fn a_process_is_paid_over_its_pipes_with_either_field_and_settles() {
    let (key, folder) = (KeypairSigner::generate(), tempfile::tempdir().unwrap());
    let file = folder.path().join("place.json");
    let mut shop = Command::new(env!("CARGO_BIN_EXE_amp-mcp-shop"))
        .arg(key.public_key().to_string())
        .arg(&file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut write = shop.stdin.take().unwrap();
    let mut lines = BufReader::new(shop.stdout.take().unwrap()).lines();
    let mut ask = async |id: u64, method: &str, params: Value| -> Value {
        let message = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        write.write_all(format!("{message}\n").as_bytes()).await.unwrap();
        let answer: Value = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
        assert_eq!(answer["id"], id, "{answer}");
        answer
    };
    let hello = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "raw", "version": "0"}});
    ask(1, "initialize", hello).await;
    let place: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let text = |name: &str| place[name].as_str().unwrap().to_owned();
    let (channel, epoch) = (text("channel").parse().unwrap(), text("epoch").parse().unwrap());
    let sign = async |call: u64| -> CredentialBody {
        sign_credential(&key, &channel, epoch, Seq::new(call * PRICE)).await.unwrap()
    };
    let answer = ask(2, "tools/call", json!({"name": "quote", "_amp": sign(1).await})).await;
    assert_eq!(answer["result"]["_amp"]["spent"], PRICE.to_string(), "{answer}");
    let meta = json!({"name": "quote", "_meta": {"amp": sign(2).await}});
    let answer = ask(3, "tools/call", meta.clone()).await;
    assert_eq!(answer["result"]["_meta"]["amp"]["spent"], (2 * PRICE).to_string(), "{answer}");
    assert_eq!(ask(4, "tools/call", meta).await["error"]["message"], "AMP_INVALID_SEQ");
    let refused = ask(5, "tools/call", json!({"name": "quote"})).await;
    assert_eq!(
        (&refused["error"]["code"], &refused["error"]["message"]),
        (&json!(-32602), &json!("AMP_NO_CHANNEL"))
    );
    drop(write);
    assert!(shop.wait().await.unwrap().success());
    let end: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(end["earned"], 2 * PRICE);
}
