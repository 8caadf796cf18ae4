//! A service that lies on its sockets, in front of one that does not.

use std::sync::{Arc, Mutex};

use amp_protocol::json::{DiscoveryDocument, SocketControl, SocketEnd};
use amp_protocol::money::Amount;
use amp_sdk::client::{ClientError, Message as Sent, Overcharge};
use amp_sdk::server::AmpLayer;
use amp_ws_tests::{CALL, Exchange};
use axum::Router;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::routing::any;

/// What it says.
#[derive(Clone)]
struct Script {
    discovery: DiscoveryDocument,
    /// Said after the ack, in this order.
    after: Vec<SocketControl>,
    /// What it was sent.
    heard: Arc<Mutex<Vec<String>>>,
}

/// A service at a port of its own that has the honest one's discovery and channel endpoints, and this script.
async fn liar(exchange: &Exchange, script: Script) -> String {
    let handler = move |upgrade: WebSocketUpgrade| async move {
        upgrade.on_upgrade(|mut socket| async move {
            let mut say = vec![serde_json::to_string(&script.discovery).unwrap()];
            let ack = r#"{"amp_status":"open","amp_balance":"100000","amp_spent":"0"}"#;
            say.extend([ack.to_owned()]);
            say.extend(script.after.iter().map(SocketControl::to_text));
            let mut say = say.into_iter();
            let _ = socket.send(Message::Text(say.next().unwrap().into())).await;
            while let Some(Ok(message)) = socket.recv().await {
                if let Message::Text(text) = &message {
                    script.heard.lock().unwrap().push(text.to_string());
                    if let Some(next) = say.next() {
                        let _ = socket.send(Message::Text(next.into())).await;
                    }
                }
            }
        })
    };
    let honest =
        Router::new().fallback(|| async { "nothing" }).layer(AmpLayer::new(exchange.service.clone()));
    let router = Router::new().route("/echo", any(handler)).fallback_service(honest);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/echo", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

fn script(exchange: &Exchange, after: Vec<SocketControl>) -> Script {
    Script { discovery: exchange.service.discovery(), after, heard: Arc::default() }
}

fn end(cost: u64) -> SocketControl {
    let (cost, balance) = (Amount::new(cost), Amount::ZERO);
    SocketControl::End { amp_end: SocketEnd { cost, spent: cost, balance, error: None } }
}

#[tokio::test]
async fn nothing_is_signed_on_a_socket_that_names_another_recipient_program_or_network() {
    let exchange = Exchange::open().await;
    let agent = exchange.agent().await;
    let honest = exchange.service.discovery();
    for lie in [
        DiscoveryDocument { recipient: [9; 32].into(), ..honest.clone() },
        DiscoveryDocument { program_id: [9; 32].into(), ..honest.clone() },
        DiscoveryDocument { network: "solana:mainnet-beta".to_owned(), ..honest.clone() },
    ] {
        let script = Script { discovery: lie, ..script(&exchange, Vec::new()) };
        let heard = script.heard.clone();
        let error = agent.connect(&liar(&exchange, script).await).await.unwrap_err();
        let expected = matches!(
            error,
            ClientError::RecipientChanged { .. }
                | ClientError::WrongProgram { .. }
                | ClientError::WrongNetwork { .. }
        );
        assert!(expected, "{error}");
        assert!(heard.lock().unwrap().is_empty(), "it was shown a credential");
    }
    assert!(agent.channels().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_price_on_the_socket_above_what_a_call_may_cost_is_not_paid() {
    let exchange = Exchange::open().await;
    let agent = exchange.builder().max_price_per_call(Amount::new(CALL)).build().await.unwrap();
    let mut dear = exchange.service.discovery();
    dear.pricing.default.rate = Amount::new(CALL + 1);
    let script = Script { discovery: dear, ..script(&exchange, Vec::new()) };
    let error = agent.connect(&liar(&exchange, script).await).await.unwrap_err();
    assert!(matches!(error, ClientError::Policy(_)), "{error}");
}

#[tokio::test]
async fn a_cost_above_what_was_sent_is_refused() {
    let exchange = Exchange::open().await;
    let agent = exchange.agent().await;
    // it took one message, and says two
    let script = script(&exchange, vec![end(2 * CALL)]);
    let mut socket = agent.connect(&liar(&exchange, script).await).await.unwrap();
    socket.send("one").await.unwrap();
    let error = socket.recv().await.unwrap_err();
    let ClientError::Overcharged { overcharge: Overcharge::Cost { cost, price }, .. } = error else {
        panic!("{error}")
    };
    assert_eq!((cost.get(), price.get()), (2 * CALL, CALL));
}

#[tokio::test]
async fn by_the_call_a_services_wish_alone_buys_it_no_more_than_one_message() {
    use amp_protocol::code::Code;
    use amp_protocol::json::ErrorBody;
    use amp_protocol::money::Seq;
    let exchange = Exchange::open().await;
    let agent = exchange.agent().await;
    let body =
        ErrorBody { required_seq: Some(Seq::new(90_000)), ..ErrorBody::new(Code::Underfunded, "more") };
    let need = SocketControl::Need { amp_need: Box::new(body) };
    let script = script(&exchange, vec![need.clone(), need.clone(), need, end(CALL)]);
    let mut socket = agent.connect(&liar(&exchange, script).await).await.unwrap();
    socket.send(Sent::text("one")).await.unwrap();
    let _ = socket.recv().await;
    let ledger = agent.channels().await.unwrap()[0].ledger;
    assert!(ledger.signed_for().get() <= 3 * CALL, "{ledger:?}");
}
