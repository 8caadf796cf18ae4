use std::sync::atomic::AtomicU64;

use amp_protocol::money::Amount;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::{Level, base_units};
use crate::server::books::Book;
use crate::server::service::Core;

/// Books that are gone over before other tasks have a turn: a hundred thousand take tens of milliseconds,
/// which requests on the same thread must not wait for.
const AT_ONCE: usize = 256;

/// What all books together say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Survey {
    /// Channels that are served.
    pub(crate) open: u64,
    /// Channels that gave out their close statement, or are about to.
    pub(crate) stopped: u64,
    /// Channels whose close was requested on chain.
    pub(crate) closing: u64,
    /// Requests that were admitted and not answered yet.
    pub(crate) in_flight: u64,
    /// Charged and on disk, and not settled.
    pub(crate) unsettled: Amount,
    /// The same with what is set aside for requests in flight.
    pub(crate) exposure: Amount,
    /// What of it can only be collected until a grace is over that runs.
    pub(crate) at_risk: Amount,
    /// What can't be collected any more, of channels that are still there.
    pub(crate) given_up: Amount,
    /// When (Unix seconds, the chain's) the first grace is over of those.
    pub(crate) first_grace_ends: Option<i64>,
}

impl Survey {
    fn add(&mut self, book: &Book) {
        let noted = book.noted();
        let (stake, in_flight, stopped) = {
            let ledger = book.ledger();
            (ledger.stake(), ledger.in_flight(), ledger.stopped_at.is_some())
        };
        let closing = noted.is_some_and(|noted| noted.closing);
        let channels = match (closing, stopped) {
            (true, _) => &mut self.closing,
            (false, true) => &mut self.stopped,
            (false, false) => &mut self.open,
        };
        *channels = channels.saturating_add(1);
        self.in_flight = self.in_flight.saturating_add(u64::try_from(in_flight).unwrap_or(u64::MAX));
        self.unsettled = sum(self.unsettled, stake.unsettled);
        self.exposure = sum(self.exposure, stake.exposure);
        self.given_up = sum(self.given_up, stake.given_up);
        // what was settled since the last look is not at risk any more
        let at_risk = noted.map_or(Amount::ZERO, |noted| noted.at_risk(stake.unsettled));
        if !at_risk.is_zero() {
            self.at_risk = sum(self.at_risk, at_risk);
            let ends = noted.and_then(|noted| noted.grace_ends);
            self.first_grace_ends = [self.first_grace_ends, ends].into_iter().flatten().min();
        }
    }
}

/// Past 64 bits the gauge stands still; no money depends on it.
fn sum(one: Amount, other: Amount) -> Amount {
    one.checked_add(other).unwrap_or(Amount::MAX)
}

impl Core {
    /// Goes over all books that have not ended, each locked by itself and for a moment.
    pub(crate) async fn survey(&self) -> Survey {
        let mut survey = Survey::default();
        for books in self.books.all().chunks(AT_ONCE) {
            books.iter().filter(|book| !book.has_ended()).for_each(|book| survey.add(book));
            tokio::task::yield_now().await;
        }
        survey
    }

    /// Seconds until the first grace is over in which something is to lose; infinite: none runs.
    fn grace_left(&self, survey: &Survey) -> f64 {
        let left = |ends: i64| ends.saturating_sub(self.time.now());
        #[allow(clippy::cast_precision_loss, reason = "seconds, for a chart")]
        survey.first_grace_ends.map_or(f64::INFINITY, |ends| left(ends) as f64)
    }
}

/// The survey as gauges.
pub(super) struct SurveyMetrics {
    channels: [Level; 3],
    in_flight: Level,
    amounts: [Level; 4],
    grace_left: Gauge<f64, AtomicU64>,
}

impl SurveyMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let family = Family::<[(&'static str, &'static str); 1], Level>::default();
        registry.register("channels", "Channels with books, by state", family.clone());
        let states = ["open", "stopped", "closing"];
        let channels = states.map(|state| family.get_or_create_owned(&[("state", state)]));
        let in_flight = Level::default();
        registry.register("requests_in_flight", "Requests admitted and not answered yet", in_flight.clone());
        let amounts = [
            ("unsettled", "Charged and on disk, and not settled yet"),
            ("exposure", "The same, with what is set aside for requests in flight"),
            ("at_risk", "What of the unsettled is lost unless it is settled within a grace that runs"),
            ("given_up", "What can't be collected any more, of channels that are still there"),
        ];
        let amounts = amounts.map(|(name, help)| {
            let level = Level::default();
            registry.register_with_unit(name, help, base_units(), level.clone());
            level
        });
        let grace_left = Gauge::default();
        let help = "Until the first grace is over in which something is to lose; infinite: there is none";
        registry.register_with_unit("grace_left", help, Unit::Seconds, grace_left.clone());
        Self { channels, in_flight, amounts, grace_left }
    }

    pub(super) fn set(&self, core: &Core, survey: &Survey) {
        let states = [survey.open, survey.stopped, survey.closing];
        for (gauge, value) in self.channels.iter().zip(states) {
            gauge.set(value);
        }
        self.in_flight.set(survey.in_flight);
        let amounts = [survey.unsettled, survey.exposure, survey.at_risk, survey.given_up];
        for (gauge, amount) in self.amounts.iter().zip(amounts) {
            gauge.set(amount.get());
        }
        self.grace_left.set(core.grace_left(survey));
    }
}
