use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use amp_protocol::message::Key;
use futures::FutureExt as _;
use solana_address::Address;
use tokio::time::timeout;

use super::chain::{self, ChainingError, SubChannel};
use super::handle::{ChainReply, Reply};
use super::joint::{DEAD_AFTER, settle_together};
use super::observed;
use super::plan::Urgency;
use super::visit::{Report, Settled, VISIT_LIFE, Visit, look};
use super::watch::{Batch, Glance, Sighting, glance};
use crate::chain::ChainError;
use crate::server::books::Book;
use crate::server::denial::Denial;
use crate::server::service::Core;
use crate::server::store::StoreError;

/// A look at a channel.
pub(super) struct Look {
    pub(super) book: Arc<Book>,
    pub(super) urgency: Urgency,
    /// The channel as the watch has just seen it.
    pub(super) seen: Option<Sighting>,
}

/// A settlement that is to be made.
pub(super) struct Job {
    pub(super) book: Arc<Book>,
    pub(super) urgency: Urgency,
    /// Who asked for it; none: a look did.
    pub(super) reply: Option<Reply>,
    /// What earlier visits brought to whoever asked.
    pub(super) so_far: Option<Settled>,
}

/// What is sent for a channel.
pub(super) enum Act {
    Settle(Job),
    Chain { book: Arc<Book>, asked: SubChannel, reply: ChainReply },
}

/// A task that has ended.
pub(super) enum Done {
    /// None: it could not be read.
    Watch(Batch, Option<Vec<Glance>>),
    Look {
        book: Arc<Book>,
        urgency: Urgency,
        report: Report,
    },
    /// Several channels at once.
    Settle(Vec<(Job, Report)>),
    Chain(Key),
    /// The books hold what other processes have served.
    CaughtUp(Result<(), StoreError>),
}

/// What runs beside the worker.
pub(super) enum Task {
    Watch(Batch),
    Look(Look),
    Settle(Vec<Job>),
    Chain(Arc<Book>, SubChannel, ChainReply),
    /// Reads what other processes on the same store have served.
    CatchUp,
}

impl Task {
    /// Neither panics nor lasts for ever: a chain, signer or store that does must not end the collecting for
    /// all channels.
    pub(super) async fn run(self, core: Arc<Core>) -> Done {
        match self {
            Self::Watch(batch) => {
                let read = attempt(VISIT_LIFE, glance(&core, &batch)).await;
                if let Ok(Err(error)) = &read {
                    tracing::warn!(%error, "channels could not be read; it will be tried again");
                }
                Done::Watch(batch, read.ok().and_then(Result::ok))
            }
            Self::Look(Look { book, urgency, seen }) => {
                let look = observed::look(book.incarnation, look(&core, book.clone(), urgency, seen));
                let looked = attempt(VISIT_LIFE, look).await;
                let report = looked.unwrap_or_else(|denial| Visit::Failed(denial).into());
                Done::Look { book, urgency, report }
            }
            Self::Settle(jobs) => {
                let wanted = jobs.iter().map(|job| (job.book.clone(), job.urgency)).collect();
                let failed = |denial: Denial| {
                    observed::broken_off(&core, jobs.len());
                    jobs.iter().map(|_| Visit::Failed(denial.clone()).into()).collect()
                };
                let settle = observed::settle(jobs.len(), settle_together(&core, wanted));
                let reports: Vec<Report> = attempt(DEAD_AFTER, settle).await.unwrap_or_else(failed);
                Done::Settle(jobs.into_iter().zip(reports).collect())
            }
            Self::Chain(book, asked, reply) => {
                let channel = book.incarnation.channel;
                let chained = attempt(DEAD_AFTER, chain::chain(&core, &book, &asked)).await;
                let _ = reply.send(chained.unwrap_or_else(|_| Err(interrupted(channel))));
                Done::Chain(channel)
            }
            Self::CatchUp => {
                let slow = |_| Err(StoreError("it took too long".into()));
                Done::CaughtUp(attempt(VISIT_LIFE, core.catch_up()).await.unwrap_or_else(slow))
            }
        }
    }
}

async fn attempt<T>(life: Duration, visit: impl Future<Output = T>) -> Result<T, Denial> {
    let failed = |message| Err(Denial::unavailable(message));
    match timeout(life, AssertUnwindSafe(visit).catch_unwind()).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(_)) => failed("the settlement failed; it will be tried again"),
        Err(_) => {
            tracing::warn!("a visit took too long");
            failed("the settlement took too long; it will be tried again")
        }
    }
}

fn interrupted(upstream: Key) -> ChainingError {
    let error = Box::new(ChainError::Unreachable("the attempt ended unexpectedly".to_owned()));
    ChainingError::Chain { channel: Address::from(upstream), error }
}
