use super::*;

#[tokio::test]
async fn by_the_call_each_message_costs_the_rate_and_its_answer_nothing() {
    let stage = Stage::new().await;
    let (mut peer, _) = stage.open("/echo", 10).await;
    for n in 1..=5_u64 {
        // the first is paid for by the seq that opened the socket
        if n % 2 == 1 {
            let seq = 10 * n + u64::from(n == 1);
            peer.send(stage.paid(seq, Some("text")).await).await;
            assert_eq!(peer.text().await, "text");
        } else {
            peer.send(stage.binary(10 * n, b"bytes").await).await;
            assert_eq!(peer.frame().await, Some(Frame::binary(b"bytes".to_vec())));
        }
    }
    peer.close().await;
    let ended = peer.end().await;
    assert_eq!(ended.cost(), 50);
    let end = ended.end.unwrap();
    assert_eq!((end.spent.get(), end.balance.get(), stage.spent().await), (50, 9_950, 50));
}

#[tokio::test]
async fn a_credential_that_was_shown_pays_for_as_many_messages_as_it_covers() {
    let stage = Stage::new().await;
    let (mut peer, _) = stage.open("/echo", 30).await;
    for _ in 0..3 {
        peer.send(stage.paid(30, Some("again")).await).await;
        assert_eq!(peer.text().await, "again");
    }
    peer.send(stage.paid(30, Some("one too many")).await).await;
    let SocketControl::Need { amp_need } = peer.control().await else { panic!("it is not paid for") };
    assert_eq!(amp_need.required_seq.map(amp_protocol::money::Seq::get), Some(40));
    assert_eq!(peer.end().await.end.unwrap().cost.get(), 30);
}

#[tokio::test]
async fn by_the_byte_payloads_are_counted_both_ways_and_nothing_else() {
    let stage = Stage::new().await;
    let (mut peer, _) = stage.open("/bytes", 9_000).await;
    for (n, size) in [0_u64, 1, 7, 100, 1_000].into_iter().enumerate() {
        let payload = vec![b'x'; usize::try_from(size).unwrap()];
        peer.send(stage.binary(9_001 + n as u64, &payload).await).await;
        assert_eq!(peer.frame().await, Some(Frame::binary(payload)));
    }
    // escapes count for what they stand for
    peer.send(stage.paid(9_100, Some("\u{1}\n\"")).await).await;
    assert_eq!(peer.text().await, "\u{1}\n\"");
    peer.close().await;
    let expected = BYTE.cost(2 * (1_108 + 3)).unwrap().get();
    assert_eq!((peer.end().await.cost(), stage.spent().await), (expected, expected));
}

#[tokio::test]
async fn by_the_second_each_begun_one_costs_the_rate_and_messages_nothing() {
    let stage = Stage::new().await;
    let (mut peer, _) = stage.open("/ticks", 1_000).await;
    let begun = std::time::Instant::now();
    while begun.elapsed() < Duration::from_millis(2_300) {
        assert_eq!(peer.text().await, "tick");
    }
    peer.close().await;
    // its handler sends until the socket ends: hang up
    drop(peer);
    assert_eq!(stage.spent().await, 3 * SECOND);
}

#[tokio::test]
async fn by_the_unit_what_the_handler_reports_is_what_it_costs() {
    let stage = Stage::new().await;
    let (mut peer, _) = stage.open("/work", 5_000).await;
    for (n, units) in [1_u64, 40, 700].into_iter().enumerate() {
        peer.send(stage.paid(5_001 + n as u64, Some(&units.to_string())).await).await;
        assert_eq!(peer.text().await, format!("{units} done"));
    }
    peer.close().await;
    assert_eq!((peer.end().await.cost(), stage.spent().await), (2 * 741, 2 * 741));
}

#[tokio::test]
async fn a_message_that_no_handler_takes_costs_nothing() {
    let stage = Stage::new().await;
    let (mut peer, _) = stage.open("/echo", 10).await;
    peer.send(stage.paid(11, Some("return")).await).await;
    peer.send(stage.paid(20, Some("never read")).await).await;
    assert_eq!(peer.end().await.cost(), 10);
    assert_eq!(stage.spent().await, 10);
}

#[tokio::test]
async fn sockets_of_one_channel_side_by_side_are_each_charged_for_their_own() {
    let stage = Arc::new(Stage::new().await);
    let mut all = Vec::new();
    for n in 0..8_u64 {
        let stage = stage.clone();
        all.push(tokio::spawn(async move {
            let (mut peer, _) = stage.open("/echo", 9_000 + n).await;
            for k in 0..n {
                peer.send(stage.paid(9_000 + n, Some("x")).await).await;
                assert_eq!(peer.text().await, "x", "{k}");
            }
            peer.close().await;
            assert_eq!(peer.end().await.cost(), CALL * n);
        }));
    }
    for one in all {
        one.await.unwrap();
    }
    assert_eq!(stage.spent().await, CALL * 28);
}
