//! A gateway that stops.

use std::sync::atomic::Ordering;

use amp_protocol::money::Amount;
use futures::StreamExt as _;

use crate::stage::{INTERVAL, PRICE, Stage, eventually};

#[tokio::test]
async fn stopping_settles_all_that_is_owed() {
    let mut stage = Stage::set().await;
    for _ in 0..3 {
        stage.get("/quote").await;
    }
    stage.chain.advance_seconds(INTERVAL);
    let ended = stage.stop().await;
    assert_eq!((ended.settled, ended.channels), (Amount::new(3 * PRICE), 1));
    assert!(ended.left.is_empty(), "{:?}", ended.left);
    assert_eq!(stage.earned(), 3 * PRICE);
    assert!(stage.http.get(stage.url("/quote")).send().await.is_err(), "nobody listens");
}

#[tokio::test]
async fn what_can_not_be_settled_yet_is_named_and_not_lost() {
    let mut stage = Stage::set().await;
    stage.get("/quote").await;
    let channel = stage.client.channels().await.unwrap()[0].channel;
    let ended = stage.stop().await;
    assert_eq!((ended.settled, ended.left.len()), (Amount::ZERO, 1));
    assert_eq!(ended.left[0].0, channel.to_string());
    assert!(ended.left[0].1.contains("AMP_SETTLE_EARLY"), "{}", ended.left[0].1);
}

#[tokio::test]
async fn an_answer_under_way_is_finished_first() {
    let mut stage = Stage::set().await;
    let mut answer = stage.get("/events").await;
    answer.chunk().await.unwrap();
    let gate = stage.api.seen.gate.clone();
    let finishing = tokio::spawn(async move {
        gate.notify_one();
        let mut last = None;
        while let Some(piece) = answer.chunk().await.unwrap() {
            last = Some(piece);
        }
        last
    });
    stage.chain.advance_seconds(INTERVAL);
    let ended = stage.stop().await;
    assert_eq!(finishing.await.unwrap().unwrap(), b"data: second\n\n");
    assert_eq!(ended.settled, Amount::new(PRICE));
    assert!(stage.path("amp-service.db").exists());
}

#[tokio::test]
async fn an_answer_that_never_ends_is_cut_off_before_all_is_settled() {
    let mut stage = Stage::with("[[route]]\npath = \"/flood\"\nprice = \"0\"\n", false).await;
    let flood = stage.http.get(stage.url("/flood")).send().await.unwrap();
    let reading = tokio::spawn(async move {
        let mut pieces = flood.bytes_stream();
        while let Some(Ok(_)) = pieces.next().await {}
    });
    stage.stop().await;
    reading.await.unwrap();
    let seen = &stage.api.seen;
    eventually("the API can stop", async || seen.floods_ended.load(Ordering::SeqCst) == 1).await;
}

#[tokio::test]
async fn what_the_gateway_cuts_off_is_not_charged_even_where_what_clients_cut_off_is() {
    let more = "[[route]]\npath = \"/slow\"\nprice = \"0.001\"\ncharge = \"answered\"\n";
    let mut stage = Stage::with(more, false).await;
    stage.stop().await;
    stage.rewrite(|text| text.replace("answer_timeout = 1", "answer_timeout = 60"));
    stage.start_again().await;
    stage.get("/quote").await;
    let (client, url) = (stage.client.clone(), stage.url("/slow"));
    let asking = tokio::spawn(async move { client.get(&url).await.map(drop) });
    eventually("the API works", async || stage.api.requests() == 2).await;
    stage.stop().await;
    assert!(asking.await.unwrap().is_err(), "it was cut off");
    stage.start_again().await;
    stage.chain.advance_seconds(INTERVAL);
    assert!(stage.stop().await.left.is_empty());
    assert_eq!(stage.earned(), PRICE, "all that was charged is settled");
}
