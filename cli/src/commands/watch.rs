use std::io::{IsTerminal, Write};
use std::time::Duration;

use clap::Args;
use serde_json::json;

use crate::moment::{now, utc};
use crate::output;
use crate::settings::Settings;

use super::list::{Found, Whose};

/// Watches channels in the terminal until Ctrl-C: the store's, or those on chain of a funder, a recipient or a
/// delegate. On a terminal the view is drawn anew; elsewhere each change is printed, with --json as a line.
#[derive(Args)]
pub(crate) struct Watch {
    #[command(flatten)]
    whose: Whose,
    /// How often to look.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, default_value = "2s")]
    every: Duration,
    /// End after so many looks.
    #[arg(long, value_name = "N")]
    looks: Option<u64>,
}

impl Watch {
    pub(crate) async fn run(&self, settings: &Settings) -> anyhow::Result<()> {
        let is_screen = std::io::stdout().is_terminal() && !settings.common.json;
        let mut before = None;
        let mut looks = 0_u64;
        loop {
            let found = self.whose.find(settings, false).await;
            looks = looks.saturating_add(1);
            match found {
                // a node that is away for a moment is waited for; one that never was there is an error
                Err(error) if before.is_none() => return Err(error),
                Err(error) => eprintln!("{}: {error}", utc(now())),
                Ok(found) if is_screen => draw(&found)?,
                Ok(found) if before.as_ref() != Some(&found.value) => {
                    match settings.common.json {
                        true => output::line(&json!({"at": now(), "channels": found.value}).to_string()),
                        false => output::line(&format!("{}\n{}", utc(now()), found.text)),
                    }
                    before = Some(found.value);
                }
                Ok(_) => {}
            }
            if self.looks.is_some_and(|most| looks >= most) {
                return Ok(());
            }
            tokio::select! {
                () = tokio::time::sleep(self.every) => {}
                _ = tokio::signal::ctrl_c() => return Ok(()),
            }
        }
    }
}

/// Draws over what was there before.
fn draw(found: &Found) -> anyhow::Result<()> {
    const HOME_AND_CLEAR: &str = "\x1b[H\x1b[2J";
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{HOME_AND_CLEAR}{}  (Ctrl-C ends it)\n{}", utc(now()), output::harmless(&found.text))?;
    stdout.flush()?;
    Ok(())
}
