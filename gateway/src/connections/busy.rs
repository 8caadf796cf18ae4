use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, sleep_until};

/// Whether a connection does anything, and since when it does not: no request is under way, and nothing of an
/// answer waits for its client to take it.
pub(super) struct Busy(Mutex<State>);

struct State {
    requests: usize,
    blocked: bool,
    since: Instant,
}

impl Default for Busy {
    fn default() -> Self {
        Self(Mutex::new(State { requests: 0, blocked: false, since: Instant::now() }))
    }
}

impl Busy {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request has come whole, as far as its head goes.
    pub(super) fn begin(self: &Arc<Self>) -> UnderWay {
        let mut state = self.lock();
        state.requests = state.requests.saturating_add(1);
        UnderWay(self.clone())
    }

    /// Whether the client has yet to take something before more can be sent.
    pub(super) fn blocked(&self, blocked: bool) {
        let mut state = self.lock();
        if state.blocked && !blocked {
            state.since = Instant::now();
        }
        state.blocked = blocked;
    }

    /// Returns when it has been idle for so long without a break.
    pub(super) async fn idle_for(&self, limit: Duration) {
        loop {
            let now = Instant::now();
            let since = {
                let state = self.lock();
                if state.requests > 0 || state.blocked { now } else { state.since }
            };
            let until = since.checked_add(limit).unwrap_or(now);
            if until <= now {
                return;
            }
            sleep_until(until).await;
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

/// The body of an answer: as long as it is there, so is the request.
pub(super) struct Counted {
    body: Body,
    _under_way: UnderWay,
}

impl Counted {
    pub(super) fn new(body: Body, under_way: UnderWay) -> Self {
        Self { body, _under_way: under_way }
    }
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(50);

    async fn ends(busy: &Busy) -> bool {
        tokio::time::timeout(Duration::from_millis(300), busy.idle_for(LIMIT)).await.is_ok()
    }

    #[tokio::test]
    async fn a_connection_is_idle_when_nothing_is_under_way_and_nothing_waits_to_be_taken() {
        let busy = Arc::new(Busy::default());
        assert!(ends(&busy).await, "it sends no request");
        let (one, other) = (busy.begin(), busy.begin());
        drop(one);
        assert!(!ends(&busy).await, "one of two is under way");
        busy.blocked(true);
        drop(other);
        assert!(!ends(&busy).await, "its client has not taken all");
        busy.blocked(false);
        assert!(ends(&busy).await);
    }
}
