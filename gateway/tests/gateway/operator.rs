//! The operator's endpoints.

use amp_sdk::signer::Signer as _;
use serde_json::{Value, json};

use crate::stage::{INTERVAL, PRICE, Stage, eventually};

async fn ask(stage: &Stage, path: &str) -> Value {
    let request = stage.http.get(format!("{}{path}", stage.operations)).bearer_auth(&stage.token);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200, "{path}");
    answer.json().await.unwrap()
}

#[tokio::test]
async fn nothing_is_told_without_the_token_and_nothing_on_the_first_port() {
    let stage = Stage::set().await;
    let paths =
        ["summary", "sessions", "charges", "charges/stream", "transfers", "analytics", "reconciliation"];
    for path in paths {
        let at = format!("{}/api/{path}", stage.operations);
        for token in ["", "wrong", &stage.token[1..]] {
            let refused = stage.http.get(&at).bearer_auth(token).send().await.unwrap();
            assert_eq!(refused.status(), 401, "{path}");
        }
        assert_eq!(stage.http.get(&at).send().await.unwrap().status(), 401, "{path}");
        let other = stage.http.get(stage.url(&format!("/api/{path}"))).bearer_auth(&stage.token).send().await;
        assert_eq!(other.unwrap().status(), 402, "the API's path, which is priced");
    }
    let page = stage.http.get(format!("{}/", stage.operations)).send().await.unwrap();
    assert!(page.headers()["content-security-policy"].to_str().unwrap().contains("default-src 'none'"));
    assert!(page.text().await.unwrap().contains("AMP gateway"));
}

#[tokio::test]
async fn a_token_is_printed_where_it_was_made_up_and_not_where_it_is_a_files() {
    let mut stage = Stage::set().await;
    assert_eq!(stage.page, format!("{}/#{}", stage.operations, stage.token));
    stage.stop().await;
    std::fs::write(stage.path("operator.token"), "0123456789abcdef\n").unwrap();
    stage.rewrite(|text| format!("operator_token_file = \"operator.token\"\n{text}"));
    stage.start_again().await;
    assert_eq!(stage.page, format!("{}/", stage.operations));
    assert_eq!(stage.token, "0123456789abcdef");
    ask(&stage, "/api/summary").await;
}

#[tokio::test]
async fn charges_settlements_and_books_are_told_and_add_up() {
    let stage = Stage::set().await;
    for _ in 0..3 {
        stage.get("/quote").await;
    }
    let channel = stage.client.channels().await.unwrap()[0].channel.to_string();
    let charges = ask(&stage, "/api/charges").await;
    assert_eq!(charges["charges"].as_array().unwrap().len(), 3);
    assert_eq!(charges["charges"][0]["cost"], PRICE.to_string());
    let summary = ask(&stage, "/api/summary").await;
    assert_eq!((summary["charged"].clone(), summary["decimals"].clone()), (json!("3000"), json!(6)));
    assert_eq!(summary["standing"]["unsettled"], "3000");
    let sessions = ask(&stage, "/api/sessions?state=open").await;
    assert_eq!(sessions["total"], 1);
    assert_eq!(ask(&stage, "/api/sessions?state=closing").await["total"], 0);

    stage.chain.advance_seconds(INTERVAL);
    let settled = stage.service().settle_all().await;
    assert_eq!(settled[0].1.as_ref().unwrap().paid.get(), 3 * PRICE);
    let transfers = ask(&stage, "/api/transfers").await;
    assert_eq!(transfers["transfers"][0]["paid"], "3000");
    assert!(transfers["transfers"][0]["signature"].as_str().unwrap().len() > 80);
    let detail = ask(&stage, &format!("/api/sessions/{channel}")).await;
    assert_eq!(detail["reconciliation"]["adds_up"], true, "{}", detail["reconciliation"]);
    assert_eq!(detail["reconciliation"]["lines"].as_array().unwrap().len(), 5);
    assert_eq!(detail["session"]["signers"][0]["calls"], 3);
    let all = ask(&stage, "/api/reconciliation").await;
    assert_eq!((all["adds_up"].clone(), all["total"].clone()), (json!(true), json!(1)));
    let days = ask(&stage, "/api/analytics?period=day&from=0").await;
    assert_eq!(
        (days["periods"][0]["charged"].clone(), days["periods"][0]["calls"].clone()),
        (json!("3000"), json!(3))
    );
    let unknown = stage.http.get(format!("{}/api/sessions/{}", stage.operations, stage.mint.address));
    assert_eq!(unknown.bearer_auth(&stage.token).send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn books_add_up_while_a_stream_is_under_way() {
    let more = "[[route]]\npath = \"/events\"\nprice = \"0.000005\"\nmode = \"per-second\"\n";
    let stage = Stage::with(more, false).await;
    let mut answer = stage.get("/events").await;
    answer.chunk().await.unwrap();
    let channel = stage.client.channels().await.unwrap()[0].channel.to_string();
    eventually("a second is charged, and the stream goes on", async || {
        let detail = ask(&stage, &format!("/api/sessions/{channel}")).await;
        assert_eq!(detail["reconciliation"]["adds_up"], true, "{}", detail["reconciliation"]);
        detail["session"]["streaming"] != "0"
    })
    .await;
    assert_eq!(ask(&stage, "/api/charges").await["charges"], json!([]), "it is one charge, at its end");
}

#[tokio::test]
async fn a_charge_is_told_while_it_happens() {
    let stage = Stage::set().await;
    stage.get("/quote").await;
    let request =
        stage.http.get(format!("{}/api/charges/stream", stage.operations)).bearer_auth(&stage.token);
    let mut live = request.send().await.unwrap();
    stage.get("/quote").await;
    let event = live.chunk().await.unwrap().unwrap();
    let event = String::from_utf8(event.to_vec()).unwrap();
    assert!(event.starts_with("event: charged\ndata: ") && event.contains("\"cost\":\"1000\""), "{event}");
    let payer = stage.agent.public_key().to_string();
    assert!(event.contains(&payer), "{event}");
}

#[tokio::test]
async fn a_receipt_is_this_services_or_not() {
    let stage = Stage::set().await;
    stage.get("/quote").await;
    let proof = stage.client.status(&stage.origin).await.unwrap().metering_proof.unwrap();
    let verify = async |receipt: Value| -> Value {
        let request = stage.http.post(format!("{}/api/receipts/verify", stage.operations));
        let request = request.bearer_auth(&stage.token).json(&receipt);
        request.send().await.unwrap().json().await.unwrap()
    };
    let mut receipt = serde_json::to_value(proof).unwrap();
    let good = verify(receipt.clone()).await;
    assert_eq!((good["valid"].clone(), good["is_newest"].clone()), (json!(true), json!(true)), "{good}");
    stage.get("/quote").await;
    let old = verify(receipt.clone()).await;
    assert_eq!((old["valid"].clone(), old["is_newest"].clone()), (json!(true), json!(false)), "{old}");
    receipt["owed"] = json!("1");
    assert_eq!(verify(receipt).await["valid"], false);
    assert_eq!(verify(json!({})).await["error"], "NOT_A_RECEIPT");
}

#[tokio::test]
async fn a_history_that_was_lost_is_booked_together_at_the_next_start() {
    let mut stage = Stage::set().await;
    stage.get("/quote").await;
    stage.stop().await;
    stage.service = None;
    let history = stage.path("amp-service.history.db");
    eventually("the writer is gone", async || std::fs::remove_file(&history).is_ok()).await;
    for rest in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(stage.path(&format!("amp-service.history.db{rest}")));
    }
    stage.start_again().await;
    let charges = ask(&stage, "/api/charges").await;
    assert_eq!(charges["charges"].as_array().unwrap().len(), 1);
    assert_eq!(
        (charges["charges"][0]["is_gathered"].clone(), charges["charges"][0]["cost"].clone()),
        (json!(true), json!("1000"))
    );
    assert_eq!(ask(&stage, "/api/reconciliation").await["adds_up"], true);
}
