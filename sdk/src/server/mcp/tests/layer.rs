//! What the layer does to HTTP messages; tests/mcp has the real server and client.

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::routing::post;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Request};
use tower::ServiceExt as _;

use super::super::AmpFieldsLayer;
use super::*;

async fn through(body: Body) -> Value {
    let echo = |headers: HeaderMap, body: Bytes| async move {
        let length = headers.get(CONTENT_LENGTH).map(|length| length.to_str().unwrap().to_owned());
        assert!(length.is_none_or(|length| length == body.len().to_string()));
        body
    };
    let app = Router::new().route("/", post(echo)).layer(AmpFieldsLayer);
    let request = Request::post("/").body(body).unwrap();
    let response = app.oneshot(request).await.unwrap();
    let body = to_bytes(response.into_body(), 1 << 24).await.unwrap();
    serde_json::from_slice(&body).unwrap()
}

#[tokio::test]
async fn a_message_is_edited_on_its_way_in_and_out() {
    let answer = through(Body::from(r#"{"params": {"_amp": 7}, "result": {"_meta": {"amp": 8}}}"#)).await;
    assert_eq!(answer, json!({"params": {"_meta": {"_amp": 7}}, "result": {"_amp": 8, "_meta": {"amp": 8}}}));
    let spread = "{\n  \"params\": {\n    \"_amp\": 7\n  }\n}\n";
    assert_eq!(through(Body::from(spread)).await, json!({"params": {"_meta": {"_amp": 7}}}));
    let pieces =
        spread.as_bytes().chunks(3).map(|piece| Ok::<_, std::io::Error>(Bytes::copy_from_slice(piece)));
    let streamed = Body::from_stream(futures::stream::iter(pieces.collect::<Vec<_>>()));
    assert_eq!(through(streamed).await, json!({"params": {"_meta": {"_amp": 7}}}));
}

#[tokio::test]
async fn a_message_too_large_to_look_at_goes_on_as_it_is() {
    let echo = |body: Body| async move {
        let bytes = to_bytes(body, 1 << 24).await.unwrap();
        bytes.len().to_string()
    };
    let app = Router::new().route("/", post(echo)).layer(AmpFieldsLayer);
    let large = format!(r#"{{"params":{{"_amp":7,"fill":"{}"}}}}"#, "x".repeat(5 << 20));
    let pieces =
        large.as_bytes().chunks(1 << 16).map(|piece| Ok::<_, std::io::Error>(Bytes::copy_from_slice(piece)));
    let body = Body::from_stream(futures::stream::iter(pieces.collect::<Vec<_>>()));
    let response = app.oneshot(Request::post("/").body(body).unwrap()).await.unwrap();
    let body = to_bytes(response.into_body(), 1 << 24).await.unwrap();
    assert_eq!(body, large.len().to_string().as_bytes());
}
