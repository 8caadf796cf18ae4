use amp_protocol::json::PricingMode;
use tokio::sync::watch;

use crate::server::denial::Denial;
use crate::server::metering::Meter;
use crate::websocket::Message;

/// How time goes on a socket that is paid for by the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clock {
    /// The second is paid for.
    Runs,
    /// The next one is not.
    Waits,
    /// No more of them are counted: the client has ended, or gone.
    Stopped,
}

/// What is counted of a socket, and whether that is paid for.
pub(super) struct Till {
    /// None: it is free.
    meter: Option<Meter>,
    mode: PricingMode,
    clock: watch::Sender<Clock>,
    /// Why nothing more is paid for.
    over: watch::Sender<Option<Denial>>,
}

impl Till {
    pub(super) fn new(meter: Option<Meter>, mode: PricingMode) -> Self {
        Self { meter, mode, clock: watch::Sender::new(Clock::Runs), over: watch::Sender::new(None) }
    }

    pub(super) fn meter(&self) -> Option<&Meter> {
        self.meter.as_ref()
    }

    pub(super) fn mode(&self) -> PricingMode {
        self.mode
    }

    /// How time goes from here on. Once it has stopped it does not go on.
    pub(super) fn set(&self, to: Clock) {
        self.clock.send_if_modified(|clock| {
            let is_news = *clock != to && *clock != Clock::Stopped;
            if is_news {
                *clock = to;
            }
            is_news
        });
    }

    /// Returns when time goes so.
    pub(super) async fn until(&self, is_so: impl Fn(Clock) -> bool) {
        // it can't fail: the sender is in `self`
        let _ = self.clock.subscribe().wait_for(|clock| is_so(*clock)).await;
    }

    /// How many things a message of the client's counts for, when the handler takes it.
    pub(super) fn taken(&self, message: &Message) -> u64 {
        match self.mode {
            PricingMode::PerCall => 1,
            PricingMode::PerByte => message.size(),
            PricingMode::PerSecond | PricingMode::PerCompute => 0,
        }
    }

    /// How many a message to the client counts for, when it is handed over.
    pub(super) fn sent(&self, message: &Message) -> u64 {
        match self.mode {
            PricingMode::PerByte => message.size(),
            PricingMode::PerCall | PricingMode::PerSecond | PricingMode::PerCompute => 0,
        }
    }

    /// Waits until `count` things can be counted. `None`: they never will be.
    pub(super) async fn covered(&self, count: u64) -> Option<()> {
        let Some(meter) = &self.meter else { return Some(()) };
        self.until(|clock| clock != Clock::Waits).await;
        meter.cover(count).await.map_err(|denial| self.end(denial)).ok()
    }

    /// Counts them, if they may be delivered now.
    pub(super) fn count(&self, count: u64) -> bool {
        let Some(meter) = &self.meter else { return true };
        *self.clock.borrow() != Clock::Waits && meter.try_spend(count)
    }

    /// Nothing more is paid for.
    pub(super) fn end(&self, denial: Denial) {
        self.over.send_if_modified(|over| {
            let is_first = over.is_none();
            over.get_or_insert(denial);
            is_first
        });
    }

    /// Returns why nothing more is paid for, once that is so.
    pub(super) async fn over(&self) -> Denial {
        let mut over = self.over.subscribe();
        loop {
            if let Some(denial) = &*over.borrow_and_update() {
                return denial.clone();
            }
            // it can't fail: the sender is in `self`
            let _ = over.changed().await;
        }
    }
}
