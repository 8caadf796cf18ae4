use super::*;

fn limits() -> SocketLimits {
    SocketLimits {
        max_message: 2_000,
        queue: 4,
        bind_wait: Duration::from_millis(200),
        ping_every: Duration::from_millis(50),
        idle: Duration::from_millis(400),
        ..SocketLimits::default()
    }
}

async fn limited() -> Stage {
    Stage::with(|config| config, limits()).await
}

#[tokio::test]
async fn a_client_that_does_not_say_who_pays_is_sent_away() {
    let stage = limited().await;
    let mut peer = stage.connect("/echo").await;
    let ended = peer.end().await;
    assert_eq!((ended.other(), ended.code), ("TIMEOUT", 4408));
}

#[tokio::test]
async fn a_frame_above_the_limit_ends_the_socket_before_and_after_it_is_open() {
    let stage = limited().await;
    let mut peer = stage.connect("/echo").await;
    peer.send(Frame::text("x".repeat(2_001))).await;
    let ended = peer.end().await;
    assert_eq!((ended.other(), ended.code), ("TOO_LARGE", 4413));
    let (mut peer, _) = stage.open("/echo", 10).await;
    peer.send(stage.binary(11, &[0; 2_000]).await).await;
    let ended = peer.end().await;
    assert_eq!((ended.other(), ended.code), ("TOO_LARGE", 4413));
    assert_eq!(ended.end.unwrap().cost, Amount::ZERO);
    let (mut peer, _) = stage.open("/echo", 20).await;
    peer.send(stage.binary(21, &[0; 1_928]).await).await;
    assert!(matches!(peer.frame().await, Some(Frame::Binary(bytes)) if bytes.len() == 1_928));
}

#[tokio::test]
async fn a_message_in_many_frames_is_bounded_as_one() {
    use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
    let stage = limited().await;
    let (mut peer, _) = stage.open("/echo", 10).await;
    let part = |kind, last| {
        let frame = tokio_tungstenite::tungstenite::protocol::frame::Frame::message(
            vec![0; 900],
            OpCode::Data(kind),
            last,
        );
        Frame::Frame(frame)
    };
    peer.send(part(Data::Binary, false)).await;
    peer.send(part(Data::Continue, false)).await;
    peer.send(part(Data::Continue, false)).await;
    assert_eq!(peer.end().await.other(), "TOO_LARGE");
}

#[tokio::test]
async fn what_is_no_websocket_is_unreadable() {
    use tokio::io::AsyncWriteExt as _;
    let stage = limited().await;
    for (n, bytes) in (1..).zip([
        // reserved bits, an unknown opcode, no mask
        &[0xf1, 0x80, 1, 2, 3, 4][..],
        &[0x83, 0x80, 1, 2, 3, 4],
        &[0x81, 0x01, b'x'],
        // text that is no UTF-8, masked with zeros
        &[0x81, 0x82, 0, 0, 0, 0, 0xff, 0xfe],
    ]) {
        let (mut peer, _) = stage.open("/echo", 10 * n).await;
        peer.0.get_mut().write_all(bytes).await.unwrap();
        let ended = peer.end().await;
        assert_eq!((ended.other(), ended.code), ("UNREADABLE", 4400), "{bytes:?}");
    }
}

#[tokio::test]
async fn an_answer_above_the_limit_is_refused_to_the_handler_and_the_socket_goes_on() {
    let stage = limited().await;
    let (send, refused) = tokio::sync::oneshot::channel();
    let send = Arc::new(std::sync::Mutex::new(Some(send)));
    let paid = AmpWebSocket::new(stage.service.clone()).limits(limits());
    let handler = move |upgrade: WebSocketUpgrade| async move {
        paid.on_upgrade(upgrade, "/bytes", move |socket| async move {
            let refused = socket.send(vec![0; 2_001]).await;
            send.lock().unwrap().take().unwrap().send(refused).unwrap();
            socket.send("ok").await.unwrap();
        })
    };
    let router = Router::new().route("/bytes", any(handler));
    let stage = Stage::serving(stage.bench, stage.service, router).await;
    let (mut peer, _) = stage.open("/bytes", 100).await;
    assert_eq!(peer.text().await, "ok");
    assert_eq!(refused.await.unwrap(), Err(super::super::SocketClosed::TooLarge { limit: 2_000 }));
    assert_eq!(peer.end().await.cost(), 2);
}

#[tokio::test]
async fn a_client_that_reads_nothing_holds_the_handler_up_and_is_charged_for_what_left() {
    let stage = Stage::with(
        |config| config,
        SocketLimits { idle: Duration::from_secs(600), ..SocketLimits::default() },
    )
    .await;
    stage.bench.chain.change_channel(|account| {
        account.books.deposited = Amount::new(1 << 40);
        account.terms.rate_limit = 1 << 40;
    });
    let (mut peer, _) = stage.open("/flood", 1 << 40).await;
    // it stops by itself: what it may send is what the kernel takes
    let mut before = 0;
    for _ in 0..100 {
        sleep(Duration::from_millis(200)).await;
        let sent = Seen::get(&stage.seen.sent);
        if sent == before && sent > 0 {
            break;
        }
        before = sent;
    }
    sleep(Duration::from_millis(300)).await;
    assert_eq!(Seen::get(&stage.seen.sent), before, "it goes on though nobody reads");
    assert!(before < 100_000, "{before} kilobytes are in somebody's memory");
    // a signature and an end get through to it all the same
    peer.close().await;
    let mut received = 0_u64;
    let end = loop {
        match peer.frame().await {
            Some(Frame::Binary(bytes)) => received += bytes.len() as u64,
            Some(Frame::Text(text)) => match SocketControl::parse(&text) {
                Ok(Some(SocketControl::End { amp_end })) => break amp_end,
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
        if received > 50_000_000 && Seen::get(&stage.seen.returned) == 0 {
            // enough is enough: this handler never ends by itself
            peer.0.send(Frame::Close(None)).await.unwrap();
            return;
        }
    };
    assert_eq!(Some(end.cost), BYTE.cost(received));
}

#[tokio::test]
async fn a_handler_that_takes_nothing_holds_the_client_up_and_little_is_in_memory() {
    let stage = Stage::new().await;
    let (mut peer, _) = stage.open("/ticks", 5_000).await;
    let (payload, mut sent) = (vec![0; 60_000], 0_u64);
    let frame = stage.binary(5_000, &payload).await;
    while sent < 2_000 {
        if timeout(Duration::from_millis(500), peer.0.send(frame.clone())).await.is_err() {
            break;
        }
        sent += 1;
    }
    assert!(sent < 2_000, "120 MB went somewhere");
}

#[tokio::test]
async fn a_client_that_answers_no_ping_is_gone_and_its_seconds_end() {
    let stage = limited().await;
    let (peer, _) = stage.open("/ticks", 1_000).await;
    let begun = std::time::Instant::now();
    stage.returned().await;
    assert!((300..2_000).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
    assert_eq!(stage.spent().await, SECOND);
    drop(peer);
}

#[tokio::test]
async fn a_client_that_answers_pings_and_says_nothing_stays() {
    let stage = limited().await;
    let (mut peer, _) = stage.open("/echo", 10).await;
    let begun = std::time::Instant::now();
    while begun.elapsed() < Duration::from_millis(1_200) {
        let _ = timeout(Duration::from_millis(50), peer.0.next()).await;
    }
    peer.send(stage.paid(11, Some("still here")).await).await;
    assert_eq!(peer.text().await, "still here");
}
