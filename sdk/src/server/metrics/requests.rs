use std::time::Instant;

use amp_protocol::money::Amount;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use super::labels::counters;
use super::{Outcome, base_units};
use crate::server::denial::Denial;

/// What is counted of requests, whatever transport they come by.
pub(crate) struct RequestMetrics {
    outcomes: [Counter; Outcome::COUNT],
    charged: Counter,
    admission: Histogram,
    verify: Histogram,
    commit: Histogram,
    commits: Gauge,
    commits_failed: Counter,
}

/// From a few microseconds, which no signature is checked in, to 0.1 s.
fn computing() -> Histogram {
    Histogram::new(exponential_buckets(10e-6, 2.0, 14))
}

/// From what a disk with a cache takes to what no client waits for.
fn waiting() -> Histogram {
    Histogram::new(exponential_buckets(100e-6, 2.5, 13))
}

impl RequestMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let help = "Requests by what came of them";
        let outcomes = counters(registry, "requests", help, "outcome", Outcome::labels());
        let charged = Counter::default();
        let help = "What was charged and is on disk";
        registry.register_with_unit("charged", help, base_units(), charged.clone());
        let (admission, verify, commit) = (waiting(), computing(), waiting());
        let help = "From a credential's arrival until its request was admitted or refused, looks at the chain included";
        registry.register_with_unit("admission", help, Unit::Seconds, admission.clone());
        let help = "Finding out whose signature a credential has";
        registry.register_with_unit("verify", help, Unit::Seconds, verify.clone());
        let help = "From a charge until it was on disk, or failed to be";
        registry.register_with_unit("commit", help, Unit::Seconds, commit.clone());
        let commits = Gauge::default();
        registry.register("commits_in_flight", "Charges that wait for the disk now", commits.clone());
        let commits_failed = Counter::default();
        let help = "Charges that the store failed to keep: work that was done for nothing";
        registry.register("commits_failed", help, commits_failed.clone());
        Self { outcomes, charged, admission, verify, commit, commits, commits_failed }
    }

    pub(super) fn count(&self, outcome: Outcome) {
        if let Some(counter) = self.outcomes.get(outcome.place()) {
            counter.inc();
        }
    }

    /// Counts a request whose credential could not be read; returns the denial.
    pub(crate) fn unreadable(&self, denial: Denial) -> Denial {
        self.count(Outcome::of(&denial));
        denial
    }

    /// Counts a request without a credential; returns the denial. Every agent's first call is one.
    pub(crate) fn no_credential(&self, denial: Denial) -> Denial {
        self.count(Outcome::NoCredential);
        denial
    }

    pub(super) fn admission_took(&self, begun: Instant) {
        self.admission.observe(begun.elapsed().as_secs_f64());
    }

    /// Checks signatures.
    pub(crate) fn verify<T>(&self, check: impl FnOnce() -> T) -> T {
        let _span = tracing::trace_span!("amp.verify").entered();
        let begun = Instant::now();
        let found = check();
        self.verify.observe(begun.elapsed().as_secs_f64());
        found
    }

    /// Waits until a charge of `cost` is stored, or failed to be.
    pub(crate) async fn commit<T>(
        &self,
        cost: Amount,
        stored: impl Future<Output = Result<T, Denial>>,
    ) -> Result<T, Denial> {
        let begun = Instant::now();
        self.commits.inc();
        let stored = stored.await;
        self.commits.dec();
        self.commit.observe(begun.elapsed().as_secs_f64());
        match &stored {
            Ok(_) => self.charged.inc_by(cost.get()),
            // its channel was closed meanwhile
            Err(Denial::Refused(_)) => 0,
            Err(_) => self.commits_failed.inc(),
        };
        stored
    }
}
