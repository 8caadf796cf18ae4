use std::sync::atomic::AtomicU64;

use amp_protocol::money::Amount;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::base_units;
use super::labels::counters;

/// What came of the settlement of one signer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SettlementOutcome {
    /// Its transaction was confirmed.
    Confirmed,
    /// Its transaction was not seen confirmed, and the chain has booked it all the same.
    Booked,
    /// The program found it too early, or above the rate: it is sent again when its time has come.
    Postponed,
    /// It was not booked; it is tried again.
    Failed,
}

/// What is counted of settlements.
pub(crate) struct SettlingMetrics {
    outcomes: [Counter; 4],
    settled: Counter,
    chained: Counter,
    pub(super) worker_silence: Gauge<f64, AtomicU64>,
}

impl SettlingMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let labels = ["confirmed", "booked", "postponed", "failed"];
        let outcomes = counters(registry, "settlements", "Settlements of signers", "outcome", labels);
        let settled = Counter::default();
        let help = "What settlements brought, as the chain has booked it";
        registry.register_with_unit("settled", help, base_units(), settled.clone());
        let chained = Counter::default();
        let help = "What was claimed into channels of suppliers";
        registry.register_with_unit("chained", help, base_units(), chained.clone());
        let worker_silence = Gauge::default();
        let help = "Since the settlement worker's last sign of life";
        registry.register_with_unit("worker_silence", help, Unit::Seconds, worker_silence.clone());
        Self { outcomes, settled, chained, worker_silence }
    }

    /// Counts a settlement that brought `paid`.
    pub(crate) fn count(&self, outcome: SettlementOutcome, paid: Amount) {
        use SettlementOutcome::{Booked, Confirmed, Failed, Postponed};
        let [confirmed, booked, postponed, failed] = &self.outcomes;
        let counter = match outcome {
            Confirmed => confirmed,
            Booked => booked,
            Postponed => postponed,
            Failed => failed,
        };
        counter.inc();
        self.settled.inc_by(paid.get());
    }

    /// So much was claimed into a supplier's channel.
    pub(crate) fn chained(&self, deposit: Amount) {
        self.chained.inc_by(deposit.get());
    }
}
