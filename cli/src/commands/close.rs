mod all;

use amp_sdk::chain;
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

use super::target::Target;

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
            None => all::all(settings, &client).await,
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
    confirm(&plan(&record, Some(&token)), settings.common.yes)?;
    let closed = during("closing", client.close(&record.origin)).await;
    let outcome = closed.map_err(|error| explained(&error, Some(&token)))?;
    let now = settings.about_now().await;
    output::print(settings.common.json, &outcome_json(&outcome), &told(&outcome, Some(&token), now));
    Ok(())
}

fn plan(record: &ChannelRecord, token: Option<&Token>) -> String {
    format!(
        "Close channel {} to {}: of {} deposited {} are spent, the rest comes back.",
        record.channel,
        record.origin,
        text(token, record.ledger.deposited),
        text(token, record.ledger.acknowledged)
    )
}

/// An amount of a token that may not be known.
fn text(token: Option<&Token>, amount: Amount) -> String {
    token.map_or_else(|| format!("{amount}u"), |token| token.text(amount))
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
        let now = settings.about_now().await;
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
fn told(outcome: &CloseOutcome, token: Option<&Token>, now: i64) -> String {
    match outcome {
        CloseOutcome::Closed { refund, payout, confirmation } => format!(
            "closed: {} came back, {} were paid to the service, {}",
            text(token, *refund),
            text(token, *payout),
            confirmation.signature
        ),
        CloseOutcome::Requested { closable_from, reason } => format!(
            "a close is requested ({}); run this again from {} on ({})",
            explained(reason, token),
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
