//! What is paid for, and when.

use std::time::Duration;

use super::*;
use crate::server::ChargeOn;
use crate::server::testing::Disk;

#[tokio::test]
async fn a_paid_call_is_served_with_its_receipt_and_the_tool_knows_who_pays() {
    let mut stage = Stage::new().await;
    let answer = stage.call("quote", 10).await;
    assert_eq!(paid(&answer), ["9990", "10", "10", "10"]);
    let said = format!("{} 10 10", solana_address::Address::from(CHANNEL));
    assert_eq!(answer["result"]["content"][0]["text"], said, "and sees no credential");
    assert_eq!(paid(&stage.call("quote", 25).await), ["9980", "20", "10", "25"]);
}

#[tokio::test]
async fn a_free_tool_and_all_else_go_through_without_a_credential_or_a_receipt() {
    let mut stage = Stage::new().await;
    let answer = stage.raw.request("tools/call", json!({"name": "free"})).await;
    assert_eq!(answer["result"], json!({"content": [{"type": "text", "text": "free"}], "isError": false}));
    assert_eq!(stage.raw.request("tools/list", json!({})).await["result"]["tools"], json!([]));
    assert_eq!(stage.raw.request("own/method", json!({})).await["result"], json!({"own": true}));
    assert_eq!(stage.raw.request("other/method", json!({})).await["error"]["code"], -32601);
    assert_eq!(stage.raw.request("ping", json!({})).await["result"], json!({}));
}

#[tokio::test]
async fn a_failure_is_not_charged_its_seq_is_used_up_and_the_receipt_says_so() {
    let mut stage = Stage::new().await;
    assert_eq!(paid(&stage.call("fail", 10).await), ["10000", "0", "0", "10"]);
    assert_eq!(refused(&stage.call("quote", 10).await), (-32602, "AMP_INVALID_SEQ"));
    let crashed = stage.call("crash", 20).await;
    assert_eq!(
        (&crashed["error"]["code"], &crashed["error"]["message"]),
        (&json!(-32603), &json!("crashed"))
    );
    let receipt = json!({"balance": "10000", "spent": "0", "cost": "0", "seq": "20"});
    assert_eq!(crashed["error"]["data"], json!({"amp": receipt}));
    let detailed = stage.call("details", 30).await;
    assert_eq!(
        (&detailed["error"]["data"]["why"], &detailed["error"]["data"]["amp"]["cost"]),
        (&json!("so"), &json!("0"))
    );
    assert_eq!(refused(&stage.call("quote", 20).await), (-32602, "AMP_INVALID_SEQ"));
    assert_eq!(paid(&stage.call("quote", 31).await), ["9990", "10", "10", "31"]);
}

#[tokio::test]
async fn a_tool_that_charges_always_charges_its_failures_and_no_other_tools() {
    let always = |config: ServiceConfig| {
        config.tool_charges_on("fail", ChargeOn::Always).tool_charges_on("crash", ChargeOn::Always)
    };
    let mut stage = Stage::with(always).await;
    assert_eq!(paid(&stage.call("fail", 10).await)[2], "10");
    assert_eq!(stage.call("crash", 20).await["error"]["data"]["amp"]["cost"], "10");
    assert_eq!(stage.call("details", 30).await["error"]["data"]["amp"]["cost"], "0");
}

#[tokio::test]
async fn a_call_that_asks_for_more_input_is_not_charged() {
    let mut stage = Stage::new().await;
    let credential = stage.bench.credential(10).await;
    let meta = json!({"amp": credential, "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "raw", "version": "0"},
        "io.modelcontextprotocol/clientCapabilities": {}});
    let answer = stage.raw.request("tools/call", json!({"name": "ask", "_meta": meta})).await;
    assert_eq!(
        (answer["result"]["resultType"].as_str(), paid(&answer)[2]),
        (Some("input_required"), "0"),
        "{answer}"
    );
}

async fn call_off(stage: &mut Stage) {
    let credential = stage.bench.credential(10).await;
    let params = json!({"name": "slow", "_meta": {"amp": credential}});
    let id = stage.raw.begin("tools/call", params).await;
    let begun = || !stage.service.core.books.of(CHANNEL).is_empty();
    while !begun() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let params = json!({"requestId": id});
    let cancelled = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params});
    stage.raw.send(cancelled).await;
}

#[tokio::test]
async fn a_call_that_is_called_off_frees_the_price_and_its_seq_stays_used() {
    let mut stage = Stage::new().await;
    call_off(&mut stage).await;
    let answer = stage.call("quote", 9).await;
    assert_eq!(refused(&stage.call("quote", 10).await), (-32602, "AMP_INVALID_SEQ"));
    assert_eq!(paid(&answer)[..3], ["9990", "10", "10"], "what seq 10 authorized was free again");
    stage.shop.gate.notify_one();
    assert_eq!(stage.spent().await, 10);
}

#[tokio::test]
async fn a_call_that_is_called_off_is_charged_where_its_tool_charges_always() {
    let mut stage = Stage::with(|config| config.tool_charges_on("slow", ChargeOn::Always)).await;
    call_off(&mut stage).await;
    for _ in 0..100 {
        if stage.spent().await == 10 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it was not charged");
}

#[tokio::test]
async fn a_client_that_hangs_up_leaves_nothing_set_aside() {
    let mut stage = Stage::new().await;
    let credential = stage.bench.credential(10).await;
    stage.raw.begin("tools/call", json!({"name": "slow", "_meta": {"amp": credential}})).await;
    let refused_meanwhile = stage.call("quote", 9).await;
    assert_eq!(
        refused(&refused_meanwhile),
        (-32602, "AMP_UNDERFUNDED"),
        "what seq 10 authorized is set aside"
    );
    let Stage { bench, service, shop, raw } = stage;
    drop(raw);
    let mut raw = Raw::connect(PaidTools::new(service, shop)).await;
    // rmcp gives work under way five seconds to end
    for _ in 0..100 {
        let answer = raw.call("quote", &bench.credential(9).await).await;
        if answer.get("result").is_some() {
            assert_eq!(paid(&answer)[1], "10");
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("it stays set aside");
}

#[tokio::test]
async fn what_is_not_on_disk_does_not_leave() {
    let mut stage = Stage::new().await;
    stage.bench.disk(Disk::FailsFirst(1));
    let answer = stage.call("quote", 10).await;
    assert_eq!(refused(&answer), (-32603, "UNAVAILABLE"));
    stage.bench.disk(Disk::Works);
    assert_eq!(paid(&stage.call("quote", 20).await), ["9990", "10", "10", "20"]);
}

#[tokio::test]
async fn parallel_calls_in_any_order_are_each_charged_once() {
    let mut stage = Stage::new().await;
    for seq in (1..=30_u64).rev() {
        let credential = stage.bench.credential(seq * 10).await;
        stage.raw.begin("tools/call", json!({"name": "quote", "_meta": {"amp": credential}})).await;
    }
    for _ in 0..30 {
        let answer = stage.raw.next().await;
        assert_eq!(paid(&answer)[2], "10");
    }
    assert_eq!(stage.spent().await, 300);
}
