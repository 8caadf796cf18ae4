//! `bench`.

use crate::town::{PRICE, Town};

#[tokio::test(flavor = "multi_thread")]
async fn a_bench_pays_for_its_calls_and_counts_them() {
    let town = Town::found().await;
    let url = town.url("/quote");
    town.with_channel(0).await;
    town.amp(&["bench", &url, "-n", "20", "-c", "4", "--yes"]).await.says(&[
        "20 of 20, 4 at once",
        "0.005 ",
        "calls a second",
    ]);
    let json = town.amp(&["bench", &url, "-n", "10", "--yes", "--json"]).await.json();
    assert_eq!((&json["answered"], &json["failed"], &json["cost"]), (&10.into(), &0.into(), &"2500".into()));
    assert_eq!(town.amp(&["list", "--json"]).await.json()[0]["spent"], "7500");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bench_of_what_fails_says_how_often_and_why() {
    let town = Town::found().await;
    town.with_channel(0).await;
    let said = town.amp(&["bench", &town.url("/broken"), "-n", "3", "--yes"]).await;
    said.fails(1, &["3 calls failed", "500"]);
    assert!(said.out.contains("0 of 3"), "{said:?}");
    assert!(said.out.contains("0.00 "), "{said:?}");
    // where failures are charged too, they are in what it cost
    let said = town.amp(&["bench", &town.url("/dear"), "-n", "2", "--yes"]).await;
    said.fails(1, &["2 calls failed", "500"]);
    assert!(said.out.contains("0.0005 "), "{said:?}");
    assert_eq!(town.amp(&["list", "--json"]).await.json()[0]["spent"], (2 * PRICE).to_string());
    town.amp(&["bench", "http://127.0.0.1:1/", "--yes"]).await.fails(11, &["127.0.0.1:1"]);
    town.amp(&["bench", &town.url("/quote"), "-c", "99"]).await.fails(2, &["1..=32"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bench_costs_no_more_than_was_agreed_to_though_the_price_rises() {
    let town = Town::found().await;
    town.with_channel(0).await;
    let said = town.amp(&["bench", &town.url("/rising"), "-n", "5", "-c", "1", "--yes"]).await;
    said.fails(1, &["4 calls failed", "0.0005 ", "0.00025 ", "was agreed to"]);
    assert!(said.out.contains("1 of 5"), "{said:?}");
    assert_eq!(town.amp(&["list", "--json"]).await.json()[0]["spent"], PRICE.to_string());
    // who agrees to the new price pays it
    town.amp(&["bench", &town.url("/rising"), "-n", "2", "--yes"]).await.says(&["2 of 2", "0.001 "]);
}
