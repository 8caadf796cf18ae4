mod lookout;
mod screen;
mod view;

use std::io::IsTerminal;
use std::pin::pin;
use std::time::Duration;

use amp_gateway::stop_signal;
use clap::Args;
use serde_json::json;

use crate::moment::{now, utc};
use crate::output;
use crate::settings::Settings;

use super::list::Whose;
use lookout::Lookout;
use screen::{Screen, Stop};
use view::View;

/// The shortest time between two looks: each is several requests, and redraws the view.
const LEAST: Duration = Duration::from_millis(100);
/// How often the view is drawn anew between looks, for its countdowns.
const TICK: Duration = Duration::from_secs(1);

/// Watches channels until q or Ctrl-C: the store's, or those on chain of a funder, a recipient or a delegate. On a
/// terminal it is a live view, with how long a close still takes and how old the last look is; elsewhere each change is
/// printed, with --json as a line.
#[derive(Args)]
pub(crate) struct Watch {
    #[command(flatten)]
    whose: Whose,
    /// How often to look, at least 100ms.
    #[arg(long, value_name = "TIME", value_parser = interval, default_value = "2s")]
    every: Duration,
    /// End after so many looks.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    looks: Option<u64>,
}

fn interval(text: &str) -> Result<Duration, String> {
    let every = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if every < LEAST {
        return Err("at least 100ms".to_owned());
    }
    Ok(every)
}

impl Watch {
    pub(crate) async fn run(&self, settings: &Settings) -> anyhow::Result<()> {
        if std::io::stdout().is_terminal() && !settings.common.json {
            return self.live(settings).await;
        }
        self.plain(settings).await
    }

    /// Prints what changes.
    async fn plain(&self, settings: &Settings) -> anyhow::Result<()> {
        let mut before = None;
        let mut looks = 0_u64;
        let mut stop = pin!(stop_signal());
        loop {
            let found = tokio::select! {
                biased;
                () = &mut stop => return Ok(()),
                found = self.whose.find(settings, false) => found,
            };
            looks = looks.saturating_add(1);
            match found {
                // a node that is away for a moment is waited for; one that never was there is an error
                Err(error) if before.is_none() => return Err(error),
                Err(error) => eprintln!("{}: {error}", utc(now())),
                Ok(found) if before.as_ref() != Some(&found.value) => {
                    match settings.common.json {
                        true => output::line(&json!({"at": now(), "channels": found.value}).to_string()),
                        false => output::line(&format!("{}\n{}", utc(now()), found.text)),
                    }
                    before = Some(found.value);
                }
                Ok(_) => {}
            }
            if self.is_last(looks) {
                return Ok(());
            }
            tokio::select! {
                () = tokio::time::sleep(self.every) => {}
                () = &mut stop => return Ok(()),
            }
        }
    }

    async fn live(&self, settings: &Settings) -> anyhow::Result<()> {
        let mut lookout = Lookout::new(settings, &self.whose);
        // one that can't be had at all is an error, and leaves the terminal alone
        let mut view = lookout.look().await?;
        let drawn = {
            let mut stop = Stop::listen();
            let mut screen = Screen::open()?;
            self.redraw(&mut lookout, &mut screen, &mut stop, &mut view).await
        };
        // what was seen last stays, as the screen that it was drawn on is gone
        output::line(&view.lines(None).join("\n"));
        drawn
    }

    /// Looks and draws until it is told to stop.
    async fn redraw(
        &self,
        lookout: &mut Lookout<'_>,
        screen: &mut Screen,
        stop: &mut Stop,
        view: &mut View,
    ) -> anyhow::Result<()> {
        let mut looks = 1_u64;
        loop {
            screen.draw(view)?;
            if self.is_last(looks) {
                return Ok(());
            }
            let waited = drawing(screen, stop, view, tokio::time::sleep(self.every)).await?;
            let Some(()) = waited else { return Ok(()) };
            let Some(seen) = drawing(screen, stop, view, lookout.look()).await? else { return Ok(()) };
            looks = looks.saturating_add(1);
            match seen {
                Ok(seen) => *view = seen,
                Err(error) => view.trouble = Some(error.to_string()),
            }
        }
    }

    fn is_last(&self, looks: u64) -> bool {
        self.looks.is_some_and(|most| looks >= most)
    }
}

/// Draws now and then while something takes its time. `None`: it was told to stop.
async fn drawing<T>(
    screen: &mut Screen,
    stop: &mut Stop,
    view: &View,
    work: impl Future<Output = T>,
) -> anyhow::Result<Option<T>> {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            biased;
            () = stop.asked() => return Ok(None),
            done = &mut work => return Ok(Some(done)),
            () = tokio::time::sleep(TICK) => screen.draw(view)?,
        }
    }
}
