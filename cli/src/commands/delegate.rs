use std::time::Duration;

use amp_sdk::client::{DelegationRecord, Expiry};
use clap::Args;
use serde_json::{Value, json};
use solana_address::Address;

use crate::amount::TokenAmount;
use crate::confirm::confirm;
use crate::explain::explained;
use crate::moment::utc;
use crate::output::{self, during};
use crate::settings::Settings;
use crate::token::Token;

use super::target::Target;

/// Lets another key spend from an open channel, up to a limit and until a time. For a key that may already, it
/// raises the limit or moves the expiry. The agent with that key calls with --channel.
#[derive(Args)]
pub(crate) struct Delegate {
    /// A URL of the service, or the channel's address.
    target: Target,
    /// Whom to let spend.
    delegate: Address,
    /// Most that it may ever spend, in all.
    limit: TokenAmount,
    /// For how long from now: 30m, 12h, 7d; or never.
    #[arg(long, value_name = "TIME", default_value = "1d")]
    expires: Lasting,
}

/// For how long.
#[derive(Clone, Copy, Debug)]
enum Lasting {
    Forever,
    For(Duration),
}

impl std::str::FromStr for Lasting {
    type Err = humantime::DurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "never" { Ok(Self::Forever) } else { humantime::parse_duration(text).map(Self::For) }
    }
}

impl From<Lasting> for Expiry {
    fn from(lasting: Lasting) -> Self {
        match lasting {
            Lasting::Forever => Self::NEVER,
            Lasting::For(duration) => Self::after(duration),
        }
    }
}

/// Stops a key from spending anything new from a channel. What it signed before can be settled during the
/// channel's close grace.
#[derive(Args)]
pub(crate) struct Revoke {
    /// A URL of the service, or the channel's address.
    target: Target,
    /// Whom to stop.
    delegate: Address,
}

impl Delegate {
    pub(crate) async fn run(&self, settings: &Settings) -> anyhow::Result<()> {
        let client = settings.keeper().await?;
        let record = self.target.current_record(&client).await?;
        let token = Token::read(&*settings.chain, &record.mint).await?;
        let limit = self.limit.of(&token)?;
        let expiry = Expiry::from(self.expires);
        let until = match expiry.unix_seconds() {
            0 => "until it is revoked".to_owned(),
            at => format!("until {}", utc(at)),
        };
        confirm(
            &format!(
                "Let {} spend up to {} in all from channel {} to {}, {until}.",
                self.delegate,
                token.text(limit),
                record.channel,
                record.origin
            ),
            settings.common.yes,
        )?;
        let set = during("delegating", client.delegate(&record.origin, &self.delegate, limit, expiry)).await;
        let made = set.map_err(|error| explained(&error, Some(&token)))?;
        let text = format!(
            "{} may spend up to {} from channel {}, {until}; it calls with --channel {}",
            made.delegate,
            token.text(made.limit),
            made.channel,
            made.channel
        );
        output::print(settings.common.json, &made_json(&made), &text);
        Ok(())
    }
}

impl Revoke {
    pub(crate) async fn run(&self, settings: &Settings) -> anyhow::Result<()> {
        let client = settings.keeper().await?;
        let record = self.target.current_record(&client).await?;
        let token = Token::read(&*settings.chain, &record.mint).await?;
        confirm(
            &format!(
                "Stop {} from spending from channel {} to {}.",
                self.delegate, record.channel, record.origin
            ),
            settings.common.yes,
        )?;
        let done = during("revoking", client.revoke_delegate(&record.origin, &self.delegate)).await;
        let made = done.map_err(|error| explained(&error, Some(&token)))?;
        let text = format!(
            "{} can spend nothing more from channel {}; {} of its {} were claimed so far",
            made.delegate,
            made.channel,
            token.text(made.claimed),
            token.text(made.limit)
        );
        output::print(settings.common.json, &made_json(&made), &text);
        Ok(())
    }
}

fn made_json(made: &DelegationRecord) -> Value {
    json!({
        "channel": made.channel.to_string(), "delegate": made.delegate.to_string(), "limit": made.limit,
        "claimed": made.claimed, "expires_at": made.expires_at, "revoked_at": made.revoked_at,
        "created_slot": made.created_slot.to_string(),
    })
}
