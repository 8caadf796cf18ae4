//! What the chain tells by itself, and what is done when it can be reached again.
//!
//! A change of a channel is taken into the views (see [`Views::told`](super::views::Views::told) for the order of
//! what is told and what is read), and one that closes wakes the settlement worker. None of that is relied
//! upon: a subscription can end or leave something out without a word, and most nodes tell of no channel that is
//! gone. The worker looks at every channel once per `watch_interval` whatever is told, and besides
//!
//! - when a subscription has begun: what happened before it nobody told;
//! - when the chain answers again after a while.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};

use super::channels::Channel;
use super::clock::pause;
use super::service::Core;
use super::settlement::Noticing;
use super::views::in_time;
use crate::chain::{ChannelChange, as_channel};

/// A subscription that lasted for so long has not failed at once.
const LASTED: Duration = Duration::from_secs(60);
/// How often a chain that does not answer is asked whether it does.
const PROBE_EVERY: Duration = Duration::from_secs(2);
/// How long the chain must have been away for all channels to be looked at when it is back. A look that failed
/// in less is made again by itself; a node that refuses one request in a hundred must not be asked for
/// everything each time.
const AWAY_LONG: Duration = Duration::from_secs(10);

/// Tasks that follow the chain, until this is dropped.
pub(crate) struct Following {
    told: AbortHandle,
    reached: AbortHandle,
}

impl Following {
    pub(crate) fn spawn(core: &Arc<Core>, worker: &Noticing) -> Self {
        let told = tokio::spawn(listen(core.clone(), worker.clone()));
        let reached = tokio::spawn(wait_for_outages(core.clone(), worker.clone()));
        Self { told: told.abort_handle(), reached: reached.abort_handle() }
    }

    /// Nothing is told any more. Whether the chain answers matters as long as requests come.
    pub(crate) fn end_subscription(&self) {
        self.told.abort();
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.told.abort();
        self.reached.abort();
    }
}

/// Subscribes, as often as it takes.
async fn listen(core: Arc<Core>, worker: Noticing) {
    let mut failures = 0_u32;
    loop {
        let began = Instant::now();
        match core.chain.watch_channels(&core.program_id, &core.recipient).await {
            Ok(None) => return,
            Ok(Some(mut changes)) => {
                tracing::info!("subscribed to the changes of channels");
                let _subscribed = Subscribed::to(&core);
                if worker.look_at_all().await.is_none() {
                    return;
                }
                while let Some(change) = changes.next().await {
                    if take(&core, &worker, change).await.is_none() {
                        return;
                    }
                }
                tracing::warn!("the subscription to channels ended; until it stands again they are polled");
            }
            Err(error) => tracing::warn!(%error, "no subscription to channels; they are polled"),
        }
        failures = if began.elapsed() >= LASTED { 0 } else { failures.saturating_add(1) };
        sleep(pause(failures)).await;
    }
}

/// Shows in the metrics for as long as the subscription stands.
struct Subscribed<'a>(&'a Core);

impl<'a> Subscribed<'a> {
    fn to(core: &'a Core) -> Self {
        core.metrics.chain.subscribed(true);
        Self(core)
    }
}

impl Drop for Subscribed<'_> {
    fn drop(&mut self) {
        self.0.metrics.chain.subscribed(false);
    }
}

/// Takes a change in; `None`: the service has ended.
async fn take(core: &Core, worker: &Noticing, change: ChannelChange) -> Option<()> {
    let ChannelChange { address, account, slot } = change;
    // whatever a node tells: bytes that look like a channel prove nothing. What can't be read now can't be later
    // either: the next look says why
    let Ok(account) = as_channel(&core.program_id, &address, account) else { return Some(()) };
    if account.as_ref().is_some_and(|account| account.recipient != core.recipient.to_bytes()) {
        return Some(());
    }
    let channel = address.to_bytes();
    let ends = account.as_ref().is_none_or(|account| account.books.closing);
    let served = core.books.of(channel).iter().any(|book| !book.has_ended());
    core.channels.told(channel, account.map(Channel::new).map(Arc::new), slot, served);
    if served && ends { worker.notice(channel).await } else { Some(()) }
}

/// Has all channels looked at when the chain is back after a while.
async fn wait_for_outages(core: Arc<Core>, worker: Noticing) {
    let mut away = core.outage.changes();
    loop {
        let Ok(since) = away.wait_for(Option::is_some).await.map(|since| *since) else { return };
        tracing::warn!("the chain does not answer");
        while core.outage.is_away() {
            sleep(PROBE_EVERY).await;
            // its answer is noted where it is asked for
            let _ = in_time(core.time.sync(&*core.chain)).await;
        }
        let away_for = since.map(|since| since.elapsed()).unwrap_or_default();
        tracing::info!(seconds = away_for.as_secs(), "the chain answers again");
        if away_for >= AWAY_LONG {
            // the worker may have ended: requests are still answered
            let _ = worker.look_at_all().await;
        }
    }
}
