use super::*;

fn required(control: SocketControl) -> Option<u64> {
    match control {
        SocketControl::Need { amp_need } => amp_need.required_seq.map(amp_protocol::money::Seq::get),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_socket_at_its_ceiling_asks_for_more_and_goes_on_when_that_is_signed() {
    let stage = Stage::new().await;
    let (mut peer, _) = stage.open("/work", 20).await;
    peer.send(stage.paid(21, Some("100")).await).await;
    assert_eq!(required(peer.control().await), Some(200));
    peer.send(stage.paid(199, None).await).await;
    assert!(timeout(Duration::from_millis(100), peer.frame()).await.is_err(), "too little");
    peer.send(stage.paid(200, None).await).await;
    assert_eq!(peer.text().await, "100 done");
    // by the endpoint as well
    peer.send(stage.paid(201, Some("50")).await).await;
    assert_eq!(required(peer.control().await), Some(300));
    stage.service.raise_ceiling(&stage.bench.credential(300).await).await.unwrap();
    assert_eq!(peer.text().await, "50 done");
    peer.close().await;
    assert_eq!(peer.end().await.cost(), 300);
}

#[tokio::test]
async fn a_socket_for_which_nothing_more_is_signed_ends_with_what_was_delivered() {
    let stage = Stage::new().await;
    let (mut peer, _) = stage.open("/work", 20).await;
    peer.send(stage.paid(21, Some("10")).await).await;
    assert_eq!(peer.text().await, "10 done");
    peer.send(stage.paid(22, Some("7")).await).await;
    assert_eq!(required(peer.control().await), Some(34));
    let ended = peer.end().await;
    assert_eq!((ended.amp().error, ended.code), (Code::Underfunded, 4402));
    assert_eq!(ended.end.unwrap().cost.get(), 20);
    stage.returned().await;
    assert_eq!(stage.spent().await, 20);
}

#[tokio::test]
async fn time_that_waits_for_a_signature_is_not_counted() {
    let stage =
        Stage::with(|config| config.stream_wait(Duration::from_secs(5)), SocketLimits::default()).await;
    let (mut peer, _) = stage.open("/ticks", 5).await;
    loop {
        let text = peer.text().await;
        if text != "tick" {
            assert_eq!(required(SocketControl::parse(&text).unwrap().unwrap()), Some(10));
            break;
        }
    }
    // nothing is delivered meanwhile
    assert!(timeout(Duration::from_millis(1_500), peer.frame()).await.is_err());
    peer.send(stage.paid(10, None).await).await;
    assert_eq!(peer.text().await, "tick");
    drop(peer);
    assert_eq!(stage.spent().await, 10);
}

#[tokio::test]
async fn a_close_of_the_channel_ends_its_sockets_and_its_statement_has_what_they_cost() {
    let stage = Stage::new().await;
    let (mut peer, _) = stage.open("/echo", 10).await;
    peer.send(stage.paid(11, Some("one")).await).await;
    assert_eq!(peer.text().await, "one");
    let closed = stage.service.close(&stage.bench.credential(11).await).await.unwrap();
    assert_eq!(closed.close_statement.owed_total.get(), 10);
    let ended = peer.end().await;
    assert_eq!((ended.amp().error, ended.code), (Code::Closed, 4410));
    assert_eq!(ended.end.unwrap().cost.get(), 10);
}

#[tokio::test]
async fn a_handler_that_panics_ends_its_socket_in_good_order() {
    let stage = Stage::new().await;
    let (mut peer, _) = stage.open("/echo", 10).await;
    peer.send(stage.paid(11, Some("panic")).await).await;
    let ended = peer.end().await;
    assert_eq!((ended.other(), ended.code), ("INTERNAL", 4500));
    assert_eq!(ended.end.unwrap().cost.get(), 10, "it took the message");
}

#[tokio::test]
async fn what_was_sent_before_the_end_is_still_taken_and_answered() {
    let stage = Stage::new().await;
    let (mut peer, _) = stage.open("/echo", 50).await;
    for _ in 0..5 {
        peer.send(stage.paid(50, Some("x")).await).await;
    }
    peer.close().await;
    for _ in 0..5 {
        assert_eq!(peer.text().await, "x");
    }
    assert_eq!(peer.end().await.cost(), 50);
}

#[tokio::test]
async fn a_charge_that_could_not_be_stored_is_said_to_be_unavailable_and_stands() {
    let stage = Stage::new().await;
    let (mut peer, _) = stage.open("/echo", 10).await;
    peer.send(stage.paid(11, Some("one")).await).await;
    assert_eq!(peer.text().await, "one");
    stage.bench.disk(crate::server::testing::Disk::FailsFirst(1));
    peer.close().await;
    let ended = peer.end().await;
    assert!(ended.end.is_err());
    assert_eq!((ended.other(), ended.code), ("UNAVAILABLE", 4503));
    for _ in 0..100 {
        if stage.spent().await == 10 {
            return;
        }
        sleep(Duration::from_millis(20)).await;
    }
    panic!("never stored");
}

#[tokio::test]
async fn a_handler_learns_who_pays_and_can_send_from_another_task() {
    let stage = Stage::new().await;
    let (sent, payment) = tokio::sync::oneshot::channel();
    let paid = AmpWebSocket::new(stage.service.clone());
    let sent = Arc::new(std::sync::Mutex::new(Some(sent)));
    let handler = move |upgrade: WebSocketUpgrade| async move {
        paid.on_upgrade(upgrade, "/echo", move |socket| async move {
            sent.lock().unwrap().take().unwrap().send(socket.payment()).unwrap();
            let sender = socket.sender();
            let other = tokio::spawn(async move { sender.send("from elsewhere").await });
            other.await.unwrap().unwrap();
        })
    };
    let router = Router::new().route("/echo", any(handler));
    let stage = Stage::serving(stage.bench, stage.service, router).await;
    let (mut peer, _) = stage.open("/echo", 10).await;
    assert_eq!(peer.text().await, "from elsewhere");
    assert_eq!(peer.end().await.cost(), 0);
    let payment = payment.await.unwrap().unwrap();
    assert_eq!((payment.channel.to_bytes(), payment.seq.get(), payment.price.get()), (CHANNEL, 10, CALL));
}
