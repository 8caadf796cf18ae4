use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use amp_sdk::chain::ChainClock;
use litesvm::LiteSVM;

/// Milliseconds a slot takes on a cluster.
const SLOT: u64 = 400;

/// How the embedded chain's time passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockMode {
    /// Only by [`advance_seconds`](crate::EmbeddedChain::advance_seconds): a test decides.
    Manual,
    /// With the wall clock, and by advancing on top of it.
    Wall,
}

#[derive(Clone)]
pub(crate) struct Clock {
    mode: ClockMode,
    started: Instant,
    /// Slot and time at the start, moved by every advance.
    base: ChainClock,
    /// What programs see: writing it makes LiteSVM read every sysvar anew.
    written: Option<ChainClock>,
}

impl Clock {
    pub(crate) fn start(mode: ClockMode, svm: &mut LiteSVM) -> Self {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        // slot 0 and 1 are special to some sysvars: begin where nothing is
        let base =
            ChainClock { slot: 1_000, unix_timestamp: i64::try_from(unix.as_secs()).unwrap_or(i64::MAX) };
        let mut clock = Self { mode, started: Instant::now(), base, written: None };
        clock.write(svm, base);
        clock
    }

    pub(crate) fn now(&mut self, svm: &mut LiteSVM) -> ChainClock {
        let elapsed = match self.mode {
            ClockMode::Manual => Duration::ZERO,
            ClockMode::Wall => self.started.elapsed(),
        };
        let slots = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).div_euclid(SLOT);
        let seconds = i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX);
        let now = ChainClock {
            slot: self.base.slot.saturating_add(slots),
            unix_timestamp: self.base.unix_timestamp.saturating_add(seconds),
        };
        self.write(svm, now);
        now
    }

    pub(crate) fn advance(&mut self, svm: &mut LiteSVM, seconds: u32) {
        self.base.unix_timestamp = self.base.unix_timestamp.saturating_add(seconds.into());
        let milliseconds = u64::from(seconds).saturating_mul(1_000);
        self.advance_slots(svm, milliseconds.div_euclid(SLOT));
    }

    pub(crate) fn advance_slots(&mut self, svm: &mut LiteSVM, slots: u64) {
        self.base.slot = self.base.slot.saturating_add(slots);
        self.now(svm);
    }

    pub(crate) fn set(&mut self, svm: &mut LiteSVM, unix_timestamp: i64) {
        self.base.unix_timestamp = unix_timestamp;
        self.now(svm);
    }

    fn write(&mut self, svm: &mut LiteSVM, now: ChainClock) {
        if self.written.replace(now) == Some(now) {
            return;
        }
        let mut sysvar: solana_clock::Clock = svm.get_sysvar();
        sysvar.slot = now.slot;
        sysvar.unix_timestamp = now.unix_timestamp;
        svm.set_sysvar(&sysvar);
    }
}
