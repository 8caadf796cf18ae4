//! What a service counts of itself, as Prometheus reads it.
//!
//! Each service has a registry of its own: two in one process don't mix. What happens per request is a few
//! atomic additions and three histograms, without an allocation; what can be read from the books is read
//! when somebody asks for it ([`survey`]). No label names a channel or a signer: clients choose those.
//!
//! Each metric is described in docs/operating.md, and a test holds that page against this registry.

mod chain;
mod labels;
mod observed;
mod outcome;
mod requests;
mod settling;
mod survey;

use std::sync::Arc;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::service::AmpService;

pub(crate) use chain::MeteredChain;
pub(crate) use observed::Observed;
pub(crate) use outcome::Outcome;
pub(crate) use settling::SettlementOutcome;

use chain::ChainMetrics;
use requests::RequestMetrics;
use settling::SettlingMetrics;
use survey::SurveyMetrics;

/// A gauge of what is never below zero.
type Level = Gauge<u64, std::sync::atomic::AtomicU64>;

/// The metrics of one service.
pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) requests: RequestMetrics,
    pub(crate) settling: SettlingMetrics,
    pub(crate) chain: ChainMetrics,
    survey: SurveyMetrics,
    health: HealthMetrics,
    /// One pass over the books at a time, however many ask.
    asked: tokio::sync::Mutex<()>,
}

/// Health, for alerts of whoever does not probe.
struct HealthMetrics {
    live: Level,
    ready: Level,
    lamports: Level,
}

impl Metrics {
    /// Those of a service that begins.
    pub(crate) fn begin() -> Arc<Self> {
        let mut registry = Registry::with_prefix("amp");
        let requests = RequestMetrics::register(&mut registry);
        let settling = SettlingMetrics::register(&mut registry);
        let chain = ChainMetrics::register(&mut registry);
        let survey = SurveyMetrics::register(&mut registry);
        let health = HealthMetrics::register(&mut registry);
        Arc::new(Self {
            registry,
            requests,
            settling,
            chain,
            survey,
            health,
            asked: tokio::sync::Mutex::default(),
        })
    }
}

impl HealthMetrics {
    fn register(registry: &mut Registry) -> Self {
        let [live, ready, lamports] = [(); 3].map(|()| Level::default());
        registry.register("live", "Whether the settlement worker runs: 1, or 0", live.clone());
        registry.register("ready", "Whether requests should be sent here: 1, or 0", ready.clone());
        let help = "What the recipient's key has to pay for transactions, as it was last read";
        registry.register_with_unit("recipient", help, lamport_unit(), lamports.clone());
        Self { live, ready, lamports }
    }
}

/// Base units of the accepted mint.
fn base_units() -> Unit {
    Unit::Other("base_units".to_owned())
}

fn lamport_unit() -> Unit {
    Unit::Other("lamports".to_owned())
}

impl AmpService {
    /// The service's metrics in the OpenMetrics text format, as Prometheus scrapes it; see
    /// docs/operating.md. It goes over all channels once, a few hundred at a time.
    pub async fn metrics(&self) -> String {
        let metrics = &self.core.metrics;
        let _one_at_a_time = metrics.asked.lock().await;
        let health = self.health().await;
        metrics.health.live.set(health.live.ok.into());
        metrics.health.ready.set(health.ready.ok.into());
        metrics.health.lamports.set(self.core.vitals.lamports());
        let survey = self.core.survey().await;
        metrics.survey.set(&self.core, &survey);
        metrics.settling.worker_silence.set(self.core.vitals.worker_silence().as_secs_f64());
        metrics.chain.note_silence();
        let mut text = String::new();
        if encode(&mut text, &metrics.registry).is_err() {
            // cut off before its end mark, which tells whoever reads it
            tracing::error!("the metrics could not be written");
        }
        text
    }
}
