//! The process that is killed.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use amp_protocol::json::PricingMode;
use amp_protocol::money::Amount;
use amp_protocol::rate::{Per, Rate};
use amp_sdk::chain::{Chain, RpcChain};
use amp_sdk::server::{AmpLayer, AmpService, PostgresStore, ServiceConfig, SqliteStore};
use amp_sdk::signer::KeypairSigner;
use anyhow::{Context, Result};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::get;
use clap::Args;
use futures::stream;
use solana_address::Address;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use crate::PRICE;
use crate::forgetful::ForgetfulStore;

/// What it prints, followed by its address, when it serves.
pub(crate) const READY: &str = "serving on ";

/// What a stream costs: a base unit for every 64 bytes.
pub(crate) const BYTES: Rate = Rate { amount: Amount::new(1), per: Per::new(64).unwrap() };
/// Bytes of a stream.
pub(crate) const STREAM: u64 = 300_000;
/// Most bytes of a piece of it.
const PIECE: u64 = 5_000;

/// What it is started with.
#[derive(Args, Clone, Debug)]
pub struct Serve {
    /// The node's URL.
    #[arg(long)]
    pub node: String,
    /// The store's file, or the address of a PostgreSQL database.
    #[arg(long)]
    pub store: String,
    /// The store is a database, with its tables in this schema.
    #[arg(long)]
    pub schema: Option<String>,
    /// The recipient's keypair file.
    #[arg(long)]
    pub recipient: PathBuf,
    /// The accepted mint.
    #[arg(long)]
    pub mint: Address,
    /// Answer before the store has written: to see that this is found out.
    #[arg(long)]
    pub forgetful: bool,
}

/// Settles all the time, so that settlements are cut off too.
pub(crate) fn config(recipient: KeypairSigner, mint: Address) -> ServiceConfig {
    ServiceConfig::new(Arc::new(recipient), mint, Amount::new(PRICE))
        .metered_route("/stream", PricingMode::PerByte, BYTES)
        .settle_interval(1)
        .min_settle_interval(1)
        .watch_interval(Duration::from_millis(50))
        // what a dead process had in flight does not end before it is known to be dead
        .in_flight_wait(Duration::from_millis(200))
}

impl Serve {
    /// The service on its store.
    pub(crate) async fn service(&self, config: ServiceConfig, chain: Arc<dyn Chain>) -> Result<AmpService> {
        if let Some(schema) = &self.schema {
            let store = PostgresStore::connect(&self.store, schema).await?;
            return Ok(AmpService::start(config, chain, store).await?);
        }
        let store = SqliteStore::open(&self.store)?;
        Ok(if self.forgetful {
            AmpService::start(config, chain, ForgetfulStore(Arc::new(store))).await?
        } else {
            AmpService::start(config, chain, store).await?
        })
    }

    /// Serves until it is killed.
    pub async fn run(self) -> Result<()> {
        let config = config(KeypairSigner::from_file(&self.recipient)?, self.mint);
        let chain: Arc<dyn Chain> = Arc::new(RpcChain::new(&self.node));
        let service = self.service(config, chain).await?;
        let app = Router::new()
            .route("/work", get(|| async { "done" }))
            .route("/stream", get(|| async { streamed() }))
            .layer(AmpLayer::new(service));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let mut out = tokio::io::stdout();
        out.write_all(format!("{READY}{}\n", listener.local_addr()?).as_bytes()).await?;
        out.flush().await?;
        axum::serve(listener, app).await.context("it serves until it is killed")
    }
}

/// Pieces of all sizes, one after another, and now and then a pause: long enough to be killed in.
fn streamed() -> Body {
    Body::from_stream(stream::unfold((0_u64, 1_u64), |(sent, piece)| async move {
        if sent == STREAM {
            return None;
        }
        let size = (piece * 7_919 % PIECE).max(1).min(STREAM - sent);
        if piece % 8 == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let bytes = Bytes::from(vec![0; usize::try_from(size).unwrap_or_default()]);
        Some((Ok::<_, std::convert::Infallible>(bytes), (sent + size, piece + 1)))
    }))
}
