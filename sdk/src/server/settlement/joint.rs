use std::sync::Arc;
use std::time::Duration;

use amp_protocol::message::Key;
use futures::FutureExt as _;
use futures::future::join_all;
use futures::stream::{FuturesUnordered, StreamExt as _};
use tokio::time::Instant;

use super::pack::{any_is_due, take};
use super::part::Part;
use super::plan::Urgency;
use super::settler::{sender, settle};
use super::visit::{Report, VISIT_LIFE, Visit, too_slow, unfinished};
use crate::chain::{self, ChainError};
use crate::server::books::Book;
use crate::server::denial::Denial;
use crate::server::service::Core;
use crate::server::views::in_time;

/// Visits several channels at once: settles what is due, of all of them together where it fits into a
/// transaction, closes what is overdue, notices what is gone. A report for each, in their order.
///
/// Transactions are sent one after the other, each decided on what the one before has left: two on their way
/// at once could use the same room in a channel's window.
pub(crate) async fn settle_together(core: &Core, jobs: Vec<(Arc<Book>, Urgency)>) -> Vec<Report> {
    let until = deadline();
    core.format.look(&*core.chain).await;
    let mut reports: Vec<Report> = jobs.iter().map(|_| unfinished().into()).collect();
    let channels: Vec<Key> = jobs.iter().map(|(book, _)| book.incarnation.channel).collect();
    let read = match core.time.sync(&*core.chain).await {
        Ok(_) => core.channels.read_all(&channels).await,
        Err(error) => Err(error),
    };
    let views = match read {
        Ok(views) => views,
        Err(error) => {
            reports.fill_with(|| Visit::Failed(Denial::chain(&error)).into());
            return reports;
        }
    };
    let all = jobs.into_iter().zip(views).enumerate();
    let mut assessing: FuturesUnordered<_> = all
        .map(async |(job, ((book, urgency), read))| (job, Part::assess(core, book, urgency, read).await))
        .collect();
    let mut ready = Vec::new();
    while let Some(assessed) = assessing.next().await {
        let mut assessed = Some(assessed);
        while let Some((job, one)) = assessed {
            match (one, reports.get_mut(job)) {
                (Ok(part), _) => ready.push((job, part)),
                (Err(report), Some(place)) => *place = report,
                (Err(_), None) => {}
            }
            assessed = assessing.next().now_or_never().flatten();
        }
        // where a grace runs, nothing waits for what is still read of other channels
        let a_grace_runs = ready.iter().any(|(_, part)| part.grace_ends.is_some());
        if !a_grace_runs && !assessing.is_empty() {
            continue;
        }
        // the one that is over first goes first, then who came first
        ready.sort_by_key(|(job, part)| (part.grace_ends.unwrap_or(i64::MAX), *job));
        let (places, mut parts): (Vec<usize>, Vec<Part>) = ready.drain(..).unzip();
        collect(core, &mut parts, until).await;
        let concluded = join_all(parts.into_iter().map(|part| part.conclude(core, Some(until)))).await;
        for (place, report) in places.into_iter().zip(concluded) {
            if let Some(place) = reports.get_mut(place) {
                *place = report;
            }
        }
    }
    reports
}

fn deadline() -> Instant {
    let now = Instant::now();
    now.checked_add(VISIT_LIFE).unwrap_or(now)
}

/// Settles what is due. A claim that can't be settled holds up no other for long: where a transaction is
/// refused, each of its claims is tried alone.
async fn collect(core: &Core, parts: &mut [Part], until: Instant) {
    let sender = sender(core);
    let mut mints: Vec<Key> = parts.iter().map(|part| part.account.mint).collect();
    mints.dedup();
    for mint in mints {
        while any_is_due(parts, mint, core.time.now()) {
            if Instant::now() >= until {
                end(parts, mint, |part| too_slow(&part.book));
                break;
            }
            // lamports that a stranger sent there are no token account
            let create_payout = match has_token_account(core, &sender.payout_account(mint)).await {
                Ok(exists) => !exists,
                Err(error) => {
                    end(parts, mint, |_| Visit::Failed(Denial::chain(&error)));
                    break;
                }
            };
            let pack = take(parts, &sender, mint, create_payout, core.time.now());
            if pack.is_empty() {
                break;
            }
            settle(core, parts, pack, create_payout, until).await;
        }
    }
    for part in parts {
        // notes what the rest waits for
        part.is_due(core.time.now());
    }
}

async fn has_token_account(core: &Core, address: &solana_address::Address) -> Result<bool, ChainError> {
    in_time(chain::has_token_account(&*core.chain, address)).await
}

/// Nothing more of this mint is settled.
fn end(parts: &mut [Part], mint: Key, failed: impl Fn(&Part) -> Visit) {
    let of_mint = parts.iter_mut().filter(|part| part.account.mint == mint && !part.claims.is_empty());
    for part in of_mint {
        part.collected.failed = Some(failed(part));
        part.claims.clear();
    }
}

/// How long an attempt may take before it is taken for dead: it ends by itself long before.
pub(super) const DEAD_AFTER: Duration = VISIT_LIFE.saturating_mul(2);
