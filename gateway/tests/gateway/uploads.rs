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

/// Breaks off once the API works.
fn broken(stage: &Stage) -> impl futures::Stream<Item = io::Result<Bytes>> + Send + 'static {
    let pieces = stage.api.seen.pieces.clone();
    stream::once(async move {
        while pieces.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        Err(io::Error::other("broken"))
    })
}

/// The same under an `Idempotency-Key`.
fn keyed(mut request: reqwest::Request) -> reqwest::Request {
    request.headers_mut().insert("idempotency-key", "upload-1".parse().unwrap());
    request
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
    assert!(stage.client.execute(upload(&stage, broken(&stage))).await.is_err());
    eventually("it is charged", async || stage.spent().await == 2 * PRICE).await;
}

#[tokio::test]
async fn a_request_that_never_ends_costs_nothing_where_success_is_what_is_paid_for() {
    let stage = stage("success").await;
    let answer = stage.client.execute(upload(&stage, stream::pending())).await.unwrap();
    assert_eq!(answer.status(), 408);
    assert_eq!(stage.spent().await, PRICE);
}

#[tokio::test]
async fn an_upload_that_broke_off_can_be_sent_again_under_its_key() {
    let stage = stage("answered").await;
    assert!(stage.client.execute(keyed(upload(&stage, broken(&stage)))).await.is_err());
    eventually("it is charged", async || stage.spent().await == 2 * PRICE).await;
    let answer = stage.client.execute(keyed(upload(&stage, stream::pending()))).await.unwrap();
    assert_eq!(answer.status(), 408, "a new request, which does not end either");
    for replayed in [None, Some("true")] {
        let answer = stage.client.execute(keyed(upload(&stage, stream::empty()))).await.unwrap();
        assert_eq!(answer.status(), 200);
        let header = answer.headers().get("idempotent-replayed").map(|value| value.to_str().unwrap());
        assert_eq!(header, replayed);
        assert_eq!(answer.text().await.unwrap(), "4");
    }
    assert_eq!(stage.spent().await, 4 * PRICE);
}
