//! The chain, the token, and the two services with their doors open.

use std::sync::Arc;

use amp_embedded::{ClockMode, EmbeddedChain, TestMint};
use amp_sdk::chain::TOKEN_PROGRAM;
use amp_sdk::client::Client;
use amp_sdk::protocol::money::Amount;
use amp_sdk::server::{AmpLayer, AmpService, ServiceConfig, SqliteStore};
use amp_sdk::signer::{KeypairSigner, Signer};
use axum::extract::State;
use axum::http::StatusCode;
use axum::{Router, routing::get};
use solana_address::Address;
use tempfile::TempDir;

/// Base units for an answer of the inference service.
pub(crate) const ANSWER: u64 = 1_000;
/// Base units that the GPU service asks for each of them.
pub(crate) const GPU: u64 = 600;
/// Seconds between settlements.
pub(crate) const INTERVAL: u32 = 600;
/// What the agent has at first.
pub(crate) const AGENT_TOKENS: u64 = 1_000_000;

/// A service that runs.
pub(crate) struct Shop {
    pub(crate) key: KeypairSigner,
    pub(crate) service: AmpService,
    pub(crate) origin: String,
}

pub(crate) struct Town {
    pub(crate) chain: EmbeddedChain,
    pub(crate) mint: TestMint,
    pub(crate) agent_key: KeypairSigner,
    pub(crate) agent: Client,
    pub(crate) inference: Shop,
    /// How the inference service pays its supplier: by a key that signs, without tokens of its own.
    pub(crate) buyer: Client,
    pub(crate) gpu: Shop,
    folder: TempDir,
}

impl Town {
    pub(crate) async fn build() -> anyhow::Result<Self> {
        let chain = EmbeddedChain::new(ClockMode::Wall)?;
        let mint = chain.create_mint(&TOKEN_PROGRAM)?;
        let [agent_key, inference_key, gpu_key] = [(); 3].map(|()| KeypairSigner::generate());
        for (key, tokens) in [(&agent_key, AGENT_TOKENS), (&inference_key, 0), (&gpu_key, 0)] {
            chain.airdrop(&key.public_key(), 1_000_000_000)?;
            chain.mint_to(&mint, &key.public_key(), Amount::new(tokens))?;
        }
        let folder = tempfile::tempdir()?;
        let file = |name: &str| folder.path().join(name);

        let gpu = Router::new().route("/run", get(|| async { "42" }));
        let gpu = open(&chain, &mint, gpu_key, GPU, SqliteStore::open(file("gpu.db"))?, gpu).await?;

        let shared: Arc<dyn amp_sdk::chain::Chain> = Arc::new(chain.clone());
        let buyer = Client::builder().delegate(inference_key.clone()).chain(shared.clone());
        let buyer =
            buyer.allow_mint(mint.address).max_price_per_call(Amount::new(GPU)).store(file("buyer.db"));
        let buyer = buyer.build().await?;
        // the small model answers by itself; the large one asks the GPU for each answer
        let large = get(|State((buyer, url)): State<(Client, String)>| async move {
            match buyer.get(&url).await {
                Ok(answer) => {
                    answer.text().await.map_err(|error| (StatusCode::BAD_GATEWAY, error.to_string()))
                }
                Err(error) => Err((StatusCode::BAD_GATEWAY, error.to_string())),
            }
        });
        let inference = Router::new()
            .route("/small", get(|| async { "about 40" }))
            .route("/large", large)
            .with_state((buyer.clone(), format!("{}/run", gpu.origin)));
        let store = SqliteStore::open(file("inference.db"))?;
        let inference = open(&chain, &mint, inference_key, ANSWER, store, inference).await?;

        // one level of channels may be chained below the agent's
        let agent = Client::builder().funder(agent_key.clone()).chain(shared).max_chain_depth(1);
        let agent = agent.allow_mint(mint.address).max_price_per_call(Amount::new(ANSWER));
        let agent = agent.deposit(Amount::new(100 * ANSWER)).store(file("agent.db")).build().await?;
        Ok(Self { chain, mint, agent_key, agent, inference, buyer, gpu, folder })
    }

    /// Base units in somebody's own token account.
    pub(crate) fn tokens(&self, of: &Address) -> u64 {
        self.chain.tokens(&self.mint.account_of(of)).get()
    }

    /// Where the databases are, as long as the town stands.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }
}

async fn open(
    chain: &EmbeddedChain,
    mint: &TestMint,
    key: KeypairSigner,
    price: u64,
    store: SqliteStore,
    routes: Router,
) -> anyhow::Result<Shop> {
    let config = ServiceConfig::new(Arc::new(key.clone()), mint.address, Amount::new(price));
    let config = config.settle_interval(INTERVAL);
    let service = AmpService::start(config, Arc::new(chain.clone()), store).await?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    let origin = format!("http://{}", listener.local_addr()?);
    let app = routes.layer(AmpLayer::new(service.clone()));
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(Shop { key, service, origin })
}
