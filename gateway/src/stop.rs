//! The end of a gateway: what is under way is finished, and what is owed is settled.

use amp_protocol::money::Amount;
use amp_sdk::server::AmpService;

use crate::config::tokens;

/// What a gateway did when it stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// Settled now, in base units.
    pub settled: Amount,
    /// How many channels that was.
    pub channels: usize,
    /// Channels that could not be settled, each with the reason. They owe it still: the next start settles them.
    pub left: Vec<(String, String)>,
}

impl Ended {
    /// Settles all that is owed, and ends the service.
    pub(crate) async fn settle(service: &AmpService, decimals: u8) -> Self {
        let mut ended = Self::default();
        for (channel, outcome) in service.settle_all().await {
            match outcome {
                Ok(settled) if settled.paid.is_zero() => {}
                Ok(settled) => {
                    ended.channels = ended.channels.saturating_add(1);
                    ended.settled = ended.settled.checked_add(settled.paid).unwrap_or(Amount::MAX);
                }
                Err(denial) => ended.left.push((channel.to_string(), denial.to_string())),
            }
        }
        service.shutdown().await;
        let (settled, channels) = (tokens(ended.settled, decimals), ended.channels);
        tracing::info!(%settled, channels, "settled");
        for (channel, reason) in &ended.left {
            tracing::warn!(channel, reason, "not settled yet; start again within its close grace");
        }
        ended
    }
}

/// Comes when the process is asked to stop: SIGINT or SIGTERM. It is listened for from now on, not only once this is
/// waited for: a signal in between must not end the process with what it owes unsettled.
///
/// # Panics
/// Outside a tokio runtime.
pub fn stop_signal() -> impl Future<Output = ()> + Send {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let listened = [SignalKind::interrupt(), SignalKind::terminate()].map(signal);
        async move {
            let [interrupt, terminate] = listened;
            match (interrupt, terminate) {
                (Ok(mut interrupt), Ok(mut terminate)) => tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                },
                _ => drop(tokio::signal::ctrl_c().await),
            }
        }
    }
    #[cfg(not(unix))]
    async {
        let _ = tokio::signal::ctrl_c().await;
    }
}
