//! Nothing is charged.

use crate::api::BYTES;
use crate::stage::{PRICE, Stage, eventually};

#[tokio::test]
async fn nothing_is_charged_and_what_would_be_is_counted() {
    let stage = Stage::with("", true).await;
    let get = async |path: &str| stage.http.get(stage.url(path)).send().await.unwrap();
    assert_eq!(get("/quote").await.status(), 200);
    assert_eq!(get("/fail").await.status(), 500);
    assert_eq!(get("/free/x").await.status(), 404);
    assert_eq!(get("/bytes").await.bytes().await.unwrap().len(), BYTES);
    let would = stage.would_charge.clone().unwrap();
    eventually("both are noted", async || would.answers() == 2).await;
    assert_eq!(would.amount().get(), PRICE + 300);
    assert_eq!(get("/units").await.text().await.unwrap(), "five units");
    eventually("the units are noted", async || would.amount().get() == PRICE + 300 + 35).await;
    assert!(stage.service.is_none(), "there is no engine that could charge");
    assert!(stage.chain.executed().is_empty(), "nobody opened or settled anything");
}

#[tokio::test]
async fn new_prices_are_tried_dry_too() {
    let stage = Stage::with("", true).await;
    stage.rewrite(|text| text.replace("price = \"0.001\"", "price = \"0.005\""));
    let would = stage.would_charge.clone().unwrap();
    eventually("the new price would be charged", async || {
        let before = would.amount().get();
        stage.http.get(stage.url("/quote")).send().await.unwrap();
        would.amount().get() - before == 5 * PRICE
    })
    .await;
}
