//! Requests that do not come whole, on routes where every answer is paid for.

use std::io;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures::{StreamExt as _, stream};

use crate::stage::{PRICE, Stage, eventually};

/// A piece, and then whatever `rest` is.
fn upload(
    stage: &Stage,
    rest: impl futures::Stream<Item = io::Result<Bytes>> + Send + 'static,
) -> reqwest::Request {
    let pieces = stream::iter([Ok(Bytes::from_static(b"work"))]).chain(rest);
    stage.http.post(stage.url("/upload")).body(reqwest::Body::wrap_stream(pieces)).build().unwrap()
}

async fn stage(charge: &str) -> Stage {
    let more = format!("[[route]]\npath = \"/upload\"\nprice = \"0.001\"\ncharge = \"{charge}\"\n");
    let stage = Stage::with(&more, false).await;
    stage.get("/quote").await;
    stage
}

#[tokio::test]
async fn whoever_never_ends_a_request_pays_where_every_answer_is_paid_for() {
    let stage = stage("answered").await;
    let answer = stage.client.execute(upload(&stage, stream::pending())).await.unwrap();
    assert_eq!(answer.status(), 408);
    assert_eq!(stage.api.seen.pieces.load(Ordering::SeqCst), 1, "the API has worked");
    assert_eq!(stage.spent().await, 2 * PRICE);
}

#[tokio::test]
async fn whoever_breaks_a_request_off_pays_where_every_answer_is_paid_for() {
    let stage = stage("answered").await;
    let pieces = stage.api.seen.pieces.clone();
    let broken = stream::once(async move {
        // the API works by then
        while pieces.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        Err(io::Error::other("broken"))
    });
    assert!(stage.client.execute(upload(&stage, broken)).await.is_err());
    eventually("it is charged", async || stage.spent().await == 2 * PRICE).await;
}

#[tokio::test]
async fn a_request_that_never_ends_costs_nothing_where_success_is_what_is_paid_for() {
    let stage = stage("success").await;
    let answer = stage.client.execute(upload(&stage, stream::pending())).await.unwrap();
    assert_eq!(answer.status(), 408);
    assert_eq!(stage.spent().await, PRICE);
}
