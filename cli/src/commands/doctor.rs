mod channel;
mod checks;

use std::fmt;

use clap::Args;
use serde_json::{Value, json};

use crate::exit::{Exit, failure};
use crate::limits::Limits;
use crate::output;
use crate::settings::{Common, Settings};

use super::target::Target;

/// Looks at everything that a transaction or a paid call needs, and says what is wrong and what to do about it: the
/// configuration, the cluster, the program, the clock, the key, SOL, tokens, the store, and a service or a channel. Nothing is
/// signed or sent. Ends with 10 where something would fail.
#[derive(Args)]
pub(crate) struct Doctor {
    /// A URL of a service that is to be paid, or a channel's address.
    target: Option<Target>,
    #[command(flatten)]
    limits: Limits,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Fine,
    /// It works, and should be looked at.
    Doubtful,
    /// Something would fail.
    Wrong,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fine => "ok",
            Self::Doubtful => "look",
            Self::Wrong => "WRONG",
        })
    }
}

/// What was looked at, how it is, and what to do.
struct Check {
    what: &'static str,
    verdict: Verdict,
    said: String,
}

/// All that was looked at.
#[derive(Default)]
struct Report(Vec<Check>);

impl Report {
    fn fine(&mut self, what: &'static str, said: impl Into<String>) {
        self.0.push(Check { what, verdict: Verdict::Fine, said: said.into() });
    }

    fn doubtful(&mut self, what: &'static str, said: impl Into<String>) {
        self.0.push(Check { what, verdict: Verdict::Doubtful, said: said.into() });
    }

    fn wrong(&mut self, what: &'static str, said: impl Into<String>) {
        self.0.push(Check { what, verdict: Verdict::Wrong, said: said.into() });
    }

    fn text(&self) -> String {
        let lines = self
            .0
            .iter()
            .map(|check| format!("{:5}  {:13}  {}", check.verdict.to_string(), check.what, check.said));
        lines.collect::<Vec<_>>().join("\n")
    }

    fn json(&self) -> Value {
        let check = |check: &Check| json!({"what": check.what, "verdict": check.verdict.to_string(), "said": check.said});
        self.0.iter().map(check).collect()
    }
}

impl Doctor {
    pub(crate) async fn run(&self, common: Common) -> anyhow::Result<()> {
        let as_json = common.json;
        let mut report = Report::default();
        match Settings::read(common) {
            Err(error) => report.wrong("configuration", format!("{error:#}")),
            Ok(settings) => self.look(&settings, &mut report).await,
        }
        output::print(as_json, &report.json(), &report.text());
        match report.0.iter().filter(|check| check.verdict == Verdict::Wrong).count() {
            0 => Ok(()),
            1 => Err(failure(Exit::Invalid, "1 thing is wrong")),
            count => Err(failure(Exit::Invalid, format!("{count} things are wrong"))),
        }
    }

    async fn look(&self, settings: &Settings, report: &mut Report) {
        report.fine("configuration", format!("RPC node {}", settings.rpc_url));
        let is_there = checks::cluster(settings, report).await;
        let own = checks::key(settings, report);
        if is_there {
            checks::program(settings, report).await;
            if let Some(own) = &own {
                checks::lamports(settings, own, report).await;
            }
        }
        checks::store(settings, own.is_some(), report).await;
        match (&self.target, &own, is_there) {
            (Some(Target::Service(url)), Some(own), true) => {
                checks::service(settings, &self.limits, url, own, report).await;
            }
            (Some(Target::Channel(address)), Some(own), true) => {
                channel::channel(settings, address, own, report).await;
            }
            _ => {}
        }
    }
}
