//! The chain, the token, the two parties, and the service they meet at.

use std::sync::Arc;

use amp_embedded::{ClockMode, EmbeddedChain, TestMint};
use amp_sdk::chain::TOKEN_PROGRAM;
use amp_sdk::protocol::money::Amount;
use amp_sdk::server::{AmpLayer, AmpService, ServiceConfig, SqliteStore};
use amp_sdk::signer::{KeypairSigner, Signer};
use anyhow::Context;
use axum::{Router, routing::get};
use solana_address::Address;
use tempfile::TempDir;

use crate::progress::step;

/// Base units a call costs: 0.00025 of a token with six decimals.
pub(crate) const PRICE: u64 = 250;
/// Seconds between settlements.
pub(crate) const SETTLE_INTERVAL: u32 = 3_600;
const FUNDER_TOKENS: u64 = 1_000_000_000_000;
const LAMPORTS: u64 = 1_000_000_000;

pub(crate) struct Stage {
    pub(crate) chain: EmbeddedChain,
    pub(crate) mint: TestMint,
    pub(crate) agent: KeypairSigner,
    pub(crate) hot_key: KeypairSigner,
    pub(crate) recipient: KeypairSigner,
    pub(crate) service: AmpService,
    pub(crate) origin: String,
    pub(crate) url: String,
    pub(crate) folder: TempDir,
}

/// What somebody holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Holdings {
    pub(crate) tokens: u64,
    pub(crate) lamports: u64,
}

impl Stage {
    pub(crate) async fn set() -> anyhow::Result<Self> {
        let chain = EmbeddedChain::new(ClockMode::Wall)?;
        let mint = chain.create_mint(&TOKEN_PROGRAM)?;
        let (agent, hot_key, recipient) =
            (KeypairSigner::generate(), KeypairSigner::generate(), KeypairSigner::generate());
        for person in [&agent, &recipient] {
            chain.airdrop(&person.public_key(), LAMPORTS)?;
        }
        chain.mint_to(&mint, &agent.public_key(), Amount::new(FUNDER_TOKENS))?;
        chain.mint_to(&mint, &recipient.public_key(), Amount::ZERO)?;
        step("an embedded chain with the real amp.so, a mint, an agent with tokens");

        let folder = tempfile::tempdir()?;
        let config = ServiceConfig::new(Arc::new(recipient.clone()), mint.address, Amount::new(PRICE))
            .settle_interval(SETTLE_INTERVAL);
        let store = SqliteStore::open(folder.path().join("service.db"))?;
        let service = AmpService::start(config, Arc::new(chain.clone()), store).await?;
        let app = Router::new().route("/quote", get(|| async { "42" })).layer(AmpLayer::new(service.clone()));
        let listener =
            tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.context("no free port on loopback")?;
        let origin = format!("http://{}", listener.local_addr()?);
        tokio::spawn(async move { axum::serve(listener, app).await });
        step(&format!("an axum service at {origin}, {PRICE} base units a call"));
        Ok(Self {
            chain,
            mint,
            agent,
            hot_key,
            recipient,
            service,
            url: format!("{origin}/quote"),
            origin,
            folder,
        })
    }

    pub(crate) fn holdings(&self, of: &Address) -> Holdings {
        Holdings {
            tokens: self.chain.tokens(&self.mint.account_of(of)).get(),
            lamports: self.chain.lamports(of),
        }
    }
}
