use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use amp_embedded::{ClockMode, EmbeddedChain, TestMint};
use amp_protocol::code::Code;
use amp_protocol::money::Amount;
use amp_sdk::chain::{TOKEN_2022_PROGRAM, TOKEN_PROGRAM};
use amp_sdk::server::{AmpService, ServiceConfig, SqliteStore};
use amp_sdk::signer::{KeypairSigner, Signer};
use solana_address::Address;
use tempfile::TempDir;

use crate::agent::Agent;
use crate::calls::{self, Tricks};
use crate::money::Wallets;
use crate::shop::{Counter, Shop};
use crate::streams;
use crate::{CHAT_PRICE, GRACE, INTERVAL, PRICE};

type Configure = Arc<dyn Fn(ServiceConfig) -> ServiceConfig + Send + Sync>;

/// A chain, a mint, a service, and whoever was hired to use it. Time stands still until a test moves it.
pub struct Market {
    pub chain: EmbeddedChain,
    pub mint: TestMint,
    pub recipient: KeypairSigner,
    pub(crate) folder: TempDir,
    pub(crate) wallets: Mutex<Wallets>,
    pub(crate) http: reqwest::Client,
    counter: Counter,
    store: PathBuf,
    configure: Configure,
    origin: String,
    /// Kept over a restart, so that nobody else takes the port.
    listener: Option<TcpListener>,
    shop: Option<Shop>,
    ended: bool,
}

/// Makes a [`Market`].
pub struct MarketBuilder {
    token_program: Address,
    configure: Configure,
}

impl MarketBuilder {
    /// A Token-2022 mint.
    pub fn token_2022(self) -> Self {
        Self { token_program: TOKEN_2022_PROGRAM, ..self }
    }

    /// The service's configuration, on top of the market's.
    pub fn service(self, configure: impl Fn(ServiceConfig) -> ServiceConfig + Send + Sync + 'static) -> Self {
        Self { configure: Arc::new(configure), ..self }
    }

    /// Opens the market: the service serves when this returns.
    pub async fn open(self) -> Market {
        let chain = EmbeddedChain::new(ClockMode::Manual).unwrap_or_else(|missing| panic!("{missing}"));
        // nothing is told: what the service knows of the chain, a test made it look at
        chain.be_polled(true);
        let mint = chain.create_mint(&self.token_program).expect("a mint");
        let folder = tempfile::tempdir().expect("a folder");
        let mut market = Market {
            chain,
            mint,
            recipient: KeypairSigner::generate(),
            store: folder.path().join("service.db"),
            folder,
            wallets: Mutex::default(),
            http: reqwest::Client::new(),
            counter: Counter::default(),
            configure: self.configure,
            origin: String::new(),
            listener: None,
            shop: None,
            ended: false,
        };
        market.equip(&market.recipient.public_key(), 0);
        market.start().await;
        market
    }
}

impl Market {
    /// A market with an SPL Token mint, unless the builder is told otherwise.
    pub fn builder() -> MarketBuilder {
        MarketBuilder { token_program: TOKEN_PROGRAM, configure: Arc::new(|config| config) }
    }

    pub async fn open() -> Self {
        Self::builder().open().await
    }

    fn config(&self) -> ServiceConfig {
        let config =
            ServiceConfig::new(Arc::new(self.recipient.clone()), self.mint.address, Amount::new(PRICE))
                .route("/v1/chat", Amount::new(CHAT_PRICE))
                .route("/health", Amount::ZERO)
                .settle_interval(INTERVAL)
                .min_close_grace(GRACE)
                // what happens on chain is noticed soon; the worker does nothing on its own
                .channel_max_age(Duration::from_millis(50))
                .watch_interval(Duration::from_secs(600));
        (self.configure)(calls::price(streams::price(config)))
    }

    // -- the service ---------------------------------------------------------------------------

    /// Starts the service over its store; on a new port, unless it only restarts.
    pub async fn start(&mut self) {
        assert!(self.shop.is_none(), "it runs already");
        let listener = self.listener.take();
        let listener = listener.unwrap_or_else(|| TcpListener::bind("127.0.0.1:0").expect("a free port"));
        self.origin = format!("http://{}", listener.local_addr().expect("an address"));
        self.listener = Some(listener.try_clone().expect("a listener"));
        let (config, chain) = (self.config(), self.chain.clone());
        let path = self.store.clone();
        let start = async move {
            let mut tries = 0;
            let store = loop {
                // a crashed service's writer thread may hold the file for a moment
                match SqliteStore::open(&path) {
                    Ok(store) => break store,
                    Err(error) if tries == 20 => panic!("{error}"),
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
                tries += 1;
            };
            AmpService::start(config, Arc::new(chain), store).await.expect("the service starts")
        };
        self.shop = Some(Shop::open(listener, self.counter.clone(), start).await);
    }

    /// Stops the service in good order, for good: its port refuses connections.
    pub async fn stop(&mut self) {
        self.listener = None;
        self.shop.take().expect("it runs").stop().await;
    }

    /// Stops it in good order and starts it again over the same store, at the same address.
    pub async fn restart(&mut self) {
        self.shop.take().expect("it runs").stop().await;
        self.start().await;
    }

    /// Kills it in the middle of whatever it does, and starts it again.
    pub async fn crash_and_restart(&mut self) {
        drop(self.shop.take().expect("it runs"));
        self.start().await;
    }

    /// Restarts it with a store that knows nothing, as after the loss of a disk.
    pub async fn restart_without_store(&mut self) {
        self.shop.take().expect("it runs").stop().await;
        self.store.set_extension("new.db");
        self.start().await;
    }

    pub fn service(&self) -> &AmpService {
        &self.shop.as_ref().expect("it runs").service
    }

    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Where the same service is called over gRPC.
    pub fn grpc_origin(&self) -> &str {
        &self.shop.as_ref().expect("it runs").grpc_origin
    }

    /// What is done to calls over gRPC on their way.
    pub fn tricks(&self) -> &Tricks {
        &self.shop.as_ref().expect("it runs").tricks
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// Prices of all calls that a handler answered with success, as the handlers counted them.
    pub fn served(&self) -> u64 {
        self.counter.served.load(Ordering::SeqCst)
    }

    /// Bytes of metered answers that were handed to the transport, and what they cost, each answer by itself.
    pub fn left(&self) -> (u64, u64) {
        let Counter { left_bytes, left_cost, .. } = &self.counter;
        (left_bytes.load(Ordering::SeqCst), left_cost.load(Ordering::SeqCst))
    }

    /// Calls that have reached `/slow`, ever.
    pub fn reached_slow(&self) -> u64 {
        self.counter.waiting.load(Ordering::SeqCst)
    }

    /// Calls that have left `/slow`, ever: answered, or dropped.
    pub fn left_slow(&self) -> u64 {
        self.counter.left.load(Ordering::SeqCst)
    }

    /// Lets those go that wait at `/slow`.
    pub fn let_slow_go(&self) {
        self.counter.gate.notify_waiters();
    }

    /// Lets the settle interval pass and settles every channel; what each was paid.
    pub async fn settle_all(&self) -> Vec<(Address, u64)> {
        self.chain.advance_seconds(INTERVAL);
        let mut paid = Vec::new();
        for (channel, outcome) in self.service().settle_all().await {
            match outcome {
                Ok(settled) => paid.push((channel, settled.paid.get())),
                // closed since the worker looked last: its statement paid for it
                Err(denial) if denial.code() == Some(Code::Closed) => {
                    assert_eq!(self.chain.snapshot(&channel), None, "{channel}");
                }
                Err(denial) => panic!("{channel} was not settled: {denial}"),
            }
        }
        paid
    }

    // -- who takes part --------------------------------------------------------------------------

    /// Somebody with lamports and tokens.
    pub fn person(&self) -> KeypairSigner {
        let person = KeypairSigner::generate();
        self.equip(&person.public_key(), Wallets::TOKENS);
        person
    }

    /// The same with a key that others can know.
    pub fn person_of_seed(&self, seed: [u8; 32]) -> KeypairSigner {
        let person = KeypairSigner::from(solana_keypair::Keypair::new_from_array(seed));
        self.equip(&person.public_key(), Wallets::TOKENS);
        person
    }

    /// An agent with a client, a hot key and a store of its own.
    pub async fn hire(&self) -> Agent {
        Agent::hire(self, |builder| builder).await
    }

    /// The same, with a client made otherwise.
    pub async fn hire_with(
        &self,
        configure: impl Fn(amp_sdk::client::ClientBuilder) -> amp_sdk::client::ClientBuilder
        + Send
        + Sync
        + 'static,
    ) -> Agent {
        Agent::hire(self, configure).await
    }

    // -- the end -----------------------------------------------------------------------------------

    /// Everything that was served must be with the service by now.
    pub fn end(self) {
        let served = self.served();
        self.end_having_earned(served);
    }

    /// The service must have earned exactly this, and nothing may be missing anywhere.
    pub fn end_having_earned(mut self, earned: u64) {
        self.ended = true;
        let money = self.money();
        assert_eq!(money.service, earned, "what the service earned: {money:?}, {} served", self.served());
    }
}

impl Drop for Market {
    fn drop(&mut self) {
        assert!(self.ended || std::thread::panicking(), "a test ends with `Market::end`");
    }
}
