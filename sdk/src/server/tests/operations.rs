//! What operators' tools see, over HTTP, and that docs/operating.md says all of it.

use super::*;
use std::collections::BTreeMap;

use crate::chain::AccountSnapshot;
use crate::server::Reason;
use crate::server::metrics::Outcome;
use crate::server::testing::Exposition;
use crate::signer::Signer as _;

const PAGE: &str = include_str!("../../../../docs/operating.md");

/// A service whose recipient can pay, and where its operations are served.
async fn listening() -> (Stage, String) {
    let bench = Bench::new();
    let owner = solana_address::Address::default();
    let account = AccountSnapshot { owner, lamports: 10_000_000, data: Vec::new() };
    bench.chain.put(bench.recipient.public_key().to_bytes(), account);
    let stage = Stage::over(bench, |config| config).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = format!("http://{}", listener.local_addr().unwrap());
    let router = stage.service.operations();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (stage, at)
}

#[tokio::test]
async fn metrics_are_scraped_in_the_open_metrics_format() {
    let (stage, at) = listening().await;
    stage.quote(10).await.paid();
    stage.quote(10).await;
    let response = reqwest::get(format!("{at}/metrics")).await.unwrap();
    assert_eq!(response.status().as_u16(), 200);
    let content_type = response.headers()["content-type"].to_str().unwrap().to_owned();
    assert_eq!(content_type, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let read = Exposition::parse(&response.text().await.unwrap()).unwrap();
    assert!(read.0.keys().all(|name| name.starts_with("amp_")));
    assert_eq!(read.get("amp_requests_total{outcome=\"served\"}"), 1.0);
    assert_eq!(read.get("amp_requests_total{outcome=\"AMP_INVALID_SEQ\"}"), 1.0);
    assert_eq!(read.get("amp_unsettled_base_units"), 10.0);
    assert_eq!((read.get("amp_live"), read.get("amp_ready")), (1.0, 1.0));
    assert_eq!(read.get("amp_recipient_lamports"), 10_000_000.0);
}

#[tokio::test]
async fn health_is_a_status_and_a_report_with_reasons() {
    let (stage, at) = listening().await;
    let get = async |path: &str| {
        let response = reqwest::get(format!("{at}{path}")).await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    for path in ["/health/live", "/health/ready"] {
        assert_eq!(get(path).await, (200, r#"{"ok":true,"findings":[]}"#.to_owned()), "{path}");
    }
    stage.service.shutdown().await;
    tokio::time::sleep(std::time::Duration::from_millis(1_050)).await;
    assert_eq!(get("/health/live").await.0, 200);
    let (status, body) = get("/health/ready").await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &body["ok"]), (503, &Value::Bool(false)));
    assert_eq!(body["findings"][0]["reason"], "shutting_down");
    assert!(!body["findings"][0]["message"].as_str().unwrap().is_empty());
}

#[tokio::test]
async fn clients_do_not_find_the_operations_on_the_services_own_port() {
    let (stage, _) = listening().await;
    assert_eq!(bare(&stage.router, Method::GET, "/metrics").await.code(), (402, "AMP_NO_CHANNEL"));
}

/// The cells of the page's table rows that begin with a name in code.
fn rows() -> BTreeMap<&'static str, Vec<&'static str>> {
    let rows = PAGE.lines().filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |"));
    let cells = rows.map(|row| row.split(" | ").map(|cell| cell.trim_matches('`')).collect::<Vec<_>>());
    cells.map(|cells| (cells[0], cells)).collect()
}

#[tokio::test]
async fn the_operators_page_lists_every_metric_with_its_type_and_unit_and_none_that_is_gone() {
    let stage = Stage::new().await;
    let read = Exposition::parse(&stage.service.metrics().await).unwrap();
    let in_registry: BTreeMap<String, (String, String)> = read
        .0
        .into_iter()
        .map(|(name, family)| {
            let name = if family.kind == "counter" { format!("{name}_total") } else { name };
            let unit = family.unit.unwrap_or_default().replace('_', " ");
            (name, (family.kind, unit))
        })
        .collect();
    let rows = rows().into_iter().filter(|(name, cells)| name.starts_with("amp_") && cells.len() == 4);
    let on_page: BTreeMap<String, (String, String)> = rows
        .map(|(name, cells)| (name.to_owned(), (cells[1].to_owned(), cells[2].trim().to_owned())))
        .collect();
    assert_eq!(on_page, in_registry);
    let words = PAGE.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
    for word in words.filter(|word| word.starts_with("amp_")) {
        assert!(in_registry.contains_key(word), "there is no {word} to alert on");
    }
}

#[test]
fn the_operators_page_explains_every_outcome_and_every_reason() {
    let rows = rows();
    let reasons = Reason::ALL.iter().map(|reason| reason.as_str());
    let codes = |name: &&str| name.starts_with("AMP_");
    for name in Outcome::labels().into_iter().filter(|name| !codes(name)).chain(reasons) {
        assert!(rows.contains_key(name), "{name}");
    }
}
