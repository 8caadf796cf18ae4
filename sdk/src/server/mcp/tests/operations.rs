//! `amp/*`.

use amp_protocol::json::{ChannelStatus, CloseResponse, DiscoveryDocument};

use super::*;

async fn ask(stage: &mut Stage, method: &str, seq: u64) -> Value {
    let credential = stage.bench.credential(seq).await;
    stage.raw.request(method, json!({"_meta": {"amp": credential}})).await
}

#[tokio::test]
async fn pricing_is_free_and_is_the_discovery_document() {
    let mut stage = Stage::new().await;
    for params in [json!({}), json!({"_meta": {}})] {
        let answer = stage.raw.request("amp/pricing", params).await;
        let document = DiscoveryDocument::parse(answer["result"].to_string().as_bytes()).unwrap();
        assert_eq!(document, stage.service.discovery());
    }
    stage.raw.send(json!({"jsonrpc": "2.0", "id": 99, "method": "amp/pricing"})).await;
    assert_eq!(stage.raw.next().await["result"]["pricing"]["tools"]["free"]["rate"], "0");
}

#[tokio::test]
async fn a_client_that_lost_its_state_learns_it_with_any_seq() {
    let mut stage = Stage::new().await;
    stage.call("quote", 10).await;
    stage.call("quote", 25).await;
    let answer = ask(&mut stage, "amp/channel", 0).await;
    let status: ChannelStatus = serde_json::from_value(answer["result"].clone()).unwrap();
    assert_eq!((status.spent.get(), status.balance.get(), status.last_seq.get()), (20, 9_980, 25));
    assert!(status.metering_proof.is_some() && status.last_sig.is_some());
}

#[tokio::test]
async fn a_raised_ceiling_pays_for_lower_seqs() {
    let mut stage = Stage::new().await;
    let answer = ask(&mut stage, "amp/credential", 500).await;
    assert_eq!((paid(&answer), &answer["result"]["last_seq"]), (["10000", "0", "0", "500"], &json!("500")));
    assert_eq!(refused(&ask(&mut stage, "amp/credential", 500).await), (-32602, "AMP_INVALID_SEQ"));
    assert_eq!(paid(&stage.call("quote", 1).await), ["9990", "10", "10", "500"]);
}

#[tokio::test]
async fn a_close_stops_service_and_answers_the_statement() {
    let mut stage = Stage::new().await;
    stage.call("quote", 10).await;
    assert_eq!(refused(&ask(&mut stage, "amp/close", 9).await), (-32602, "AMP_INVALID_SEQ"));
    let answer = ask(&mut stage, "amp/close", 10).await;
    let closed: CloseResponse = serde_json::from_value(answer["result"].clone()).unwrap();
    assert_eq!(closed.close_statement.owed_total, Amount::new(10));
    assert_eq!(refused(&stage.call("quote", 20).await), (-32602, "AMP_CLOSED"));
}

#[tokio::test]
async fn the_operations_take_the_credential_where_calls_do_and_none_is_refused() {
    let mut stage = Stage::new().await;
    let credential = stage.bench.credential(0).await;
    let answer = stage.raw.request("amp/channel", json!({"_amp": credential})).await;
    assert_eq!(answer["result"]["balance"], "10000");
    for method in ["amp/channel", "amp/credential", "amp/close"] {
        let answer = stage.raw.request(method, json!({})).await;
        assert_eq!(refused(&answer), (-32602, "AMP_NO_CHANNEL"), "{method}");
    }
    let answer = stage.raw.request("amp/other", json!({})).await;
    assert_eq!(answer["error"]["code"], -32601);
}
