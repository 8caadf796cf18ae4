use std::time::Duration;

use tokio::time::Instant;

/// The wall time of a stream, without what it waited for its client to sign more: who waits is served nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seconds {
    /// When it would have begun, had it never waited.
    since: Instant,
    /// How many seconds are paid for.
    paid: u64,
}

impl Seconds {
    /// A stream that begins now: its first second does, too.
    pub(super) fn new() -> Self {
        Self { since: Instant::now(), paid: 0 }
    }

    /// Returns when a second begins that is not paid for.
    pub(super) async fn begins(&self) {
        let begins = self.since.checked_add(Duration::from_secs(self.paid));
        match begins {
            Some(begins) => tokio::time::sleep_until(begins).await,
            // a time that no clock has
            None => std::future::pending().await,
        }
    }

    /// One more is paid for, after waiting since `waiting`.
    pub(super) fn pay(&mut self, waiting: Instant) {
        self.paid = self.paid.saturating_add(1);
        self.since = self.since.checked_add(waiting.elapsed()).unwrap_or(self.since);
    }
}
