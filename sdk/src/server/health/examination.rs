use std::time::Duration;

use tokio::join;
use tokio::time::{Instant, timeout};

use super::report::{Finding, Health, Reason, Verdict};
use crate::server::service::{AmpService, Core};
use crate::server::store::Incarnation;
use crate::server::views::lock;

/// For so long a report is given out again: probes can't load store and node, however many there are.
const REPORT_AGE: Duration = Duration::from_secs(1);
/// How long store and chain have to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Where the chain was not heard of for so long, it is asked.
const CHAIN_AGE: Duration = Duration::from_secs(10);
/// How old the recipient's balance may be.
const LAMPORTS_AGE: Duration = Duration::from_secs(30);
/// For so long after a write that failed no requests are wanted. Then some are: only they can show that the
/// store writes again.
const WRITE_PAUSE: Duration = Duration::from_secs(10);
/// What the worker's loop may take beyond two watches.
const WORKER_PATIENCE: Duration = Duration::from_secs(10);

impl AmpService {
    /// Whether the service works. It answers within some two seconds, and asks store and chain at most once a
    /// second.
    pub async fn health(&self) -> Health {
        let core = &self.core;
        let mut last = core.vitals.last.lock().await;
        if let Some((at, health)) = &*last
            && at.elapsed() < REPORT_AGE
        {
            return health.clone();
        }
        let health = core.examine().await;
        *last = Some((Instant::now(), health.clone()));
        health
    }
}

impl Core {
    pub(super) async fn examine(&self) -> Health {
        let ((), store) = join!(self.ask_chain(), self.examine_store());
        let worker = self.examine_worker();
        let stopping = self.vitals.is_stopping();
        let stopping = stopping.then(|| Reason::ShuttingDown.finding("the service is shutting down"));
        let all = [worker.clone(), stopping, store, self.examine_chain(), self.examine_recipient()];
        Health {
            live: Verdict::of(worker.into_iter().collect()),
            ready: Verdict::of(all.into_iter().flatten().collect()),
        }
    }

    pub(super) fn examine_worker(&self) -> Option<Finding> {
        // it ends when what is under way is done, and until then its loop rests
        if self.vitals.is_stopping() {
            return None;
        }
        if self.vitals.worker_has_ended() {
            return Some(Reason::WorkerEnded.finding("the settlement worker has ended: nothing is settled"));
        }
        let bound = self.config.watch_interval.saturating_mul(2).saturating_add(WORKER_PATIENCE);
        let silence = self.vitals.worker_silence();
        (silence > bound).then(|| {
            let message = format!("the settlement worker gave no sign of life for {} s", silence.as_secs());
            Reason::WorkerSilent.finding(message)
        })
    }

    async fn examine_store(&self) -> Option<Finding> {
        if self.vitals.write_failed().is_some_and(|ago| ago < WRITE_PAUSE) {
            return Some(Reason::StoreFails.finding("the store failed to keep a charge a moment ago"));
        }
        // slot 0 is the genesis: nothing was opened in it
        let nothing = Incarnation { channel: [0; 32], opened_slot: 0 };
        let silent = |message| Some(Reason::StoreSilent.finding(message));
        match timeout(PATIENCE, self.store.recall(nothing, self.config.seq_window)).await {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => {
                tracing::warn!(%error, "the store can't be read");
                silent("the store can't be read")
            }
            Err(_) => silent("the store does not answer in time"),
        }
    }

    /// Reads the recipient's balance, where that is old or the chain was not heard of for a while: an idle
    /// service asks for nothing else.
    async fn ask_chain(&self) {
        let age = lock(&self.vitals.lamports).1.elapsed();
        if age < LAMPORTS_AGE && self.metrics.chain.silence() < CHAIN_AGE {
            return;
        }
        if let Ok(Ok(account)) = timeout(PATIENCE, self.chain.account(&self.recipient)).await {
            let lamports = account.map_or(0, |account| account.lamports);
            *lock(&self.vitals.lamports) = (lamports, Instant::now());
        }
    }

    fn examine_chain(&self) -> Option<Finding> {
        let silence = self.metrics.chain.silence();
        (silence > self.config.health_limits.chain_silence).then(|| {
            Reason::ChainSilent.finding(format!("the chain was not heard of for {} s", silence.as_secs()))
        })
    }

    fn examine_recipient(&self) -> Option<Finding> {
        let (lamports, least) = (self.vitals.lamports(), self.config.health_limits.min_lamports);
        (lamports < least).then(|| {
            let recipient = self.recipient;
            let message =
                format!("the recipient {recipient} has {lamports} lamports for fees; send it {least}");
            Reason::RecipientPoor.finding(message)
        })
    }
}
