//! New prices while the gateway runs: on SIGHUP, and when the file has changed.
//!
//! The file is read every two seconds rather than watched for: that works over every kind of mount, with editors that
//! replace files and with orchestrators that swap links, and it costs a read of a page that is in memory.
//!
//! One that has changed may be half written. It is taken up when it was the same twice, half a second apart, and does
//! not look like a part of what it was ([`Settings::saying`]). SIGHUP says that it is whole: it is read at once.

use std::sync::Weak;
use std::time::{Duration, SystemTime};

use tokio::time::sleep;

use crate::config::{ConfigProblem, Settings};
use crate::gateway::Running;

const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How long a file must stay as it is.
const QUIET: Duration = Duration::from_millis(500);

/// A file that has changed, until it no longer does.
#[derive(Default)]
struct Changing(Option<Look>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Look {
    text: String,
    /// None, where the file system does not say.
    written: Option<SystemTime>,
}

impl Changing {
    /// The text, if it is as it was at the look before.
    fn quiet(&mut self, look: Look) -> Option<String> {
        match self.0.take() {
            Some(before) if before == look => Some(look.text),
            _ => {
                self.0 = Some(look);
                None
            }
        }
    }
}

/// Takes up the file whenever it has changed, as long as the gateway runs.
pub(crate) async fn watch(gateway: Weak<Running>) {
    let mut refused: Option<String> = None;
    let mut changing = Changing::default();
    loop {
        sleep(if changing.0.is_some() { QUIET } else { LOOK_EVERY }).await;
        let Some(gateway) = gateway.upgrade() else { return };
        let settings = gateway.settings();
        let Some((path, known)) = settings.source() else { return };
        // one that is not there is being replaced
        let Ok(text) = tokio::fs::read_to_string(path).await else { continue };
        if text == known || refused.as_ref() == Some(&text) {
            changing = Changing::default();
            continue;
        }
        let written = tokio::fs::metadata(path).await.and_then(|file| file.modified()).ok();
        let Some(text) = changing.quiet(Look { text, written }) else { continue };
        let taken_up = gateway.take_up_and_say(settings.saying(text.clone()));
        refused = taken_up.is_err().then_some(text);
    }
}

/// Reloads on every SIGHUP.
#[cfg(unix)]
pub(crate) async fn on_hangup(gateway: Weak<Running>) {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut hangups) = signal(SignalKind::hangup()) else { return };
    while hangups.recv().await.is_some() {
        let Some(gateway) = gateway.upgrade() else { return };
        let _ = gateway.take_up_and_say(gateway.settings().again());
    }
}

impl Running {
    /// Takes up what could be read, and logs what came of it.
    fn take_up_and_say(&self, read: Result<Settings, ConfigProblem>) -> Result<(), ConfigProblem> {
        let before = self.settings();
        let taken_up = read.and_then(|settings| self.take_up(settings.clone()).map(|()| settings));
        match taken_up {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_quiet_when_it_was_the_same_twice_and_written_no_more() {
        let look = |text: &str, seconds| Look {
            text: text.to_owned(),
            written: SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)),
        };
        let mut changing = Changing::default();
        assert_eq!(changing.quiet(look("", 1)), None, "it was cut, to be written anew");
        assert_eq!(changing.quiet(look("half", 2)), None);
        assert_eq!(changing.quiet(look("whole", 3)), None);
        assert_eq!(changing.quiet(look("whole", 4)), None, "it was written once more");
        assert_eq!(changing.quiet(look("whole", 4)), Some("whole".to_owned()));
        assert_eq!(changing.quiet(look("whole", 4)), None, "from the beginning again");
    }
}
