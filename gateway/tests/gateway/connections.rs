//! What clients that are slow, silent or many may take of the gateway.

use std::time::Duration;

use axum::body::Body;
use futures::StreamExt as _;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::stage::{Stage, eventually};

const REQUEST: &[u8] = b"GET /free/echo HTTP/1.1\r\nHost: api\r\n\r\n";

async fn connect(stage: &Stage) -> TcpStream {
    TcpStream::connect(stage.origin.trim_start_matches("http://")).await.unwrap()
}

/// Asks for something free, and reads the answer's head.
async fn ask(stream: &mut TcpStream) -> bool {
    let mut answer = [0; 12];
    stream.write_all(REQUEST).await.is_ok()
        && stream.read_exact(&mut answer).await.is_ok()
        && &answer == b"HTTP/1.1 200"
}

/// Whether the other end closes it; what it still says is thrown away.
async fn ends(mut stream: TcpStream) -> bool {
    let mut said = Vec::new();
    // far more than the limit: it never ended
    timeout(Duration::from_secs(60), stream.read_to_end(&mut said)).await.is_ok()
}

async fn impatient() -> Stage {
    Stage::with(
        "[[route]]\npath = \"/events\"\nprice = \"0\"\n[clients]\nhead_timeout = 1\nkeep_alive = 1\n",
        false,
    )
    .await
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_ends_the_connection() {
    let stage = impatient().await;
    let mut stream = connect(&stage).await;
    stream.write_all(b"GET /free/echo HTTP/1.1\r\nX: ").await.unwrap();
    eventually("it is closed", async || {
        sleep(Duration::from_millis(50)).await;
        stream.write_all(b"x").await.is_err()
    })
    .await;
    assert_eq!(stage.api.requests(), 0);
}

#[tokio::test]
async fn a_connection_that_sends_no_request_ends() {
    let stage = impatient().await;
    // silent from the beginning; within what tells HTTP/2 from HTTP/1; with HTTP/2 and no request
    for said in [&b""[..], b"PRI * HT", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"] {
        let mut stream = connect(&stage).await;
        stream.write_all(said).await.unwrap();
        assert!(ends(stream).await, "{said:?}");
    }
    // done with the one that it had
    let mut stream = connect(&stage).await;
    assert!(ask(&mut stream).await);
    assert!(ends(stream).await);
}

/// Reads to the end of an answer, which is JSON of one level.
async fn read_answer(stream: &mut TcpStream) -> bool {
    let mut answer = Vec::new();
    while !answer.ends_with(b"}") {
        match stream.read_u8().await {
            Ok(byte) => answer.push(byte),
            Err(_) => return false,
        }
    }
    answer.starts_with(b"HTTP/1.1 200")
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_request_longer_than_for_a_head() {
    let stage = Stage::with("[clients]\nhead_timeout = 1\n", false).await;
    let mut stream = connect(&stage).await;
    for _ in 0..2 {
        stream.write_all(REQUEST).await.unwrap();
        assert!(read_answer(&mut stream).await);
        sleep(Duration::from_secs(3)).await;
    }
    assert_eq!(stage.api.requests(), 2);
    stream.write_all(b"GET /free/echo HTTP/1.1\r\nX: ").await.unwrap();
    assert!(ends(stream).await, "a head that has begun has the time of one");
}

#[tokio::test]
async fn an_answer_under_way_is_waited_for_however_long_it_is_silent() {
    let stage = impatient().await;
    let answer = stage.http.get(stage.url("/events")).send().await.unwrap();
    let mut pieces = answer.bytes_stream();
    assert_eq!(pieces.next().await.unwrap().unwrap(), "data: first\n\n");
    sleep(Duration::from_secs(3)).await;
    stage.api.seen.gate.notify_one();
    assert_eq!(pieces.next().await.unwrap().unwrap(), "data: second\n\n");
    assert!(pieces.next().await.is_none());
}

#[tokio::test]
async fn connections_beyond_the_most_there_may_be_wait_for_one_that_ends() {
    let stage = Stage::with("[clients]\nconnections = 2\n", false).await;
    let (mut one, mut other, mut third) =
        (connect(&stage).await, connect(&stage).await, connect(&stage).await);
    assert!(ask(&mut one).await && ask(&mut other).await);
    assert!(timeout(Duration::from_millis(300), ask(&mut third)).await.is_err(), "it has no place");
    assert_eq!(stage.api.requests(), 2);
    drop(one);
    let mut answer = [0; 12];
    third.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
}

#[tokio::test]
async fn an_address_with_as_many_connections_as_it_may_gets_no_more_and_sockets_count() {
    let stage = Stage::with("[clients]\nconnections_per_address = 1\n", false).await;
    let (socket, _) =
        tokio_tungstenite::connect_async(stage.url("/free/ws").replace("http", "ws")).await.unwrap();
    assert!(!ask(&mut connect(&stage).await).await);
    assert_eq!(stage.api.requests(), 1);
    drop(socket);
    eventually("there is a place again", async || ask(&mut connect(&stage).await).await).await;
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_an_answer_is_not_waited_for() {
    let more = "[[route]]\npath = \"/flood\"\nprice = \"0\"\n[clients]\nidle_timeout = 1\n";
    let stage = Stage::with(more, false).await;
    let mut stream = connect(&stage).await;
    stream.write_all(b"GET /flood HTTP/1.1\r\nHost: api\r\n\r\n").await.unwrap();
    eventually("the API can stop", async || {
        stage.api.seen.floods_ended.load(std::sync::atomic::Ordering::SeqCst) == 1
    })
    .await;
}

/// What the gateway says of itself to a client of HTTP/2.
async fn settings(stage: &Stage) -> Vec<(u16, u32)> {
    let mut stream = connect(stage).await;
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(head[3], 4, "its settings come first");
    let mut said = Vec::new();
    for _ in 0..u32::from_be_bytes([0, head[0], head[1], head[2]]) / 6 {
        said.push((stream.read_u16().await.unwrap(), stream.read_u32().await.unwrap()));
    }
    said
}

#[tokio::test]
async fn a_connection_of_http_2_has_so_many_requests_at_once() {
    const MAX_CONCURRENT_STREAMS: u16 = 3;
    let stage = Stage::set().await;
    assert!(settings(&stage).await.contains(&(MAX_CONCURRENT_STREAMS, 32)));
}

#[tokio::test]
async fn a_stream_whose_client_takes_nothing_ends_and_the_others_of_its_connection_go_on() {
    let more = "[[route]]\npath = \"/flood\"\nprice = \"0\"\n[[route]]\npath = \"/events\"\nprice = \"0\"\n[clients]\nidle_timeout = 1\n";
    let stage = Stage::with(more, false).await;
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(20);
    let (mut client, connection) = builder.handshake(TokioIo::new(connect(&stage).await)).await.unwrap();
    let connection = tokio::spawn(connection);
    let get = |path: &str| http::Request::get(stage.url(path)).body(Body::empty()).unwrap();
    let events = client.send_request(get("/events")).await.unwrap();
    let mut events = Body::new(events.into_body()).into_data_stream();
    assert_eq!(events.next().await.unwrap().unwrap(), "data: first\n\n");
    // its window is never opened
    let flood = client.send_request(get("/flood")).await.unwrap();
    eventually("the API can stop", async || {
        stage.api.seen.floods_ended.load(std::sync::atomic::Ordering::SeqCst) == 1
    })
    .await;
    let mut flood = Body::new(flood.into_body()).into_data_stream();
    while let Some(Ok(_)) = flood.next().await {}
    assert!(!connection.is_finished());
    stage.api.seen.gate.notify_one();
    assert_eq!(events.next().await.unwrap().unwrap(), "data: second\n\n");
}
