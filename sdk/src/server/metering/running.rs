use std::future::poll_fn;
use std::ops::Deref;

use amp_protocol::json::PricingMode;

use super::{Meter, Seconds};
use crate::server::denial::Denial;

/// A call that is paid for while it is served. Dropped, it is charged for what has left, though its handler may still
/// hold the meter.
pub(crate) struct Running {
    meter: Meter,
    seconds: Option<Seconds>,
}

impl Running {
    pub(crate) fn new(meter: Meter, mode: PricingMode) -> Self {
        Self { meter, seconds: (mode == PricingMode::PerSecond).then(Seconds::default) }
    }

    /// Pays for each second as it begins. Returns only where the next one is not paid for.
    pub(crate) async fn seconds(&mut self) {
        match &mut self.seconds {
            Some(seconds) => poll_fn(|context| seconds.poll_unpaid(&self.meter, context)).await,
            None => std::future::pending().await,
        }
    }

    /// Waits until one more is.
    pub(crate) async fn another_second(&self) -> Result<(), Denial> {
        self.meter.cover(1).await
    }
}

impl Deref for Running {
    type Target = Meter;

    fn deref(&self) -> &Meter {
        &self.meter
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.meter.end_soon();
    }
}
