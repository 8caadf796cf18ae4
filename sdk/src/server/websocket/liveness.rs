use std::sync::Mutex;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::server::views::lock;

/// When the client was heard last. Nothing is, while nothing is read: that is no fault of the client's.
pub(super) struct Liveness(Mutex<Option<Instant>>);

impl Liveness {
    pub(super) fn begin() -> Self {
        Self(Mutex::new(Some(Instant::now())))
    }

    /// Something came.
    pub(super) fn heard(&self) {
        *lock(&self.0) = Some(Instant::now());
    }

    /// Nothing is read for now.
    pub(super) fn deaf(&self) {
        *lock(&self.0) = None;
    }

    /// Returns when nothing has come for so long.
    pub(super) async fn silent_for(&self, limit: Duration) {
        loop {
            let now = Instant::now();
            let since = lock(&self.0).unwrap_or(now);
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
    use super::*;
    use tokio::time::{sleep, timeout};

    #[tokio::test(start_paused = true)]
    async fn a_client_is_silent_when_nothing_came_though_something_could() {
        let (limit, liveness) = (Duration::from_secs(60), Liveness::begin());
        let silent = async |within: u64| {
            timeout(Duration::from_secs(within), liveness.silent_for(limit)).await.is_ok()
        };
        assert!(!silent(59).await);
        liveness.heard();
        assert!(!silent(59).await);
        liveness.deaf();
        assert!(!silent(600).await);
        sleep(Duration::from_secs(1)).await;
        liveness.heard();
        assert!(!silent(59).await);
        assert!(silent(2).await);
    }
}
