use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::report::Health;
use crate::server::views::lock;

/// Signs of life that the parts of a service leave, for [`Health`].
pub(crate) struct Vitals {
    begun: Instant,
    /// Milliseconds from `begun` to the worker's last sign of life.
    pub(super) beat: AtomicU64,
    worker_ended: AtomicBool,
    stopping: AtomicBool,
    /// Milliseconds from `begun`, and one, to the last write that failed, where none has worked since; 0:
    /// none.
    write_failed: AtomicU64,
    /// What the recipient's key has, and when that was read.
    pub(super) lamports: Mutex<(u64, Instant)>,
    /// The last report, and when it was made.
    pub(super) last: tokio::sync::Mutex<Option<(Instant, Health)>>,
}

impl Vitals {
    /// Those of a service whose recipient has so much.
    pub(crate) fn begin(lamports: u64) -> Self {
        let now = Instant::now();
        let (worker_ended, stopping) = (AtomicBool::new(false), AtomicBool::new(false));
        let (beat, write_failed) = (AtomicU64::new(0), AtomicU64::new(0));
        let (lamports, last) = (Mutex::new((lamports, now)), tokio::sync::Mutex::default());
        Self { begun: now, beat, worker_ended, stopping, write_failed, lamports, last }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The worker's loop has come round.
    pub(crate) fn beat(&self) {
        self.beat.store(self.now(), Ordering::Relaxed);
    }

    /// Since the worker's last sign of life.
    pub(crate) fn worker_silence(&self) -> Duration {
        Duration::from_millis(self.now().saturating_sub(self.beat.load(Ordering::Relaxed)))
    }

    /// Held by the worker's task: however it ends, by a panic too, that is noticed at once.
    pub(crate) fn worker_runs(&self) -> impl Drop + use<'_> {
        Running(self)
    }

    pub(super) fn worker_has_ended(&self) -> bool {
        self.worker_ended.load(Ordering::Relaxed)
    }

    /// The service is shut down: that its worker ends is no failure.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// The store kept a charge, or failed to.
    pub(crate) fn wrote(&self, kept: bool) {
        if !kept {
            self.write_failed.store(self.now().saturating_add(1), Ordering::Relaxed);
        } else if self.write_failed.load(Ordering::Relaxed) != 0 {
            self.write_failed.store(0, Ordering::Relaxed);
        }
    }

    /// How long ago a write failed, where none has worked since.
    pub(super) fn write_failed(&self) -> Option<Duration> {
        let failed = self.write_failed.load(Ordering::Relaxed).checked_sub(1)?;
        Some(Duration::from_millis(self.now().saturating_sub(failed)))
    }

    /// What the recipient's key has, as it was last read.
    pub(crate) fn lamports(&self) -> u64 {
        lock(&self.lamports).0
    }
}

struct Running<'a>(&'a Vitals);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.worker_ended.store(true, Ordering::Relaxed);
    }
}
