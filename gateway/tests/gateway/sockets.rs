//! WebSockets that are paid for.

use std::sync::atomic::Ordering;

use amp_sdk::server::Message;
use amp_sdk::signer::Signer as _;

use crate::stage::{PRICE, Stage};

#[tokio::test]
async fn each_message_is_paid_for_both_ways_and_the_api_learns_who_pays() {
    let stage = Stage::set().await;
    let mut socket = stage.client.connect(&stage.url("/ws")).await.unwrap();
    for _ in 0..3 {
        socket.send("hello").await.unwrap();
        assert_eq!(socket.recv().await.unwrap(), Some(Message::text("hello")));
    }
    socket.send("who").await.unwrap();
    let payer = stage.agent.public_key().to_string();
    assert_eq!(socket.recv().await.unwrap(), Some(Message::text(payer)));
    socket.send(Message::Binary(vec![1, 2, 3])).await.unwrap();
    assert_eq!(socket.recv().await.unwrap(), Some(Message::Binary(vec![1, 2, 3])));
    let receipt = socket.close().await.unwrap().expect("it was paid for");
    assert_eq!(stage.api.seen.messages.load(Ordering::SeqCst), 5);
    let spent = stage.spent().await;
    assert_eq!(receipt.cost.get(), spent);
    // by the call a message that is taken costs the price, and one that is sent does not
    assert_eq!(spent, 5 * PRICE);
}

#[tokio::test]
async fn a_socket_to_an_api_that_is_down_is_refused_and_not_charged() {
    let mut stage = Stage::set().await;
    stage.get("/quote").await;
    stage.api.go_down().await;
    assert!(stage.client.connect(&stage.url("/ws")).await.is_err());
    assert_eq!(stage.spent().await, PRICE);
}

#[tokio::test]
async fn a_socket_that_the_api_does_not_take_costs_nothing() {
    let stage = Stage::set().await;
    stage.get("/quote").await;
    assert!(stage.client.connect(&stage.url("/quote")).await.is_err());
    assert_eq!(stage.spent().await, PRICE);
}

#[tokio::test]
async fn seconds_in_which_the_api_has_not_taken_a_socket_yet_are_not_paid_for() {
    let more = "[[route]]\npath = \"/slow\"\nprice = \"0.001\"\nmode = \"per-second\"\n";
    let stage = Stage::with(more, false).await;
    stage.get("/quote").await;
    // it says nothing for longer than it may
    assert!(stage.client.connect(&stage.url("/slow")).await.is_err());
    assert_eq!(stage.spent().await, PRICE);
}

#[tokio::test]
async fn a_socket_whose_units_nobody_could_report_is_refused() {
    let stage = Stage::set().await;
    let request =
        stage.http.get(stage.url("/units")).header("connection", "upgrade").header("upgrade", "websocket");
    let request =
        request.header("sec-websocket-version", "13").header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    assert_eq!(request.send().await.unwrap().status(), 501);
}

#[tokio::test]
async fn a_path_with_several_readings_has_no_socket() {
    let stage = Stage::set().await;
    for path in ["/free/../ws", "/free/%2e%2e/ws"] {
        let mut stream =
            tokio::net::TcpStream::connect(stage.origin.trim_start_matches("http://")).await.unwrap();
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 400", "{path}");
    }
    assert_eq!(stage.api.requests(), 0);
}
