use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use amp_sdk::chain::Chain;
use amp_sdk::protocol::code::Code;
use amp_sdk::protocol::money::Amount;
use amp_sdk::server::{AmpLayer, AmpService, Denial, ServiceConfig, Settled, SqliteStore};
use amp_sdk::signer::{KeypairSigner, Signer as _};
use anyhow::bail;
use axum::extract::State;
use axum::{Router, routing::get};
use solana_address::Address;
use tokio::task::JoinHandle;

use super::{GRACE, INTERVAL, PRICE, Town};

/// A service that sells quotes over HTTP.
pub(crate) struct Shop {
    pub(crate) key: KeypairSigner,
    pub(crate) service: AmpService,
    pub(crate) origin: String,
    served: Arc<AtomicU64>,
    door: JoinHandle<()>,
}

impl Town<'_> {
    /// Opens a service on the cluster's own node.
    pub(crate) async fn shop(&self) -> anyhow::Result<Shop> {
        self.shop_on(self.cluster.chain.clone()).await
    }

    /// Opens a service on a node.
    pub(crate) async fn shop_on(&self, chain: Arc<dyn Chain>) -> anyhow::Result<Shop> {
        let key = self.person(0).await?;
        let config = ServiceConfig::new(Arc::new(key.clone()), self.mint, Amount::new(PRICE))
            .program_id(self.cluster.program_id)
            .network(self.cluster.network.clone())
            .settle_interval(INTERVAL)
            // nothing is settled that a scenario does not ask for, or a close
            .settle_every(3_600)
            .min_close_grace(GRACE)
            .watch_interval(Duration::from_secs(3))
            .channel_max_age(Duration::from_secs(2));
        let store = SqliteStore::open(self.file(&format!("{}.service.db", key.public_key())))?;
        let service = AmpService::start(config, chain, store).await?;
        let served = Arc::new(AtomicU64::new(0));
        let quote = |State(served): State<Arc<AtomicU64>>| async move {
            served.fetch_add(1, Ordering::SeqCst);
            "42"
        };
        let app = Router::new().route("/quote", get(quote)).with_state(served.clone());
        let app = app.layer(AmpLayer::new(service.clone()));
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
        let origin = format!("http://{}", listener.local_addr()?);
        let door = tokio::spawn(async move {
            let _ = axum::serve(listener, app).await;
        });
        Ok(Shop { key, service, origin, served, door })
    }
}

impl Shop {
    /// What is sold.
    pub(crate) fn quote(&self) -> String {
        format!("{}/quote", self.origin)
    }

    /// Calls that the handler has answered.
    pub(crate) fn served(&self) -> u64 {
        self.served.load(Ordering::SeqCst)
    }

    /// What those cost.
    pub(crate) fn earned(&self) -> u64 {
        self.served().saturating_mul(PRICE)
    }

    /// Answers no requests any more; the service itself goes on looking after its channels.
    pub(crate) fn lock_the_door(&self) {
        self.door.abort();
    }

    /// Settles a channel, as soon as its interval has passed.
    pub(crate) async fn settle(&self, channel: Address) -> anyhow::Result<Settled> {
        loop {
            match self.service.settle(channel).await {
                Ok(settled) => return Ok(settled),
                Err(Denial::Refused(body)) if body.error == Code::SettleEarly => {
                    tokio::time::sleep(Duration::from_secs(body.retry_after.unwrap_or(1))).await;
                }
                Err(denial) => bail!("the settlement of {channel}: {denial}"),
            }
        }
    }

    /// Ends in good order.
    pub(crate) async fn shut(self) {
        self.door.abort();
        self.service.shutdown().await;
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.door.abort();
    }
}
