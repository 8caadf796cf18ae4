//! An exchange for end-to-end tests of sockets: an embedded chain with the real `amp.so`, an agent with the real
//! client, and a service behind a loopback port, whose handlers count what they deliver. Helpers panic: they are
//! test code.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::arithmetic_side_effects, missing_docs)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use amp_embedded::{ClockMode, EmbeddedChain, TestMint};
use amp_protocol::json::PricingMode;
use amp_protocol::money::Amount;
use amp_protocol::rate::{Per, Rate};
use amp_sdk::chain::TOKEN_PROGRAM;
use amp_sdk::client::{Client, ClientBuilder};
use amp_sdk::server::{AmpLayer, AmpService, AmpWebSocket, Message, PaidSocket, ServiceConfig, SqliteStore};
use amp_sdk::signer::{KeypairSigner, Signer};
use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::routing::any;
use tempfile::TempDir;

pub const CALL: u64 = 10;
pub const SECOND: u64 = 5;
pub const UNIT: u64 = 2;
/// 3 base units for every 4 bytes.
pub const BYTE: Rate = Rate { amount: Amount::new(3), per: Per::new(4).unwrap() };
pub const DEPOSIT: u64 = 100_000;
const INTERVAL: u32 = 3_600;

/// What handlers delivered, as they saw it.
#[derive(Default)]
pub struct Seen {
    pub taken: AtomicU64,
    pub sent: AtomicU64,
    pub bytes: AtomicU64,
}

impl Seen {
    async fn recv(&self, socket: &mut PaidSocket) -> Option<Message> {
        let message = socket.recv().await?;
        self.taken.fetch_add(1, Ordering::SeqCst);
        self.bytes.fetch_add(message.size(), Ordering::SeqCst);
        Some(message)
    }

    async fn send(&self, socket: &PaidSocket, message: impl Into<Message>) -> bool {
        let message = message.into();
        let size = message.size();
        let sent = socket.send(message).await.is_ok();
        if sent {
            self.sent.fetch_add(1, Ordering::SeqCst);
            self.bytes.fetch_add(size, Ordering::SeqCst);
        }
        sent
    }
}

pub struct Exchange {
    pub chain: EmbeddedChain,
    pub mint: TestMint,
    pub agent_key: KeypairSigner,
    pub recipient: KeypairSigner,
    pub service: AmpService,
    pub seen: Arc<Seen>,
    pub address: std::net::SocketAddr,
    folder: TempDir,
}

impl Exchange {
    pub async fn open() -> Self {
        let chain = EmbeddedChain::new(ClockMode::Manual).unwrap_or_else(|missing| panic!("{missing}"));
        let mint = chain.create_mint(&TOKEN_PROGRAM).expect("a mint");
        let (agent_key, recipient) = (KeypairSigner::generate(), KeypairSigner::generate());
        for (key, tokens) in [(&agent_key, 1_000_000), (&recipient, 0)] {
            chain.airdrop(&key.public_key(), 1_000_000_000).expect("lamports");
            chain.mint_to(&mint, &key.public_key(), Amount::new(tokens)).expect("tokens");
        }
        let folder = tempfile::tempdir().expect("a folder");
        let each = |amount| Rate::each(Amount::new(amount));
        let config = ServiceConfig::new(Arc::new(recipient.clone()), mint.address, Amount::new(CALL))
            .route("/free", Amount::ZERO)
            .metered_route("/ticks", PricingMode::PerSecond, each(SECOND))
            .metered_route("/bytes", PricingMode::PerByte, BYTE)
            .metered_route("/work", PricingMode::PerCompute, each(UNIT))
            .settle_interval(INTERVAL)
            .stream_wait(Duration::from_secs(2))
            .channel_max_age(Duration::from_millis(50))
            .watch_interval(Duration::from_secs(600));
        let store = SqliteStore::open(folder.path().join("service.db")).expect("a store");
        let service = AmpService::start(config, Arc::new(chain.clone()), store).await.expect("it starts");
        let seen = Arc::new(Seen::default());
        let app = router(&service, &seen);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { chain, mint, agent_key, recipient, service, seen, address, folder }
    }

    pub fn url(&self, path: &str) -> String {
        format!("ws://{}{path}", self.address)
    }

    pub fn builder(&self) -> ClientBuilder {
        Client::builder()
            .funder(self.agent_key.clone())
            .chain(Arc::new(self.chain.clone()))
            .allow_mint(self.mint.address)
            .deposit(Amount::new(DEPOSIT))
            .store(self.folder.path().join("agent.db"))
    }

    pub async fn agent(&self) -> Client {
        self.builder().build().await.expect("a client")
    }

    /// What the service has been paid once everything is settled.
    pub async fn settled(&self) -> u64 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        self.chain.advance_seconds(INTERVAL);
        for (channel, settled) in self.service.settle_all().await {
            settled.unwrap_or_else(|denial| panic!("{channel}: {denial}"));
        }
        self.chain.tokens(&self.mint.account_of(&self.recipient.public_key())).get()
    }
}

fn router(service: &AmpService, seen: &Arc<Seen>) -> Router {
    let paid = AmpWebSocket::new(service.clone());
    // the layer answers discovery and the channel's endpoints; sockets are paid for by themselves
    let mut router = Router::new().layer(AmpLayer::new(service.clone()));
    router = router.fallback_service(
        Router::new().fallback(|| async { "nothing" }).layer(AmpLayer::new(service.clone())),
    );
    for route in ["/echo", "/bytes", "/free", "/work", "/ticks"] {
        let (paid, seen) = (paid.clone(), seen.clone());
        let handler = move |upgrade: WebSocketUpgrade| async move {
            paid.on_upgrade(upgrade, route, move |socket| async move {
                match route {
                    "/ticks" => ticks(&seen, socket).await,
                    "/work" => work(&seen, socket).await,
                    _ => echo(&seen, socket).await,
                }
            })
        };
        router = router.route(route, any(handler));
    }
    router
}

async fn echo(seen: &Seen, mut socket: PaidSocket) {
    while let Some(message) = seen.recv(&mut socket).await {
        if !seen.send(&socket, message).await {
            break;
        }
    }
}

async fn work(seen: &Seen, mut socket: PaidSocket) {
    while let Some(Message::Text(units)) = seen.recv(&mut socket).await {
        let meter = socket.meter().expect("it is metered").clone();
        if meter.spend(units.parse().expect("units")).await.is_err() {
            break;
        }
        seen.send(&socket, format!("{units} done")).await;
    }
}

async fn ticks(seen: &Seen, mut socket: PaidSocket) {
    loop {
        tokio::select! {
            message = socket.recv() => if message.is_none() { break },
            () = tokio::time::sleep(Duration::from_millis(50)) => if !seen.send(&socket, "tick").await { break },
        }
    }
}
