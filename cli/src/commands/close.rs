use amp_sdk::chain::{self, Chain as _};
use amp_sdk::client::{ChannelRecord, ChannelState, Client, CloseOutcome, Reclaimed};
use amp_sdk::protocol::money::Amount;
use clap::Args;
use serde_json::{Value, json};
use solana_address::Address;

use crate::confirm::confirm;
use crate::exit::{Exit, failure};
use crate::explain::explained;
use crate::moment::{left, span, utc};
use crate::output::{self, during};
use crate::settings::Settings;
use crate::token::Token;

use super::target::{Target, record_json};

/// Closes a channel: at once with the service's statement of what it is owed; where it gives none, by a request now
/// and by the same command again after the grace period.
#[derive(Args)]
pub(crate) struct Close {
    /// A URL of the service, or the channel's address; or --all.
    #[arg(required_unless_present = "all")]
    target: Option<Target>,
    /// Close every channel of this agent's store.
    #[arg(long, conflicts_with = "target")]
    all: bool,
}

/// Asks on chain for the close of a channel, without asking its service, and closes it once its grace has passed: for
/// services that are gone, stores that are lost, and channels that services chained below one's own.
#[derive(Args)]
pub(crate) struct RequestClose {
    /// A URL of the service, or the channel's address.
    target: Target,
}

impl Close {
    pub(crate) async fn run(&self, settings: &Settings) -> anyhow::Result<()> {
        let client = settings.keeper().await?;
        match &self.target {
            Some(target) => one(settings, &client, target).await,
            None => all(settings, &client).await,
        }
    }
}

async fn one(settings: &Settings, client: &Client, target: &Target) -> anyhow::Result<()> {
    let record = target.current_record(client).await?;
    if record.state == ChannelState::Closed {
        let text = format!("channel {} is closed already; its refund is with the funder", record.channel);
        return Err(failure(Exit::NotFound, text));
    }
    let token = Token::read(&*settings.chain, &record.mint).await?;
    confirm(&plan(&record, &token), settings.common.yes)?;
    let closed = during("closing", client.close(&record.origin)).await;
    let outcome = closed.map_err(|error| explained(&error, Some(&token)))?;
    let now = settings.chain.clock().await?.unix_timestamp;
    output::print(settings.common.json, &outcome_json(&outcome), &told(&outcome, &token, now));
    Ok(())
}

fn plan(record: &ChannelRecord, token: &Token) -> String {
    format!(
        "Close channel {} to {}: of {} deposited {} are spent, the rest comes back.",
        record.channel,
        record.origin,
        token.text(record.ledger.deposited),
        token.text(record.ledger.acknowledged)
    )
}

/// Tries all of them; fails where one of them failed.
async fn all(settings: &Settings, client: &Client) -> anyhow::Result<()> {
    let mut open = client.channels().await?;
    open.retain(|record| record.state != ChannelState::Closed);
    if open.is_empty() {
        output::print(settings.common.json, &json!([]), "no channel is open");
        return Ok(());
    }
    let mut plans = Vec::new();
    for record in &open {
        plans.push(plan(record, &Token::read(&*settings.chain, &record.mint).await?));
    }
    confirm(&plans.join("\n"), settings.common.yes)?;
    let outcomes = during("closing", client.close_all()).await?;
    let now = settings.chain.clock().await?.unix_timestamp;
    let (mut values, mut lines, mut failed) = (Vec::new(), Vec::new(), 0_usize);
    for (record, outcome) in &outcomes {
        let token = Token::read(&*settings.chain, &record.mint).await?;
        let (value, text) = match outcome {
            Ok(outcome) => (outcome_json(outcome), told(outcome, &token, now)),
            Err(error) => {
                failed = failed.saturating_add(1);
                let text = explained(error, Some(&token)).to_string();
                (json!({"failed": text}), text)
            }
        };
        values.push(json!({"channel": record_json(record), "outcome": value}));
        lines.push(format!("{}: {text}", record.origin));
    }
    output::print(settings.common.json, &json!(values), &lines.join("\n"));
    if failed > 0 {
        let text = format!("{failed} of {} channels could not be closed; run it again", outcomes.len());
        return Err(failure(Exit::Failed, text));
    }
    Ok(())
}

impl RequestClose {
    pub(crate) async fn run(&self, settings: &Settings) -> anyhow::Result<()> {
        let client = settings.keeper().await?;
        let channel = match &self.target {
            Target::Channel(channel) => *channel,
            service @ Target::Service(_) => service.current_record(&client).await?.channel,
        };
        let account = chain::channel(&*settings.chain, &settings.program_id().await?, &channel).await?;
        let account = account.ok_or_else(|| {
            failure(Exit::NotFound, format!("there is no channel {channel} on this cluster (any more)"))
        })?;
        let token = Token::read(&*settings.chain, &Address::from(account.mint)).await?;
        let balance = token.text(account.books.balance().unwrap_or(Amount::ZERO));
        let grace = span(account.terms.close_grace.into());
        confirm(
            &format!(
                "Ask for the close of channel {channel}, which holds {balance}: its recipient has {grace} to claim \
                 what it is owed, then the rest can come back."
            ),
            settings.common.yes,
        )?;
        let outcome = during("asking for the close", client.close_by_address(&channel)).await;
        let outcome = outcome.map_err(|error| explained(&error, Some(&token)))?;
        let now = settings.chain.clock().await?.unix_timestamp;
        let (value, text) = match &outcome {
            Reclaimed::Requested { closable_from } => (
                json!({"requested": {"closable_from": closable_from}}),
                format!(
                    "a close is requested; run this again from {} on ({})",
                    utc(*closable_from),
                    left(*closable_from, now)
                ),
            ),
            Reclaimed::Closed { refund, confirmation } => (
                json!({"closed": {"refund": refund, "transaction": confirmation.signature.to_string()}}),
                format!("closed: {} came back, {}", token.text(*refund), confirmation.signature),
            ),
            Reclaimed::AlreadyClosed => {
                (json!("already_closed"), "it was closed already; the refund is with the funder".to_owned())
            }
        };
        output::print(settings.common.json, &value, &text);
        Ok(())
    }
}

/// What came of it, for people; `now` is the cluster's.
fn told(outcome: &CloseOutcome, token: &Token, now: i64) -> String {
    match outcome {
        CloseOutcome::Closed { refund, payout, confirmation } => format!(
            "closed: {} came back, {} were paid to the service, {}",
            token.text(*refund),
            token.text(*payout),
            confirmation.signature
        ),
        CloseOutcome::Requested { closable_from, reason } => format!(
            "a close is requested ({}); run this again from {} on ({})",
            explained(reason, Some(token)),
            utc(*closable_from),
            left(*closable_from, now)
        ),
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
