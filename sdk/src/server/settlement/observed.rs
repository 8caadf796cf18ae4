use amp_protocol::money::Amount;
use tracing::field::{Empty, display};
use tracing::{Instrument as _, debug_span, info_span};

use super::visit::{Report, Visit};
use crate::server::metrics::SettlementOutcome::{Booked, Confirmed, Failed, Postponed};
use crate::server::service::Core;
use crate::server::store::Incarnation;

/// A look within its span, with what came of it. Looks come as often as there are channels and watches.
pub(super) async fn look(channel: Incarnation, look: impl Future<Output = Report>) -> Report {
    let span = debug_span!("amp.look", %channel, outcome = Empty, grace_ends = Empty);
    let report = look.instrument(span.clone()).await;
    span.record("outcome", outcome(&report.visit));
    if let Some(ends) = report.grace_ends {
        span.record("grace_ends", ends);
    }
    report
}

/// The settling of several channels within its span, with what came of it. Which channels, its events tell.
pub(super) async fn settle(channels: usize, settle: impl Future<Output = Vec<Report>>) -> Vec<Report> {
    let span = info_span!("amp.settle", channels, settled = Empty, failed = Empty, paid = Empty);
    let reports = settle.instrument(span.clone()).await;
    let mut paid = reports.iter().filter_map(|report| match &report.visit {
        Visit::Settled(settled) | Visit::More(settled) => Some(settled.paid),
        _ => None,
    });
    span.record("settled", paid.clone().count());
    span.record("failed", reports.iter().filter(|report| matches!(report.visit, Visit::Failed(_))).count());
    span.record("paid", display(paid.try_fold(Amount::ZERO, Amount::checked_add).unwrap_or(Amount::MAX)));
    reports
}

fn outcome(visit: &Visit) -> &'static str {
    match visit {
        Visit::Idle => "idle",
        Visit::Due => "due",
        Visit::Settled(_) => "settled",
        Visit::More(_) => "more",
        Visit::Wait { .. } => "wait",
        Visit::Failed(_) => "failed",
        Visit::Gone => "gone",
    }
}

/// A signer was settled; `seen` says whether its transaction was seen confirmed.
pub(super) fn settled(core: &Core, paid: Amount, seen: bool) {
    core.metrics.settling.count(if seen { Confirmed } else { Booked }, paid);
}

/// A signer was not settled.
pub(super) fn not_settled(core: &Core, why: &Visit) {
    let outcome = if let Visit::Wait { .. } = why { Postponed } else { Failed };
    core.metrics.settling.count(outcome, Amount::ZERO);
}

/// The settling of so many channels panicked, or took too long.
pub(super) fn broken_off(core: &Core, channels: usize) {
    for _ in 0..channels {
        core.metrics.settling.count(Failed, Amount::ZERO);
    }
}
