//! What is measured rather than shown. Nothing here is asserted but counts.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use amp_sdk::chain::{
    AccountSnapshot, Chain, ChainClock, ChainError, ChannelChanges, Confirmation, RpcChain, TransactionFormat,
};
use amp_sdk::protocol::money::Amount;
use anyhow::{Context as _, ensure};
use async_trait::async_trait;
use solana_address::Address;
use solana_commitment_config::CommitmentConfig;
use solana_hash::Hash;
use solana_rpc_client::nonblocking::rpc_client::RpcClient;
use solana_rpc_client_api::config::RpcTransactionConfig;
use solana_signature::Signature;
use solana_transaction::versioned::VersionedTransaction;
use solana_transaction_status_client_types::UiTransactionEncoding;

use super::packing::{close_all, customers, settle_all};
use crate::cluster::Cluster;
use crate::page::{Opening, Settling};
use crate::town::{DEPOSIT, TOKENS, Town, buy, closed};

/// Openings that are measured.
const OPENINGS: usize = 15;

pub(crate) async fn from_the_opening_to_the_first_paid_answer(cluster: &Cluster) -> anyhow::Result<()> {
    let town = &Town::found(cluster).await?;
    let shop = town.shop().await?;
    let mut openings = Vec::new();
    for number in 0..OPENINGS {
        let chain = Arc::new(Stopwatch::over(cluster));
        let key = town.person(TOKENS).await?;
        let client = town.client(chain.clone(), &format!("{number}.db")).funder(key.clone());
        let client = client.deposit(Amount::new(DEPOSIT)).build().await?;
        let begun = Instant::now();
        buy(&client, &shop.quote()).await?;
        let total = begun.elapsed();
        let Times { confirmation, sending, reads } = chain.times();
        let confirmation = confirmation.context("no transaction was sent")?;
        let learning = sending.saturating_sub(confirmation);
        openings.push(Opening { total, confirmation, learning, reads });
        closed(&client.close(&shop.origin).await?)?;
    }
    ensure!(shop.served() == u64::try_from(OPENINGS)?, "{} calls were served", shop.served());
    town.settled_up(&[("the service", &shop.key, shop.earned())]).await?;
    openings.sort_by_key(|opening| opening.ours());
    if let Some(middle) = openings.get(OPENINGS / 2) {
        println!(
            "     opening to first paid answer: {:?}, of which {:?} until the node had confirmed: {:?} ours, {:?} to learn of it, \
             {:?} reading",
            middle.total,
            middle.confirmation,
            middle.ours(),
            middle.learning,
            middle.reads
        );
    }
    cluster.note(|measured| measured.openings = openings);
    shop.shut().await;
    Ok(())
}

pub(crate) async fn settling_one_ten_and_a_hundred_channels(cluster: &Cluster) -> anyhow::Result<()> {
    let mut all = Vec::new();
    for channels in [1, 10, 100] {
        if channels > 10 && !cluster.is_own() {
            println!("     SKIPPED: a hundred channels; this cluster's lamports are somebody's");
            continue;
        }
        let town = &Town::found(cluster).await?;
        let shop = town.shop().await?;
        let mut agents = Vec::new();
        while agents.len() < channels {
            let some = channels.saturating_sub(agents.len()).min(10);
            agents.extend(customers(town, &shop, some).await?);
        }
        let transactions = settle_all(town, &shop, &agents).await?;
        let mut settling = Settling { channels, transactions: transactions.len(), ..Settling::default() };
        for signature in &transactions {
            let (fee, units) = cost(cluster, signature).await?;
            settling.fees = settling.fees.saturating_add(fee);
            settling.units = settling.units.saturating_add(units);
        }
        println!("     {settling:?}");
        all.push(settling);
        close_all(town, &shop, &agents).await?;
        shop.shut().await;
    }
    let format = cluster.format().await;
    cluster.note(|measured| (measured.settlings, measured.format) = (all, Some(format)));
    Ok(())
}

/// Fee in lamports and compute units of a transaction.
async fn cost(cluster: &Cluster, signature: &Signature) -> anyhow::Result<(u64, u64)> {
    let config = RpcTransactionConfig {
        encoding: Some(UiTransactionEncoding::Base64),
        commitment: Some(CommitmentConfig::confirmed()),
        max_supported_transaction_version: Some(1),
    };
    let found = cluster.rpc.get_transaction_with_config(signature, config).await?;
    let meta = found.transaction.meta.context("the node does not tell what it cost")?;
    let units: Option<u64> = meta.compute_units_consumed.into();
    Ok((meta.fee, units.unwrap_or_default()))
}

/// The SDK's own chain, and how long things take on it.
struct Stopwatch {
    inner: RpcChain,
    observer: Arc<RpcClient>,
    times: Arc<Mutex<Times>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Times {
    /// From sending until the node itself says that it is confirmed, as one sees it who asks all the time.
    confirmation: Option<Duration>,
    /// From sending until the SDK had learnt of it.
    sending: Duration,
    /// Spent on reads.
    reads: Duration,
}

impl Stopwatch {
    fn over(cluster: &Cluster) -> Self {
        let observer = RpcClient::new_with_commitment(cluster.url.clone(), CommitmentConfig::confirmed());
        let (observer, times) = (Arc::new(observer), Arc::default());
        Self { inner: RpcChain::new(cluster.url.clone()), observer, times }
    }

    fn times(&self) -> Times {
        *self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn read<T>(&self, answer: impl Future<Output = T>) -> T {
        let begun = Instant::now();
        let answer = answer.await;
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        times.reads = times.reads.saturating_add(begun.elapsed());
        answer
    }
}

#[async_trait]
impl Chain for Stopwatch {
    async fn account(&self, address: &Address) -> Result<Option<AccountSnapshot>, ChainError> {
        self.read(self.inner.account(address)).await
    }

    async fn accounts(
        &self,
        addresses: &[Address],
    ) -> Result<(Vec<Option<AccountSnapshot>>, Option<u64>), ChainError> {
        self.read(self.inner.accounts(addresses)).await
    }

    async fn watch_channels(
        &self,
        program_id: &Address,
        recipient: &Address,
    ) -> Result<Option<ChannelChanges>, ChainError> {
        self.inner.watch_channels(program_id, recipient).await
    }

    async fn delegations(
        &self,
        program_id: &Address,
        channel: &Address,
    ) -> Result<Vec<(Address, AccountSnapshot)>, ChainError> {
        self.read(self.inner.delegations(program_id, channel)).await
    }

    async fn clock(&self) -> Result<ChainClock, ChainError> {
        self.read(self.inner.clock()).await
    }

    async fn latest_blockhash(&self) -> Result<Hash, ChainError> {
        self.read(self.inner.latest_blockhash()).await
    }

    async fn transaction_format(&self) -> TransactionFormat {
        self.inner.transaction_format().await
    }

    async fn send(&self, transaction: &VersionedTransaction) -> Result<Confirmation, ChainError> {
        let signature = transaction.signatures.first().copied().unwrap_or_default();
        let (observer, times, begun) = (self.observer.clone(), self.times.clone(), Instant::now());
        let is_first = times.lock().unwrap_or_else(PoisonError::into_inner).confirmation.is_none();
        if is_first {
            tokio::spawn(async move {
                loop {
                    if observer.confirm_transaction(&signature).await.unwrap_or_default() {
                        let mut times = times.lock().unwrap_or_else(PoisonError::into_inner);
                        times.confirmation = Some(begun.elapsed());
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(3)).await;
                }
            });
        }
        let sent = self.inner.send(transaction).await;
        if is_first {
            let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
            times.sending = begun.elapsed();
        }
        sent
    }
}
