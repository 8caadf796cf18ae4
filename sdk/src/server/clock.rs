use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use super::outage::Outage;
use super::views::lock;
use crate::chain::{Chain, ChainError};

/// How often at most requests make the service ask for the time.
const SOON: Duration = Duration::from_secs(1);

/// Longest pause after failures, in seconds.
const LONGEST_PAUSE: u64 = 60;

/// How long to wait after so many failures in a row.
pub(crate) fn pause(failures: u32) -> Duration {
    Duration::from_secs(2_u64.saturating_pow(failures).min(LONGEST_PAUSE))
}

/// The chain's time between looks at the chain: rate windows and settle intervals are counted in it,
/// and a validator's clock is seconds off this machine's.
#[derive(Debug, Default)]
pub(crate) struct ChainTime {
    offset: AtomicI64,
    asked: Mutex<Option<Instant>>,
    outage: Option<Arc<Outage>>,
}

impl ChainTime {
    /// Takes note of whether the chain answers: for the worker, asking for the time comes first.
    pub(crate) fn noting(outage: Arc<Outage>) -> Self {
        Self { outage: Some(outage), ..Self::default() }
    }

    /// Unix seconds as the chain counts them, as far as is known.
    pub(crate) fn now(&self) -> i64 {
        unix_now().saturating_add(self.offset.load(Ordering::Relaxed))
    }

    /// Asks the chain.
    pub(crate) async fn sync(&self, chain: &dyn Chain) -> Result<i64, ChainError> {
        let asked = chain.clock().await;
        if let Some(outage) = &self.outage {
            match &asked {
                Err(ChainError::Unreachable(_)) => outage.did_not_answer(),
                _ => outage.answered(),
            }
        }
        let now = asked?.unix_timestamp;
        self.offset.store(now.saturating_sub(unix_now()), Ordering::Relaxed);
        Ok(now)
    }

    /// Asks the chain, unless that was done a moment ago.
    pub(crate) async fn sync_soon(&self, chain: &dyn Chain) -> Result<(), ChainError> {
        {
            let mut asked = lock(&self.asked);
            if asked.is_some_and(|asked| asked.elapsed() < SOON) {
                return Ok(());
            }
            *asked = Some(Instant::now());
        }
        self.sync(chain).await.map(drop)
    }
}

/// Unix seconds of this machine.
pub(crate) fn unix_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
