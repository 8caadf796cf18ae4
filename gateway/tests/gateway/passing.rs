//! What passes, and how.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use amp_sdk::signer::Signer as _;
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::stage::{PRICE, Stage, eventually};

async fn said(response: amp_sdk::client::Response) -> BTreeMap<String, String> {
    serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
}

#[tokio::test]
async fn the_api_learns_who_pays_and_how_much_and_nothing_of_the_credential() {
    let stage = Stage::set().await;
    let said = said(stage.get("/echo?a=%20b").await).await;
    let channel = stage.client.channels().await.unwrap()[0].channel;
    assert_eq!(said["amp-channel"], channel.to_string());
    assert_eq!(said["amp-payer"], stage.agent.public_key().to_string());
    assert_eq!(said["amp-cost"], PRICE.to_string());
    assert!(!said.contains_key("amp-sig"));
    assert_eq!(said["(uri)"], "/echo?a=%20b");
    assert_eq!(said["host"], stage.api.address.to_string());
    assert_eq!(said["x-forwarded-host"], stage.origin.trim_start_matches("http://"));
    assert_eq!(said["x-forwarded-for"], "127.0.0.1");
}

#[tokio::test]
async fn identity_headers_that_a_client_forges_are_gone() {
    let stage = Stage::set().await;
    stage.get("/quote").await;
    let request = stage.http.get(stage.url("/echo"));
    let request =
        request.header("AMP-Payer", "somebody").header("amp_payer", "somebody").header("AMP-Cost", "0");
    let request =
        request.header("X-Forwarded-For", "6.6.6.6").header("Connection", "X-Secret").header("X-Secret", "1");
    let said = said(stage.client.execute(request.build().unwrap()).await.unwrap()).await;
    assert_eq!(said["amp-payer"], stage.agent.public_key().to_string());
    assert_eq!(said["amp-cost"], PRICE.to_string());
    assert!(!said.contains_key("amp_payer") && !said.contains_key("x-secret"), "{said:?}");
    assert_eq!(said["x-forwarded-for"], "127.0.0.1");
}

#[tokio::test]
async fn what_the_api_says_of_payments_is_not_believed() {
    let stage = Stage::set().await;
    let answer = stage.get("/forged").await;
    assert_eq!(answer.headers()["amp-cost"], PRICE.to_string().as_str());
    assert!(!answer.headers().contains_key("amp_spent"));
    let free = Stage::with("[[route]]\npath = \"/forged\"\nprice = \"0\"\n", false).await;
    let answer = free.http.get(free.url("/forged")).send().await.unwrap();
    assert!(!answer.headers().contains_key("amp-cost"));
}

#[tokio::test]
async fn a_chunk_of_a_stream_arrives_before_the_stream_ends() {
    let stage = Stage::set().await;
    let mut answer = stage.get("/events").await;
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let first = timeout(Duration::from_secs(5), answer.chunk()).await.expect("it is not held back");
    assert_eq!(first.unwrap().unwrap(), b"data: first\n\n");
    // the API has not sent the second one yet
    stage.api.seen.gate.notify_one();
    assert_eq!(answer.chunk().await.unwrap().unwrap(), b"data: second\n\n");
    assert!(answer.chunk().await.unwrap().is_none());
}

#[tokio::test]
async fn a_piece_of_an_upload_is_at_the_api_before_the_next_is_sent() {
    let stage = Stage::with("[[route]]\npath = \"/upload\"\nprice = \"0\"\n", false).await;
    let (send, receive) = mpsc::channel::<Bytes>(1);
    let pieces = stream::unfold(receive, |mut receive| async move {
        let piece = receive.recv().await?;
        Some((Ok::<_, std::io::Error>(piece), receive))
    });
    let request = stage.http.post(stage.url("/upload")).body(reqwest::Body::wrap_stream(pieces));
    let answer = tokio::spawn(request.send());
    for count in 1..=3_u64 {
        send.send(Bytes::from(vec![0; 1_000])).await.unwrap();
        eventually("the piece is there", async || stage.api.seen.pieces.load(Ordering::SeqCst) >= count)
            .await;
    }
    drop(send);
    assert_eq!(answer.await.unwrap().unwrap().text().await.unwrap(), "3000");
}

#[tokio::test]
async fn an_answer_that_breaks_off_does_not_seem_whole() {
    let stage = Stage::with("[[route]]\npath = \"/breaks\"\nprice = \"0\"\n", false).await;
    let answer = stage.http.get(stage.url("/breaks")).send().await.unwrap();
    let pieces: Vec<_> = answer.bytes_stream().collect().await;
    assert!(pieces.last().unwrap().is_err());
}

#[tokio::test]
async fn a_websocket_of_a_free_route_passes_as_it_is() {
    let stage = Stage::set().await;
    let (mut socket, _) =
        tokio_tungstenite::connect_async(stage.url("/free/ws").replace("http", "ws")).await.unwrap();
    use futures::SinkExt as _;
    use tokio_tungstenite::tungstenite::Message;
    socket.send(Message::text("hello")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("hello"));
    socket.send(Message::text("who")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("nobody"));
    assert_eq!(stage.api.seen.messages.load(Ordering::SeqCst), 2);
}

/// What the gateway answers to bytes as they are.
pub(crate) async fn raw(stage: &Stage, request: &str) -> String {
    let mut stream =
        tokio::net::TcpStream::connect(stage.origin.trim_start_matches("http://")).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn no_other_protocol_is_agreed_on_past_the_gateway() {
    let stage = Stage::set().await;
    let answer = raw(
        &stage,
        "GET /free/echo HTTP/1.1\r\nHost: api\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\n\
         HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // the API says which headers it was sent
    let sent = answer.split_once("\r\n\r\n").unwrap().1.to_ascii_lowercase();
    assert!(sent.contains("host") && !sent.contains("upgrade") && !sent.contains("http2-settings"), "{sent}");
}

#[tokio::test]
async fn a_path_that_climbs_in_any_reading_reaches_nobody() {
    let stage = Stage::set().await;
    for path in [
        "/free/../quote",
        "/free/%2e%2e/quote",
        "/free/%252e%252e/quote",
        "/free\\..\\quote",
        "/free/..;/quote",
    ] {
        let answer =
            raw(&stage, &format!("GET {path} HTTP/1.1\r\nHost: api\r\nConnection: close\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("AMBIGUOUS_PATH"), "{path}: {answer}");
    }
    // another spelling of a dearer path costs what that does
    let answer = raw(&stage, "GET /QUOTE HTTP/1.1\r\nHost: api\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 402"), "{answer}");
    assert_eq!(stage.api.requests(), 0);
}

#[tokio::test]
async fn a_tunnel_is_refused() {
    let stage = Stage::set().await;
    let mut stream =
        tokio::net::TcpStream::connect(stage.origin.trim_start_matches("http://")).await.unwrap();
    stream.write_all(b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n").await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 405");
    assert_eq!(stage.api.requests(), 0);
}

#[tokio::test]
async fn metrics_and_health_are_on_the_second_port_and_not_on_the_first() {
    let stage = Stage::set().await;
    stage.get("/quote").await;
    let metrics = stage.http.get(format!("{}/metrics", stage.operations)).send().await.unwrap();
    assert!(metrics.text().await.unwrap().contains("amp_requests_total{outcome=\"served\"} 1"));
    assert_eq!(
        stage.http.get(format!("{}/health/live", stage.operations)).send().await.unwrap().status(),
        200
    );
    assert_eq!(stage.http.get(stage.url("/metrics")).send().await.unwrap().status(), 402);
}
