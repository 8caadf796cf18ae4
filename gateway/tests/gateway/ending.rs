//! A gateway that stops.

use amp_protocol::money::Amount;

use crate::stage::{INTERVAL, PRICE, Stage};

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
