use std::io::Write;
use std::path::PathBuf;

use amp_sdk::client::Response;
use amp_sdk::protocol::money::Amount;
use anyhow::{Context, bail};
use clap::Args;

use crate::agent::AgentOptions;

/// Calls a URL with GET, opening a channel where there is none. The answer goes to standard output,
/// what it cost to standard error.
#[derive(Args)]
pub(crate) struct Get {
    url: String,
    #[command(flatten)]
    agent: AgentOptions,
}

/// Calls a URL with POST.
#[derive(Args)]
pub(crate) struct Post {
    url: String,
    /// The body, or @FILE.
    #[arg(long, short, default_value = "")]
    data: String,
    #[command(flatten)]
    agent: AgentOptions,
}

impl Get {
    pub(crate) async fn run(&self) -> anyhow::Result<()> {
        show(self.agent.client().await?.get(&self.url).await?).await
    }
}

impl Post {
    pub(crate) async fn run(&self) -> anyhow::Result<()> {
        let body = match self.data.strip_prefix('@') {
            Some(file) => {
                let file = PathBuf::from(file);
                std::fs::read(&file).with_context(|| format!("can't read {}", file.display()))?
            }
            None => self.data.clone().into_bytes(),
        };
        show(self.agent.client().await?.post(&self.url, body).await?).await
    }
}

async fn show(answer: Response) -> anyhow::Result<()> {
    let status = answer.status();
    match answer.payment() {
        Some(payment) => {
            let or_unknown = |amount: Option<Amount>| {
                amount.map_or_else(|| "unknown".to_owned(), |amount| amount.to_string())
            };
            eprintln!(
                "{status}: cost {}, spent {}, balance {} base units; channel {}, seq {}",
                or_unknown(payment.cost),
                or_unknown(payment.spent),
                or_unknown(payment.balance),
                payment.channel,
                payment.seq,
            );
        }
        None => eprintln!("{status}: free"),
    }
    let body = answer.bytes().await?;
    std::io::stdout().write_all(&body)?;
    if !status.is_success() {
        bail!("the service answered {status}");
    }
    Ok(())
}
