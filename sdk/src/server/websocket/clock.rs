use std::time::Duration;

use amp_protocol::json::PricingMode;
use tokio::time::{Instant, sleep_until};

use super::till::{Clock, Till};
use crate::server::metering::Meter;

const SECOND: Duration = Duration::from_secs(1);

/// Counts each second of a socket that is paid for by the second when it begins, from now on; the next one begins
/// when it is paid for, and until then nothing is delivered. Returns only where nothing more is paid for.
pub(super) async fn tick(till: &Till) {
    let Some(meter) = till.meter().filter(|_| till.mode() == PricingMode::PerSecond) else {
        return std::future::pending().await;
    };
    tokio::select! {
        biased;
        () = till.until(|clock| clock == Clock::Stopped) => std::future::pending().await,
        () = seconds(till, meter) => {}
    }
}

async fn seconds(till: &Till, meter: &Meter) {
    let mut begins = Instant::now();
    loop {
        sleep_until(begins).await;
        if !meter.try_spend(1) {
            till.set(Clock::Waits);
            if let Err(denial) = meter.cover(1).await {
                return till.end(denial);
            }
            // what it waited is not counted
            begins = Instant::now();
            continue;
        }
        till.set(Clock::Runs);
        begins = begins.checked_add(SECOND).unwrap_or(begins);
    }
}
