//! Streams of HTTP/2. The connection's own timers don't see one that its client takes nothing of: a window that is never
//! opened costs the client nothing, answers to pings go on, and behind each such answer is a connection to the API.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::rt::Executor;
use tokio::task_local;
use tokio::time::{Instant, sleep_until};

task_local! {
    static TAKING: Arc<Taking>;
}

/// Runs each stream, until its client has taken nothing of its answer for too long. The others of its connection go on:
/// behind a proxy they are other people's.
#[derive(Clone)]
pub(super) struct Streams {
    pub(super) idle: Duration,
}

impl<F> Executor<F> for Streams
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, stream: F) {
        let (taking, idle) = (Arc::new(Taking::default()), self.idle);
        let serving = TAKING.scope(taking.clone(), stream);
        tokio::spawn(async move {
            tokio::select! {
                biased;
                _ = serving => {}
                // dropped, it is reset
                () = taking.stopped(idle) => tracing::debug!("a client took nothing of an answer"),
            }
        });
    }
}

/// Whether a stream's client takes what it is sent.
#[derive(Default)]
pub(super) struct Taking(Mutex<Option<Instant>>);

impl Taking {
    /// That of the stream whose task this is; none on HTTP/1, where the connection says it.
    pub(super) fn of_this_stream() -> Option<Arc<Self>> {
        TAKING.try_with(Clone::clone).ok()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There is room for more, and it is the API's turn.
    pub(super) fn asked(&self) {
        *self.lock() = None;
    }

    /// A piece was handed out; what is asked for next says that it was taken.
    pub(super) fn handed(&self) {
        *self.lock() = Some(Instant::now());
    }

    /// Returns when a piece has not been taken for so long.
    pub(super) async fn stopped(&self, limit: Duration) {
        loop {
            let now = Instant::now();
            // one that is handed out while this sleeps is looked at before its time is over
            let since = self.lock().unwrap_or(now);
            let until = since.checked_add(limit).unwrap_or(now);
            if until <= now {
                return;
            }
            sleep_until(until).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::sync::oneshot;
    use tokio::time::{sleep, timeout};

    use super::*;

    const IDLE: Duration = Duration::from_millis(50);
    const LONG: Duration = Duration::from_millis(300);

    #[tokio::test]
    async fn a_stream_ends_whose_piece_is_not_taken_and_one_that_waits_for_the_api_does_not() {
        for is_handed in [false, true] {
            let (alive, ended) = oneshot::channel::<()>();
            Streams { idle: IDLE }.execute(async move {
                let _alive = alive;
                let taking = Taking::of_this_stream().unwrap();
                taking.handed();
                sleep(IDLE / 10).await;
                taking.asked();
                if is_handed {
                    taking.handed();
                }
                pending::<()>().await;
            });
            assert_eq!(timeout(LONG, ended).await.is_ok(), is_handed);
        }
        assert!(Taking::of_this_stream().is_none(), "this is no stream");
    }
}
