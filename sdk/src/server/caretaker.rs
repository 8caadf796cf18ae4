//! What a service does about its store by and by: answers that are old are forgotten, and where processes share
//! the store this one tells that it lives, and sees what the others serve.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::clock::unix_now;
use super::service::Core;
use super::store::{ALIVE_EVERY, Incarnation, SharedStore, Stamp, StoreError};

const OFTEN: Duration = Duration::from_secs(ALIVE_EVERY);
/// How often old answers are looked for.
const SELDOM: Duration = Duration::from_secs(600);
/// Books that are read anew at once.
const REFRESHES: usize = 64;

/// Goes on until the service is dropped.
pub(crate) async fn run(core: Weak<Core>) {
    let mut ticks = interval(OFTEN);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut forgot: Option<Instant> = None;
    loop {
        ticks.tick().await;
        let Some(core) = core.upgrade() else { return };
        if let Some(shared) = core.store.shared() {
            let leads = shared.stay_alive(!core.is_retired()).await.unwrap_or_else(|error| {
                tracing::error!(%error, "the store was not told that this process lives");
                // it may be another's turn meanwhile; two that settle the same do no harm
                false
            });
            core.set_leading(leads);
        }
        if forgot.is_none_or(|forgot| forgot.elapsed() >= SELDOM) {
            forgot = Some(Instant::now());
            if let Some(shared) = core.store.shared().filter(|_| !core.is_leading())
                && let Err(error) = core.forget_ended(shared).await
            {
                tracing::warn!(%error, "books of closed channels were not forgotten");
            }
            let age = i64::try_from(core.config.keep_answers.as_secs()).unwrap_or(i64::MAX);
            if let Err(error) = core.store.forget_answers(unix_now().saturating_sub(age)).await {
                tracing::warn!(%error, "old answers were not forgotten");
            }
        }
    }
}

impl Core {
    /// Ends the books of channels that another process has seen gone. Returns all others that are stored.
    async fn forget_ended(
        &self,
        shared: &dyn SharedStore,
    ) -> Result<HashMap<Incarnation, Stamp>, StoreError> {
        // those that are stored by now: one that is opened while the store is asked is not ended by that
        let mut known = self.books.active();
        known.retain(|book| book.turns().seen() != Stamp::NONE);
        let stamps: HashMap<Incarnation, Stamp> = shared.stamps().await?.into_iter().collect();
        for book in known {
            if !stamps.contains_key(&book.incarnation) {
                book.end();
            }
        }
        Ok(stamps)
    }

    /// Takes up what other processes have served since the last time, so that the worker collects it.
    pub(crate) async fn catch_up(self: &Arc<Self>) -> Result<(), StoreError> {
        let Some(shared) = self.store.shared() else { return Ok(()) };
        let stamps = self.forget_ended(shared).await?;
        let changed: Vec<Incarnation> = stamps
            .into_iter()
            .filter(|(incarnation, stamp)| {
                let book = self.books.find(incarnation);
                book.is_none_or(|book| book.turns().seen() != *stamp || book.has_ended())
            })
            .map(|(incarnation, _)| incarnation)
            .collect();
        for some in changed.chunks(REFRESHES) {
            // what another process has seen gone and then served again is there
            let books = some.iter().map(|incarnation| self.books.open(*incarnation));
            let refreshes = books.map(|book| async move {
                // one that can't be read keeps nothing from being done about the others
                if let Err(error) = self.refresh(&book).await {
                    tracing::error!(%error, channel = %book.incarnation, "its books are not known");
                }
            });
            futures::future::join_all(refreshes).await;
        }
        Ok(())
    }
}
