//! Streamable HTTP over real sockets.
#![allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    reason = "a panic fails the test, as it should"
)]

mod metered;
mod trouble;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use amp_mcp_tests::{DEPOSIT, PRICE, Shop, Town};
use amp_protocol::json::CredentialBody;
use amp_protocol::money::{Amount, Seq};
use amp_sdk::client::{ClientError, CloseOutcome};
use amp_sdk::server::ServiceConfig;
use amp_sdk::server::mcp::{AmpFields, PaidTools};
use amp_sdk::signed::sign_credential;
use amp_sdk::signer::{KeypairSigner, Signer as _};
use axum::Router;
use futures::future::join_all;
use rmcp::model::CallToolRequestParams;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpClientTransport, StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ServerHandler, ServiceExt as _};
use serde_json::{Value, json};
use solana_address::Address;

/// How rmcp serves: sessions and event streams, or each request for itself.
#[derive(Clone, Copy)]
enum Style {
    Sessions,
    Single,
}

impl Style {
    const ALL: [Self; 2] = [Self::Sessions, Self::Single];

    fn config(self) -> StreamableHttpServerConfig {
        let mut config = StreamableHttpServerConfig::default();
        (config.legacy_session_mode, config.json_response) = match self {
            Self::Sessions => (true, false),
            Self::Single => (false, true),
        };
        config
    }
}

async fn serve(town: &Town, style: Style) -> String {
    serve_shop(town, style, Shop::default()).await
}

async fn serve_shop(town: &Town, style: Style, shop: Shop) -> String {
    let service = town.service.clone();
    serve_tools(style, move || PaidTools::new(service.clone(), shop.clone())).await
}

/// Serves what is made anew for each session.
async fn serve_tools<H: ServerHandler>(style: Style, make: impl Fn() -> H + Send + Sync + 'static) -> String {
    let sessions = Arc::new(LocalSessionManager::default());
    let tools = StreamableHttpService::new(move || Ok(make()), sessions, style.config());
    let app = Router::new().route_service("/mcp", AmpFields::new(tools));
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

async fn town() -> Town {
    Town::build(|config| config).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_pays_calls_and_closes_and_the_money_adds_up() {
    for style in Style::ALL {
        let town = town().await;
        let url = serve(&town, style).await;
        let client = town.agent(&town.person()).build().await.unwrap();
        let session = ().serve(StreamableHttpClientTransport::from_uri(&*url)).await.unwrap();
        let tools = client.mcp(&url, session.peer().clone()).unwrap();
        let call =
            async |tool: &'static str| tools.call_tool(CallToolRequestParams::new(tool)).await.unwrap();
        for number in 1..=20 {
            let payment = *call("quote").await.payment().unwrap();
            assert_eq!((payment.seq.get(), payment.cost), (number * PRICE, Some(Amount::new(PRICE))));
        }
        let failed = call("fail").await;
        assert_eq!(failed.payment().unwrap().cost, Some(Amount::ZERO));
        assert_eq!(failed.into_result().unwrap().is_error, Some(true));
        assert_eq!(call("free").await.payment(), None);
        let calls: Vec<_> = (0..20).map(|_| call("quote")).collect();
        for answer in join_all(calls).await {
            assert_eq!(answer.payment().unwrap().cost, Some(Amount::new(PRICE)));
        }
        assert_eq!(client.status(&url).await.unwrap().spent, Amount::new(40 * PRICE));
        town.chain.advance_slots(1);
        let outcome = client.close(&url).await.unwrap();
        let CloseOutcome::Closed { refund, payout, .. } = outcome else { panic!("{outcome:?}") };
        assert_eq!((payout.get(), refund.get()), (40 * PRICE, DEPOSIT - 40 * PRICE));
        assert_eq!(town.tokens(), 40 * PRICE);
    }
}

/// Whoever deposits there pays whoever deployed it.
#[tokio::test(flavor = "multi_thread")]
async fn tools_that_are_paid_to_another_program_get_no_channel_and_no_credential() {
    let thief = Address::new_from_array([66; 32]);
    let town = Town::build(|config| config.program_id(thief)).await;
    let url = serve(&town, Style::Single).await;
    let client = town.agent(&town.person()).build().await.unwrap();
    let session = ().serve(StreamableHttpClientTransport::from_uri(&*url)).await.unwrap();
    let tools = client.mcp(&url, session.peer().clone()).unwrap();
    let error = tools.call_tool(CallToolRequestParams::new("quote")).await.unwrap_err();
    assert!(
        matches!(&error, ClientError::WrongProgram { named, .. } if named.0 == thief.to_bytes()),
        "{error}"
    );
    assert!(client.channels().await.unwrap().is_empty());
}

/// A client that knows HTTP and JSON and nothing else.
struct Raw {
    http: reqwest::Client,
    url: String,
    session: Option<String>,
}

impl Raw {
    async fn connect(url: String) -> Self {
        let mut raw = Self { http: reqwest::Client::new(), url, session: None };
        let hello = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "raw", "version": "0"}});
        let message = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": hello});
        let answer = raw.post(&message).await;
        assert!(answer.status().is_success());
        let session = answer.headers().get("mcp-session-id");
        raw.session = session.map(|session| session.to_str().unwrap().to_owned());
        raw.post(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
        raw
    }

    async fn post(&self, message: &Value) -> reqwest::Response {
        let request = self.http.post(&self.url).header("accept", "application/json, text/event-stream");
        let mut request = request.header("mcp-protocol-version", "2025-06-18").json(message);
        if let Some(session) = &self.session {
            request = request.header("mcp-session-id", session);
        }
        request.send().await.unwrap()
    }

    /// The answer, whether it comes as JSON or as the data of an event.
    async fn call(&self, params: Value) -> Value {
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
        let text = self.post(&message).await.text().await.unwrap();
        let lines = text.lines().map(|line| line.strip_prefix("data:").unwrap_or(line).trim());
        let mut answers = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
        answers.find(|answer| answer["id"] == 1).unwrap_or_else(|| panic!("{text}"))
    }
}

struct Payer {
    key: KeypairSigner,
    channel: Address,
    epoch: u64,
}

impl Payer {
    async fn new(town: &Town) -> Self {
        let key = KeypairSigner::generate();
        let (channel, account) = town.open_channel(key.public_key()).await;
        Self { key, channel, epoch: account.opened_slot }
    }

    async fn sign(&self, seq: u64) -> CredentialBody {
        sign_credential(&self.key, &self.channel, self.epoch, Seq::new(seq)).await.unwrap()
    }
}

#[tokio::test]
async fn either_field_pays_and_both_receipts_come_back_over_event_streams_and_json() {
    for style in Style::ALL {
        let town = town().await;
        let raw = Raw::connect(serve(&town, style).await).await;
        let payer = Payer::new(&town).await;
        let answer = raw.call(json!({"name": "quote", "_amp": payer.sign(PRICE).await})).await;
        assert_eq!(answer["result"]["_amp"]["spent"], PRICE.to_string(), "{answer}");
        assert_eq!(answer["result"]["_amp"], answer["result"]["_meta"]["amp"]);
        let answer = raw.call(json!({"name": "quote", "_meta": {"amp": payer.sign(2 * PRICE).await}})).await;
        assert_eq!(answer["result"]["_amp"]["spent"], (2 * PRICE).to_string(), "{answer}");
        let both = json!({"name": "quote", "_amp": payer.sign(3 * PRICE).await,
            "_meta": {"amp": payer.sign(4 * PRICE).await}});
        let refused = raw.call(both).await;
        assert_eq!(refused["error"]["message"], "AMP_INVALID_SEQ", "{refused}");
        let refused = raw.call(json!({"name": "quote"})).await;
        assert_eq!(refused["error"]["data"]["amp_pricing"]["rate"], PRICE.to_string(), "{refused}");
        assert_eq!(town.earned().await, 2 * PRICE);
    }
}

#[tokio::test]
async fn a_stranger_uses_up_its_own_look_ups_and_known_channels_are_served() {
    let town = Town::build(|config: ServiceConfig| config.peer_lookups(1, 3)).await;
    let raw = Raw::connect(serve(&town, Style::Sessions).await).await;
    let payer = Payer::new(&town).await;
    raw.call(json!({"name": "quote", "_amp": payer.sign(PRICE).await})).await;
    let mut refusals = Vec::new();
    for number in 1..=6 {
        let channel = Address::from([number; 32]);
        let unknown = sign_credential(&payer.key, &channel, 1, Seq::new(1)).await.unwrap();
        let refused = raw.call(json!({"name": "quote", "_amp": unknown})).await;
        refusals.push(refused["error"]["message"].as_str().unwrap().to_owned());
    }
    assert!(refusals.starts_with(&["AMP_NO_CHANNEL".to_owned()]), "{refusals:?}");
    assert_eq!(refusals.last().unwrap(), "UNAVAILABLE", "{refusals:?}");
    let answer = raw.call(json!({"name": "quote", "_amp": payer.sign(2 * PRICE).await})).await;
    assert_eq!(answer["result"]["_amp"]["spent"], (2 * PRICE).to_string(), "{answer}");
}

#[tokio::test]
async fn a_client_that_hangs_up_frees_the_price() {
    let town = town().await;
    let raw = Raw::connect(serve(&town, Style::Single).await).await;
    let payer = Payer::new(&town).await;
    let waiting = raw.call(json!({"name": "wait", "_amp": payer.sign(PRICE).await}));
    assert!(tokio::time::timeout(Duration::from_millis(500), waiting).await.is_err());
    let lower = payer.sign(PRICE - 1).await;
    for _ in 0..100 {
        // what the call that waited had authorized pays for this one
        let answer = raw.call(json!({"name": "quote", "_amp": lower})).await;
        if answer.get("result").is_some() {
            assert_eq!(answer["result"]["_amp"]["spent"], PRICE.to_string());
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it stays set aside");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_takes_too_long_or_is_not_waited_for_is_called_off_and_the_next_one_is_paid() {
    for style in Style::ALL {
        let town = town().await;
        let url = serve(&town, style).await;
        let client = town.agent(&town.person()).timeout(Duration::from_millis(700)).build().await.unwrap();
        let session = ().serve(StreamableHttpClientTransport::from_uri(&*url)).await.unwrap();
        let tools = client.mcp(&url, session.peer().clone()).unwrap();
        let call = |tool: &'static str| tools.call_tool(CallToolRequestParams::new(tool));
        let slow = call("wait").await.unwrap_err();
        assert!(matches!(slow, ClientError::TimedOut { .. }), "{slow}");
        assert!(tokio::time::timeout(Duration::from_millis(200), call("wait")).await.is_err());
        // nobody waits until the server has heard of it
        tokio::time::sleep(Duration::from_millis(200)).await;
        let payment = *call("quote").await.unwrap().payment().unwrap();
        assert_eq!(
            (payment.seq.get(), payment.spent),
            (PRICE + 2, Some(Amount::new(PRICE))),
            "a unit for each"
        );
    }
}
