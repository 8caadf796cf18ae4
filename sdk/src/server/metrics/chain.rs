use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use solana_address::Address;
use solana_hash::Hash;
use solana_transaction::versioned::VersionedTransaction;
use tokio::time::Instant;

use super::labels::counters;
use super::{Level, Metrics, lamport_unit};
use crate::chain::{
    AccountSnapshot, Chain, ChainClock, ChainError, ChannelChanges, Confirmation, TransactionFormat,
};
use crate::server::views::lock;

/// What is asked of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Account,
    Search,
    Clock,
    Blockhash,
    Fees,
    Send,
    Subscription,
}

const ASKED: [&str; 7] = ["account", "search", "clock", "blockhash", "fees", "send", "subscription"];
/// `unanswered`: whoever asked gave up waiting.
const ANSWERS: [&str; 3] = ["ok", "failed", "unanswered"];

/// What is counted of the chain, and when it was last heard of.
pub(crate) struct ChainMetrics {
    asked: [[Counter; 3]; 7],
    transactions: [Counter; 3],
    fees: Counter,
    subscribed: Level,
    silence: Gauge<f64, AtomicU64>,
    heard: Mutex<Instant>,
}

impl ChainMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let family = Family::<[(&'static str, &'static str); 2], Counter>::default();
        registry.register("chain_requests", "Requests to the chain, by kind and answer", family.clone());
        let asked = ASKED.map(|asked| {
            ANSWERS.map(|answer| family.get_or_create_owned(&[("request", asked), ("outcome", answer)]))
        });
        let help = "Transactions that were sent: settlements, closes and chainings";
        let outcomes = ["confirmed", "failed", "unconfirmed"];
        let transactions = counters(registry, "transactions", help, "outcome", outcomes);
        let (fees, subscribed, silence) = (Counter::default(), Level::default(), Gauge::default());
        let help = "Fees of confirmed transactions, where the chain told";
        registry.register_with_unit("fees", help, lamport_unit(), fees.clone());
        let help = "Whether changes of channels are subscribed to: 1, or 0 where they are polled alone";
        registry.register("chain_subscribed", help, subscribed.clone());
        let help = "Since the chain last answered";
        registry.register_with_unit("chain_silence", help, Unit::Seconds, silence.clone());
        let metrics =
            Self { asked, transactions, fees, subscribed, silence, heard: Mutex::new(Instant::now()) };
        metrics.subscribed(false);
        metrics
    }

    /// Takes note whether a subscription to changes on chain works.
    pub(crate) fn subscribed(&self, works: bool) {
        self.subscribed.set(works.into());
    }

    /// How long ago the chain last answered.
    pub(crate) fn silence(&self) -> Duration {
        lock(&self.heard).elapsed()
    }

    pub(super) fn note_silence(&self) {
        self.silence.set(self.silence().as_secs_f64());
    }

    /// The answer may be that something is wrong with what was asked: that is an answer, too.
    fn heard(&self, error: Option<&ChainError>) {
        if !matches!(error, Some(ChainError::Unreachable(_) | ChainError::Unconfirmed { .. })) {
            *lock(&self.heard) = Instant::now();
        }
    }

    fn sent(&self, sent: &Result<Confirmation, ChainError>) {
        let [confirmed, failed, unconfirmed] = &self.transactions;
        match sent {
            Ok(Confirmation { fee, .. }) => {
                confirmed.inc();
                self.fees.inc_by(fee.unwrap_or_default());
            }
            Err(ChainError::Unconfirmed { .. } | ChainError::Expired { .. }) => drop(unconfirmed.inc()),
            Err(_) => drop(failed.inc()),
        }
    }
}

/// A request under way. Dropped, it was not answered in time.
struct Waiting<'a> {
    counters: &'a [Counter; 3],
    answered: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.answered {
            let [.., unanswered] = self.counters;
            unanswered.inc();
        }
    }
}

/// A chain whose answers are counted. It forwards **every** method of the trait: one that is left out would
/// fall back to the trait's default, whatever the chain behind it can do. A test reads the trait for that.
pub(crate) struct MeteredChain {
    inner: Arc<dyn Chain>,
    metrics: Arc<Metrics>,
}

impl MeteredChain {
    pub(crate) fn around(inner: Arc<dyn Chain>, metrics: &Arc<Metrics>) -> Arc<dyn Chain> {
        Arc::new(Self { inner, metrics: metrics.clone() })
    }

    async fn ask<T>(
        &self,
        asked: Asked,
        answer: impl Future<Output = Result<T, ChainError>>,
    ) -> Result<T, ChainError> {
        let metrics = &self.metrics.chain;
        let [account, search, clock, blockhash, fees, send, subscription] = &metrics.asked;
        let counters = match asked {
            Asked::Account => account,
            Asked::Search => search,
            Asked::Clock => clock,
            Asked::Blockhash => blockhash,
            Asked::Fees => fees,
            Asked::Send => send,
            Asked::Subscription => subscription,
        };
        let mut waiting = Waiting { counters, answered: false };
        let answer = answer.await;
        waiting.answered = true;
        let [ok, failed, _] = counters;
        if answer.is_ok() { ok } else { failed }.inc();
        metrics.heard(answer.as_ref().err());
        answer
    }
}

#[async_trait]
impl Chain for MeteredChain {
    async fn account(&self, address: &Address) -> Result<Option<AccountSnapshot>, ChainError> {
        self.ask(Asked::Account, self.inner.account(address)).await
    }

    async fn accounts(
        &self,
        addresses: &[Address],
    ) -> Result<(Vec<Option<AccountSnapshot>>, Option<u64>), ChainError> {
        self.ask(Asked::Account, self.inner.accounts(addresses)).await
    }

    async fn account_at(
        &self,
        address: &Address,
    ) -> Result<(Option<AccountSnapshot>, Option<u64>), ChainError> {
        self.ask(Asked::Account, self.inner.account_at(address)).await
    }

    async fn watch_channels(
        &self,
        program_id: &Address,
        recipient: &Address,
    ) -> Result<Option<ChannelChanges>, ChainError> {
        self.ask(Asked::Subscription, self.inner.watch_channels(program_id, recipient)).await
    }

    async fn delegations(
        &self,
        program_id: &Address,
        channel: &Address,
    ) -> Result<Vec<(Address, AccountSnapshot)>, ChainError> {
        self.ask(Asked::Search, self.inner.delegations(program_id, channel)).await
    }

    async fn channels_funded_by(
        &self,
        program_id: &Address,
        funder: &Address,
    ) -> Result<Vec<(Address, AccountSnapshot)>, ChainError> {
        self.ask(Asked::Search, self.inner.channels_funded_by(program_id, funder)).await
    }

    async fn channels_paid_to(
        &self,
        program_id: &Address,
        recipient: &Address,
    ) -> Result<Vec<(Address, AccountSnapshot)>, ChainError> {
        self.ask(Asked::Search, self.inner.channels_paid_to(program_id, recipient)).await
    }

    async fn delegations_to(
        &self,
        program_id: &Address,
        delegate: &Address,
    ) -> Result<Vec<(Address, AccountSnapshot)>, ChainError> {
        self.ask(Asked::Search, self.inner.delegations_to(program_id, delegate)).await
    }

    async fn clock(&self) -> Result<ChainClock, ChainError> {
        self.ask(Asked::Clock, self.inner.clock()).await
    }

    async fn latest_blockhash(&self) -> Result<Hash, ChainError> {
        self.ask(Asked::Blockhash, self.inner.latest_blockhash()).await
    }

    async fn transaction_format(&self) -> TransactionFormat {
        self.inner.transaction_format().await
    }

    async fn recent_priority_fees(&self, written: &[Address]) -> Result<Vec<u64>, ChainError> {
        self.ask(Asked::Fees, self.inner.recent_priority_fees(written)).await
    }

    async fn send(&self, transaction: &VersionedTransaction) -> Result<Confirmation, ChainError> {
        let sent = self.ask(Asked::Send, self.inner.send(transaction)).await;
        self.metrics.chain.sent(&sent);
        sent
    }
}

#[cfg(test)]
mod tests {
    /// The names of the methods after `begin` in a source file.
    fn methods(source: &str, begin: &str) -> Vec<String> {
        let (_, body) = source.split_once(begin).unwrap();
        let (body, _) = body.split_once("\n}").unwrap();
        let names = body.split(" fn ").skip(1).map(|rest| rest.split_once(['(', '<']).unwrap().0.to_owned());
        names.collect()
    }

    #[test]
    fn no_method_of_the_chain_falls_back_to_its_default() {
        let wanted = methods(include_str!("../../chain/mod.rs"), "pub trait Chain: ");
        let forwarded = methods(include_str!("chain.rs"), "impl Chain for MeteredChain");
        assert!(wanted.len() >= 6 && wanted.contains(&"delegations".to_owned()), "{wanted:?}");
        assert_eq!(forwarded, wanted);
    }
}
