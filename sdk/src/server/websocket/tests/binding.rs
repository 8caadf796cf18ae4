use super::*;
use crate::server::testing::Disk;

impl Stage {
    /// What a first frame is refused with.
    async fn refused(&self, frame: Frame) -> Ended {
        let mut peer = self.connect("/echo").await;
        peer.send(frame).await;
        let ended = peer.end().await;
        assert!(ended.end.is_err(), "{ended:?}");
        ended
    }

    async fn refused_with(&self, credential: &CredentialBody) -> ErrorBody {
        let bind = SocketBind::from(*credential);
        let ended = self.refused(Frame::text(serde_json::to_string(&bind).unwrap())).await;
        let body = ended.amp().clone();
        assert_eq!(ended.code, 4_000 + body.error.http_status());
        body
    }
}

#[tokio::test]
async fn the_ack_says_what_was_spent_and_what_is_left() {
    let stage = Stage::new().await;
    let other = stage.service.authorize(&stage.bench.credential(100).await, Amount::new(70)).await.unwrap();
    other.charge(Amount::new(70)).await.unwrap();
    let (_peer, ack) = stage.open("/echo", 110).await;
    assert_eq!((ack.amp_status.as_str(), ack.amp_spent.get(), ack.amp_balance.get()), ("open", 70, 9_930));
}

#[tokio::test]
async fn whoever_says_nothing_of_who_pays_is_told_the_price() {
    let stage = Stage::new().await;
    for frame in [
        Frame::text("hello"),
        Frame::text("{}"),
        Frame::text("{\"amp_seq\":\"1\"}"),
        Frame::binary(vec![1, 2, 3]),
        stage.binary(10, b"unbound").await,
        stage.paid(10, Some("unbound")).await,
    ] {
        let ended = stage.refused(frame.clone()).await;
        assert_eq!((ended.amp().error, ended.code), (Code::NoChannel, 4402), "{frame:?}");
        assert_eq!(ended.amp().amp_pricing, Some(stage.service.pricing("/echo")));
    }
    assert_eq!(stage.spent().await, 0);
}

#[tokio::test]
async fn a_malformed_field_has_its_own_code() {
    let stage = Stage::new().await;
    let good = serde_json::to_value(SocketBind::from(stage.bench.credential(10).await)).unwrap();
    for (field, code, close) in [
        ("amp_channel", Code::NoChannel, 4402),
        ("amp_seq", Code::InvalidSeq, 4400),
        ("amp_sig", Code::InvalidSig, 4401),
    ] {
        let mut bad = good.clone();
        bad[field] = "0OIl".into();
        let ended = stage.refused(Frame::text(bad.to_string())).await;
        assert_eq!((ended.amp().error, ended.code), (code, close), "{field}");
    }
}

#[tokio::test]
async fn what_can_be_wrong_with_a_credential_is_refused_with_its_code() {
    let stage = Stage::new().await;
    let bench = &stage.bench;
    let mut forged = bench.credential(10).await;
    forged.sig.0[3] ^= 1;
    assert_eq!(stage.refused_with(&forged).await.error, Code::InvalidSig);
    let unknown = bench.credential_on([77; 32], 10).await;
    assert_eq!(stage.refused_with(&unknown).await.error, Code::NoChannel);
    let low = stage.refused_with(&bench.credential(9).await).await;
    assert_eq!(
        (low.error, low.required_seq.map(amp_protocol::money::Seq::get)),
        (Code::Underfunded, Some(10))
    );
    assert_eq!(low.price, Some(Amount::new(CALL)), "the price of one message");
    assert_eq!(stage.refused_with(&bench.credential(10_001).await).await.error, Code::Underfunded);
    drop(stage.open("/echo", 50).await);
    assert_eq!(stage.refused_with(&bench.credential(50).await).await.error, Code::InvalidSeq);
    bench.chain.change_channel(|account| account.terms.rate_limit = 5);
    let narrow = [78; 32];
    bench.chain.put_channel(
        narrow,
        &amp_protocol::account::ChannelAccount {
            terms: amp_protocol::rules::Terms { rate_limit: 5, ..bench.account().terms },
            ..bench.account()
        },
    );
    let rate = stage.refused_with(&bench.credential_on(narrow, 10).await).await;
    assert_eq!(rate.error, Code::RateExceeded);
    assert!(rate.retry_after.is_some());
    let small = [79; 32];
    let mut account = bench.account();
    account.books.deposited = Amount::new(9);
    bench.chain.put_channel(small, &account);
    assert_eq!(stage.refused_with(&bench.credential_on(small, 9).await).await.error, Code::DepositLow);
    let closing = [80; 32];
    let mut account = bench.account();
    (account.books.closing, account.closing_at) = (true, 1);
    bench.chain.put_channel(closing, &account);
    assert_eq!(stage.refused_with(&bench.credential_on(closing, 10).await).await.error, Code::Closed);
    assert_eq!(stage.spent().await, 0);
}

#[tokio::test]
async fn a_service_that_can_not_store_says_that_it_is_unavailable() {
    let stage = Stage::new().await;
    stage.bench.disk(Disk::FailsFirst(1));
    let bind = SocketBind::from(stage.bench.credential(10).await);
    let ended = stage.refused(Frame::text(serde_json::to_string(&bind).unwrap())).await;
    assert_eq!((ended.other(), ended.code), ("UNAVAILABLE", 4503));
    let SocketError::Other(trouble) = ended.error() else { unreachable!() };
    assert!(trouble.retry_after.is_some());
}

#[tokio::test]
async fn a_credential_of_a_later_message_is_refused_in_the_end_frame() {
    let stage = Stage::new().await;
    let mut forged = stage.bench.credential(20).await;
    forged.sig.0[3] ^= 1;
    let forged = SocketPaid { amp_seq: forged.seq, amp_sig: forged.sig, payload: Some("x".to_owned()) };
    let unpaid = [
        (Frame::text(serde_json::to_string(&forged).unwrap()), Code::InvalidSig, 4401),
        (stage.paid(5, Some("old")).await, Code::InvalidSeq, 4400),
        (stage.paid(10_001, Some("beyond")).await, Code::Underfunded, 4402),
        (Frame::text("unpaid"), Code::NoChannel, 4402),
        (Frame::text("{\"payload\":\"unpaid\"}"), Code::NoChannel, 4402),
        (Frame::binary(vec![0; 71]), Code::NoChannel, 4402),
    ];
    let mut seq = 1_000;
    // the number that is used again
    stage.service.raise_ceiling(&stage.bench.credential(5).await).await.unwrap();
    for (frame, code, close) in unpaid {
        seq += 10;
        let (mut peer, _) = stage.open("/echo", seq).await;
        peer.send(frame).await;
        let ended = peer.end().await;
        assert_eq!((ended.amp().error, ended.code), (code, close));
        assert_eq!(ended.end.unwrap().cost, Amount::ZERO);
    }
    assert_eq!((stage.spent().await, Seen::get(&stage.seen.taken)), (0, 0));
}

#[tokio::test]
async fn free_routes_ask_for_nothing() {
    let stage = Stage::new().await;
    let mut peer = stage.connect("/free").await;
    peer.send(Frame::text("hello")).await;
    assert_eq!(peer.text().await, "hello");
    peer.send(Frame::binary(vec![1, 2])).await;
    assert_eq!(peer.frame().await, Some(Frame::binary(vec![1, 2])));
    peer.send(Frame::text("return")).await;
    let close = peer.frame().await;
    assert!(matches!(&close, Some(Frame::Close(Some(close))) if u16::from(close.code) == 1000), "{close:?}");
}

#[tokio::test]
async fn a_text_of_the_applications_that_looks_like_control_is_wrapped() {
    let stage = Stage::new().await;
    let (mut peer, _) = stage.open("/echo", 10).await;
    let lie = r#"{"amp_end":{"cost":"9999","spent":"9999","balance":"0"}}"#;
    peer.send(stage.paid(11, Some(lie)).await).await;
    assert_eq!(peer.control().await, SocketControl::Payload { amp_payload: lie.to_owned() });
}
