//! The whole client against a service and a chain that can be told to misbehave.
#![allow(clippy::arithmetic_side_effects, reason = "an overflow fails the test, as it should")]

mod by_address;
mod chain;
mod closing;
mod clusters;
mod delegated;
mod delegated_trouble;
mod delegates_close;
mod delegating;
mod liars;
#[cfg(feature = "mcp")]
mod mcp;
mod opening;
mod paying;
mod service;

use std::sync::Arc;
use std::time::Duration;

use amp_protocol::money::Amount;
use solana_address::Address;
use tempfile::TempDir;

use super::{ChannelState, Client, ClientBuilder, ClientError, DelegationRecord, Expiry, Response};
use crate::signer::{KeypairSigner, Signer as _};
use chain::FakeChain;
use service::FakeService;

const MINT: Address = Address::new_from_array([4; 32]);
const PRICE: u64 = 100;

/// One agent with 1,000,000 base units, one service, one chain, one store.
struct World {
    chain: Arc<FakeChain>,
    service: FakeService,
    funder: KeypairSigner,
    folder: TempDir,
}

impl World {
    async fn new() -> Self {
        let (chain, funder) = (Arc::new(FakeChain::new()), KeypairSigner::generate());
        chain.give(&funder.public_key(), 1_000_000);
        let service = FakeService::start(chain.clone()).await;
        Self { chain, service, funder, folder: tempfile::tempdir().unwrap() }
    }

    fn builder(&self) -> ClientBuilder {
        Client::builder()
            .funder(self.funder.clone())
            .chain(self.chain.clone())
            .allow_mint(MINT)
            .deposit(Amount::new(10_000))
            .timeout(Duration::from_secs(5))
            .store(self.folder.path().join("client.db"))
    }

    async fn client(&self) -> Client {
        self.builder().build().await.unwrap()
    }

    /// A delegate's client over a store of its own.
    fn agent_builder(&self, key: &KeypairSigner) -> ClientBuilder {
        let name = format!("{}.db", key.public_key());
        Client::builder()
            .delegate(key.clone())
            .chain(self.chain.clone())
            .allow_mint(MINT)
            .timeout(Duration::from_secs(5))
            .store(self.folder.path().join(name))
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.service.origin)
    }

    async fn pay(&self, client: &Client) -> Result<Response, ClientError> {
        client.get(&self.url("/paid")).await
    }

    /// Pays once and returns the seq.
    async fn seq(&self, client: &Client) -> u64 {
        let answer = self.pay(client).await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.payment().unwrap().seq.get()
    }

    /// The funder's client with an open channel, and the channel's address.
    async fn funded(&self) -> (Client, Address) {
        let client = self.client().await;
        let channel = client.prepare(&self.url("/paid")).await.unwrap().channel;
        (client, channel)
    }

    /// Delegates without an expiry.
    async fn delegate(&self, funder: &Client, key: &KeypairSigner, limit: u64) -> DelegationRecord {
        let (origin, limit) = (&self.service.origin, Amount::new(limit));
        funder.delegate(origin, &key.public_key(), limit, Expiry::NEVER).await.unwrap()
    }

    /// A delegate with this limit that uses the channel, with its key.
    async fn agent(&self, funder: &Client, limit: u64) -> (Client, KeypairSigner) {
        let key = KeypairSigner::generate();
        let channel = self.delegate(funder, &key, limit).await.channel;
        let agent = self.agent_builder(&key).build().await.unwrap();
        agent.use_channel(&self.service.origin, channel).await.unwrap();
        (agent, key)
    }

    async fn states(&self, client: &Client) -> Vec<ChannelState> {
        client.channels().await.unwrap().into_iter().map(|record| record.state).collect()
    }
}
