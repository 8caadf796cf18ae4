//! The tables of `conformance/`, through sockets.

use serde_json::{Value, json};

use super::*;
use crate::server::tests::conformance::{Fields, Verdict, all_refusals, conform};
use crate::server::websocket::refusal::of_denial;

/// One message on a socket of its own, which these fields open and pay for.
async fn ask(stage: &Stage, fields: Option<Fields>) -> Verdict {
    let mut peer = stage.connect("/quote").await;
    let Some(Fields { channel, seq, sig }) = fields else {
        peer.send(Frame::text("no credential")).await;
        return refused(&peer.end().await);
    };
    let bind = json!({"amp_channel": channel, "amp_seq": seq, "amp_sig": sig});
    peer.send(Frame::text(bind.to_string())).await;
    let SocketControl::Ack(_) = (match peer.control().await {
        SocketControl::Refused { amp_error } => {
            let close = peer.frame().await;
            assert!(
                matches!(&close, Some(Frame::Close(Some(close))) if u16::from(close.code) == amp_error.close_code()),
                "{close:?}"
            );
            return Verdict::Refused(serde_json::to_value(amp_error).unwrap());
        }
        other => other,
    }) else {
        panic!("neither open nor refused")
    };
    let message = json!({"amp_seq": seq, "amp_sig": sig, "payload": "quote"});
    peer.send(Frame::text(message.to_string())).await;
    assert_eq!(peer.text().await, "quote");
    peer.close().await;
    let SocketEnd { cost, spent, balance, error } = peer.end().await.end.unwrap();
    assert_eq!(error, None);
    Verdict::Paid { cost, spent, balance }
}

fn refused(ended: &Ended) -> Verdict {
    assert_eq!(ended.code, ended.error().close_code());
    Verdict::Refused(serde_json::to_value(ended.error()).unwrap())
}

#[tokio::test]
async fn sockets_give_every_verdict_of_the_table() {
    conform(async |service: AmpService, sent: Vec<Option<Fields>>| {
        let paid = AmpWebSocket::new(service.clone());
        let handler = move |upgrade: WebSocketUpgrade| async move {
            paid.on_upgrade(upgrade, "/quote", |socket| echo(Arc::default(), socket))
        };
        let stage = Stage::serving(Bench::new(), service, Router::new().route("/quote", any(handler))).await;
        let mut verdicts = Vec::new();
        for fields in sent {
            verdicts.push(ask(&stage, fields).await);
        }
        verdicts
    })
    .await;
}

#[tokio::test]
async fn refusals_close_with_the_codes_of_the_table() {
    let stage = Stage::new().await;
    let pricing = stage.service.pricing("/echo");
    for (denial, row) in all_refusals() {
        let error = of_denial(&denial, &pricing);
        assert_eq!(error.close_code(), row.websocket.close, "{denial}");
        let (Value::Object(body), Value::Object(written)) =
            (serde_json::to_value(row.body).unwrap(), serde_json::to_value(error).unwrap())
        else {
            panic!("no objects")
        };
        for (name, value) in body {
            assert_eq!(written[&name], value, "{denial}");
        }
    }
}
