use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Version;
use tokio::time::{Instant, sleep_until};

/// Whether a connection does anything, and since when it does not: no request is under way, and nothing of an
/// answer waits for its client to take it.
pub(super) struct Busy(Mutex<State>);

struct State {
    requests: usize,
    blocked: bool,
    since: Instant,
    /// A head is waited for that is the first, or has begun to come; otherwise the next one.
    head: bool,
    /// What comes while no request is under way need not be a head: pings are answered, windows opened.
    is_multiplexed: bool,
}

/// How long a connection may be idle.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    /// Until the first head has come whole, or the next one that has begun.
    pub(super) head: Duration,
    /// Until the next head begins. What came of it along with the request before was not seen to begin.
    pub(super) next: Duration,
}

impl Default for Busy {
    fn default() -> Self {
        let since = Instant::now();
        Self(Mutex::new(State { requests: 0, blocked: false, since, head: true, is_multiplexed: false }))
    }
}

impl Busy {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request has come whole, as far as its head goes.
    pub(super) fn begin(self: &Arc<Self>, version: Version) -> UnderWay {
        let mut state = self.lock();
        state.requests = state.requests.saturating_add(1);
        state.head = false;
        state.is_multiplexed = version == Version::HTTP_2;
        UnderWay(self.clone())
    }

    /// Something has come.
    pub(super) fn read(&self) {
        let mut state = self.lock();
        if state.requests == 0 && !state.head && !state.is_multiplexed {
            state.head = true;
            state.since = Instant::now();
        }
    }

    /// Whether the client has yet to take something before more can be sent.
    pub(super) fn blocked(&self, blocked: bool) {
        let mut state = self.lock();
        if state.blocked && !blocked {
            state.since = Instant::now();
        }
        state.blocked = blocked;
    }

    /// Returns when it has been idle for so long, and `more`, without a break.
    pub(super) async fn idle_for(&self, patience: Patience, more: Duration) {
        let Patience { head, next } = patience;
        loop {
            let now = Instant::now();
            let (since, limit) = {
                let state = self.lock();
                let since = if state.requests > 0 || state.blocked { now } else { state.since };
                (since, if state.head { head } else { next })
            };
            let until = since.checked_add(limit.saturating_add(more)).unwrap_or(now);
            if until <= now {
                return;
            }
            // a head, or a time without a request, that begins meanwhile is looked at before its own time is over
            let look = now.checked_add(head.min(next)).unwrap_or(until);
            sleep_until(until.min(look)).await;
        }
    }
}

/// A request, until the whole of its answer is on its way, or nobody waits for it any more.
pub(super) struct UnderWay(Arc<Busy>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.requests = state.requests.saturating_sub(1);
        state.since = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(50);
    const LONG: Duration = Duration::from_millis(300);
    const NEVER: Duration = Duration::from_secs(3_600);

    async fn ends_after(busy: &Busy, head: Duration, next: Duration) -> bool {
        let idle = busy.idle_for(Patience { head, next }, Duration::ZERO);
        tokio::time::timeout(LONG, idle).await.is_ok()
    }

    async fn ends(busy: &Busy) -> bool {
        ends_after(busy, LIMIT, LIMIT).await
    }

    #[tokio::test]
    async fn the_next_request_has_another_limit_than_a_head_that_has_begun() {
        let busy = Arc::new(Busy::default());
        busy.read();
        assert!(ends_after(&busy, LIMIT, NEVER).await, "its first head does not come");
        drop(busy.begin(Version::HTTP_11));
        assert!(!ends_after(&busy, LIMIT, NEVER).await, "it waits for the next request");
        assert!(ends_after(&busy, NEVER, LIMIT).await);
        busy.read();
        assert!(ends_after(&busy, LIMIT, NEVER).await, "the next head does not end");
        drop(busy.begin(Version::HTTP_2));
        busy.read();
        assert!(!ends_after(&busy, LIMIT, NEVER).await, "it has answered a ping");
    }

    #[tokio::test]
    async fn a_connection_is_idle_when_nothing_is_under_way_and_nothing_waits_to_be_taken() {
        let busy = Arc::new(Busy::default());
        assert!(ends(&busy).await, "it sends no request");
        let (one, other) = (busy.begin(Version::HTTP_11), busy.begin(Version::HTTP_11));
        drop(one);
        assert!(!ends(&busy).await, "one of two is under way");
        busy.blocked(true);
        drop(other);
        assert!(!ends(&busy).await, "its client has not taken all");
        busy.blocked(false);
        assert!(ends(&busy).await);
    }
}
