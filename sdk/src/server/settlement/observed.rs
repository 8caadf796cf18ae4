use amp_protocol::money::Amount;
use tracing::field::{Empty, display};
use tracing::{Instrument as _, debug_span, info_span};

use super::visit::{Reach, Report, Visit};
use crate::server::books::Book;
use crate::server::metrics::SettlementOutcome::{Booked, Confirmed, Failed, Postponed};
use crate::server::service::Core;

/// A visit within its span, with what came of it. Looks come as often as there are channels and watches.
pub(super) async fn visit(book: &Book, reach: Reach, visit: impl Future<Output = Report>) -> Report {
    let channel = &book.incarnation;
    let span = match reach {
        Reach::Look => debug_span!("amp.look", %channel, outcome = Empty, grace_ends = Empty),
        Reach::Act => info_span!("amp.settle", %channel, outcome = Empty, paid = Empty, grace_ends = Empty),
    };
    let report = visit.instrument(span.clone()).await;
    span.record("outcome", outcome(&report.visit));
    if let Visit::Settled(settled) | Visit::More(settled) = &report.visit {
        span.record("paid", display(settled.paid));
    }
    if let Some(ends) = report.grace_ends {
        span.record("grace_ends", ends);
    }
    report
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

/// A visit panicked, or took too long.
pub(super) fn broken_off(core: &Core, reach: Reach) {
    if reach == Reach::Act {
        core.metrics.settling.count(Failed, Amount::ZERO);
    }
}
