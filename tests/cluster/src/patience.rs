//! Waiting for what others do.

use std::time::{Duration, Instant};

use anyhow::bail;

const BETWEEN: Duration = Duration::from_millis(200);
/// Longer than anything here may take: a transaction that expires and is sent again.
const LONGEST: Duration = Duration::from_secs(90);

/// Waits until something is so.
pub(crate) async fn eventually(
    what: &str,
    mut is_so: impl AsyncFnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let last = is_so().await;
        if matches!(last, Ok(true)) {
            return Ok(());
        }
        if begun.elapsed() > LONGEST {
            bail!("never happened: {what} (the last look: {last:?})");
        }
        tokio::time::sleep(BETWEEN).await;
    }
}

/// Does something again until it works, as whoever uses a node that fails now and then does. How often it
/// failed, and what came of it.
pub(crate) async fn persist<T, E: std::fmt::Display>(
    what: &str,
    mut act: impl AsyncFnMut() -> Result<T, E>,
) -> anyhow::Result<(u32, T)> {
    let (begun, mut failures) = (Instant::now(), 0_u32);
    loop {
        match act().await {
            Ok(done) => return Ok((failures, done)),
            Err(error) if begun.elapsed() > LONGEST => bail!("{what} never worked; the last time: {error}"),
            Err(_) => failures = failures.saturating_add(1),
        }
        tokio::time::sleep(BETWEEN).await;
    }
}

/// Sleeps until a time, in Unix seconds, has passed by a cluster's clock.
pub(crate) async fn pass(chain: &dyn amp_sdk::chain::Chain, until: i64) -> anyhow::Result<()> {
    eventually("the time passes", async || Ok(chain.clock().await?.unix_timestamp > until)).await
}
