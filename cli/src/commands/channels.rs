use amp_sdk::client::{ChannelRecord, ChannelState, ClientError, CloseOutcome};
use amp_sdk::protocol::money::Amount;
use anyhow::ensure;
use clap::Args;
use serde_json::{Value, json};

use crate::agent::AgentOptions;
use crate::output;

/// Lists the channels in the store.
#[derive(Args)]
pub(crate) struct List {
    #[command(flatten)]
    agent: AgentOptions,
}

/// Asks a service what it has charged.
#[derive(Args)]
pub(crate) struct Status {
    /// Any URL of the service.
    url: String,
    #[command(flatten)]
    agent: AgentOptions,
}

/// Adds to a deposit.
#[derive(Args)]
pub(crate) struct TopUp {
    /// Any URL of the service.
    url: String,
    /// Base units to add.
    amount: Amount,
    #[command(flatten)]
    agent: AgentOptions,
}

/// Closes a channel: with the service's statement at once; where it gives none, by a request now and
/// by the same command again after the grace period.
#[derive(Args)]
pub(crate) struct Close {
    /// Any URL of the service.
    url: String,
    #[command(flatten)]
    agent: AgentOptions,
}

impl List {
    pub(crate) async fn run(&self) -> anyhow::Result<()> {
        let channels = self.agent.client().await?.channels().await?;
        if self.agent.json {
            return output::json(&channels.iter().map(record).collect());
        }
        let mut table = output::table(&["service", "state", "channel", "deposited", "spent", "last seq"]);
        for channel in &channels {
            table.add_row([
                channel.origin.clone(),
                state(channel.state).to_owned(),
                channel.channel.to_string(),
                channel.ledger.deposited.to_string(),
                channel.ledger.acknowledged.to_string(),
                channel.ledger.last_signed.to_string(),
            ]);
        }
        println!("{table}");
        Ok(())
    }
}

impl Status {
    pub(crate) async fn run(&self) -> anyhow::Result<()> {
        let status = self.agent.client().await?.status(&self.url).await?;
        output::json(&serde_json::to_value(status)?)
    }
}

impl TopUp {
    pub(crate) async fn run(&self) -> anyhow::Result<()> {
        let channel = self.agent.client().await?.top_up(&self.url, self.amount).await?;
        if self.agent.json {
            return output::json(&record(&channel));
        }
        println!("channel {} has {} base units deposited", channel.channel, channel.ledger.deposited);
        Ok(())
    }
}

impl Close {
    pub(crate) async fn run(&self) -> anyhow::Result<()> {
        let outcome = self.agent.client().await?.close(&self.url).await?;
        if self.agent.json {
            return output::json(&outcome_json(&outcome));
        }
        println!("{}", told(&outcome));
        Ok(())
    }
}

/// Closes all channels. Fails where one of them failed, after all were tried.
pub(crate) async fn close_all(options: AgentOptions) -> anyhow::Result<()> {
    let outcomes = options.client().await?.close_all().await?;
    if options.json {
        let entry = |(channel, outcome): &(ChannelRecord, Result<CloseOutcome, ClientError>)| {
            let outcome =
                outcome.as_ref().map_or_else(|error| json!({"failed": error.to_string()}), outcome_json);
            json!({"channel": record(channel), "outcome": outcome})
        };
        output::json(&outcomes.iter().map(entry).collect())?;
    } else if outcomes.is_empty() {
        println!("no channel is open");
    } else {
        for (channel, outcome) in &outcomes {
            let text = outcome.as_ref().map_or_else(ToString::to_string, told);
            println!("{}: {text}", channel.origin);
        }
    }
    let failed = outcomes.iter().filter(|(_, outcome)| outcome.is_err()).count();
    ensure!(failed == 0, "{failed} of {} channels could not be closed; run it again", outcomes.len());
    Ok(())
}

fn state(state: ChannelState) -> &'static str {
    match state {
        ChannelState::Opening => "opening",
        ChannelState::Open => "open",
        ChannelState::Disputed => "disputed",
        ChannelState::Closing => "closing",
        ChannelState::Closed => "closed",
        ChannelState::Ended => "ended",
        ChannelState::Replaced => "replaced",
    }
}

fn record(channel: &ChannelRecord) -> Value {
    json!({
        "origin": channel.origin,
        "state": state(channel.state),
        "channel": channel.channel.to_string(),
        "recipient": channel.recipient.to_string(),
        "mint": channel.mint.to_string(),
        "deposited": channel.ledger.deposited,
        "spent": channel.ledger.acknowledged,
        "last_seq": channel.ledger.last_signed,
        "refunded": channel.refunded,
    })
}

fn told(outcome: &CloseOutcome) -> String {
    match outcome {
        CloseOutcome::Closed { refund, payout, confirmation } => {
            format!(
                "closed: {refund} base units refunded, {payout} paid to the service, {}",
                confirmation.signature
            )
        }
        CloseOutcome::Requested { closable_from, reason } => {
            format!("a close is requested ({reason}); run this again from unix time {closable_from}")
        }
        CloseOutcome::AlreadyClosed => "it was closed already; the refund is with the funder".to_owned(),
        CloseOutcome::NeverOpened => "it was never opened; nothing was deposited".to_owned(),
    }
}

fn outcome_json(outcome: &CloseOutcome) -> Value {
    match outcome {
        CloseOutcome::Closed { refund, payout, confirmation } => {
            json!({"closed": {"refund": refund, "payout": payout, "transaction": confirmation.signature.to_string()}})
        }
        CloseOutcome::Requested { closable_from, reason } => {
            json!({"requested": {"closable_from": closable_from, "reason": reason.to_string()}})
        }
        CloseOutcome::AlreadyClosed => json!("already_closed"),
        CloseOutcome::NeverOpened => json!("never_opened"),
    }
}
