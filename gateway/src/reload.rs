//! New prices while the gateway runs: on SIGHUP, and when the file has changed.
//!
//! The file is read every two seconds rather than watched for: that works over every kind of mount, with editors that
//! replace files and with orchestrators that swap links, and it costs a read of a page that is in memory.

use std::sync::Weak;
use std::time::Duration;

use tokio::time::sleep;

use crate::config::{ConfigProblem, Settings};
use crate::gateway::Running;

const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Reloads whenever the file has changed, as long as the gateway runs.
pub(crate) async fn watch(gateway: Weak<Running>) {
    let mut refused: Option<String> = None;
    loop {
        sleep(LOOK_EVERY).await;
        let Some(gateway) = gateway.upgrade() else { return };
        let settings = gateway.settings();
        let Some((path, known)) = settings.source() else { return };
        // one that is not there is being replaced
        let Ok(text) = tokio::fs::read_to_string(path).await else { continue };
        if text == known || refused.as_ref() == Some(&text) {
            continue;
        }
        refused = gateway.reload_and_say().is_err().then_some(text);
    }
}

/// Reloads on every SIGHUP.
#[cfg(unix)]
pub(crate) async fn on_hangup(gateway: Weak<Running>) {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut hangups) = signal(SignalKind::hangup()) else { return };
    while hangups.recv().await.is_some() {
        let Some(gateway) = gateway.upgrade() else { return };
        let _ = gateway.reload_and_say();
    }
}

impl Running {
    /// Reloads and logs what came of it.
    pub(crate) fn reload_and_say(&self) -> Result<(), ConfigProblem> {
        let before = self.settings();
        match self.reload() {
            Ok(settings) => {
                tracing::info!("new prices are charged from the next request on");
                let left = Settings::needs_restart(&before, &settings);
                if !left.is_empty() {
                    tracing::warn!(changed = left.join(", "), "this takes a restart");
                }
                Ok(())
            }
            Err(problem) => {
                tracing::error!(%problem, "the new configuration is refused; the old one goes on");
                Err(problem)
            }
        }
    }
}
