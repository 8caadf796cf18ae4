//! What a command is about: a service, by any of its URLs, or a channel, by its address.

use std::str::FromStr;

use amp_sdk::client::{ChannelRecord, ChannelState, Client, service_origin};
use amp_sdk::protocol::money::Amount;
use serde_json::{Value, json};
use solana_address::Address;

use crate::exit::{Exit, failure};

/// A service or a channel.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    Channel(Address),
    Service(String),
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(channel) = text.parse() {
            return Ok(Self::Channel(channel));
        }
        let url = text.parse::<reqwest::Url>().ok().filter(reqwest::Url::has_host);
        url.map(|_| Self::Service(text.to_owned()))
            .ok_or_else(|| "neither the URL of a service nor the address of a channel".to_owned())
    }
}

/// The scheme, host and port of a URL, as channels are kept by.
pub(crate) fn origin(url: &str) -> String {
    service_origin(url).unwrap_or_else(|_| url.to_owned())
}

impl Target {
    /// The newest record in the store, one that is not closed before others. One of another cluster comes last: what is
    /// shown before a yes must be what the client then acts on.
    pub(crate) async fn record(&self, client: &Client) -> anyhow::Result<Option<ChannelRecord>> {
        let all = client.channels().await?;
        let matches = |record: &&ChannelRecord| match self {
            Self::Channel(channel) => record.channel == *channel,
            Self::Service(url) => record.origin == origin(url),
        };
        let mut found: Vec<&ChannelRecord> = all.iter().filter(matches).collect();
        // stable: the newest stays first
        found.sort_by_key(|record| (client.is_elsewhere(record), record.state == ChannelState::Closed));
        Ok(found.first().copied().cloned())
    }

    /// The channel that a command acts on which names the service: the one that its service is paid from. Another one
    /// of the service's, named by its address, must not be taken for it.
    pub(crate) async fn current_record(&self, client: &Client) -> anyhow::Result<ChannelRecord> {
        let named = self.known_record(client).await?;
        let current = Self::Service(named.origin.clone()).known_record(client).await?;
        if current.channel != named.channel {
            let text = format!(
                "{} is paid from channel {} now, not from {} ({}); `amp request-close {}` closes that one",
                named.origin,
                current.channel,
                named.channel,
                state(named.state),
                named.channel
            );
            return Err(failure(Exit::Failed, text));
        }
        Ok(current)
    }

    /// The same, where there must be one.
    pub(crate) async fn known_record(&self, client: &Client) -> anyhow::Result<ChannelRecord> {
        let none = || match self {
            Self::Channel(channel) => format!(
                "this store has no channel {channel}; name its service's URL, check --keypair, --hot-key and --store, \
                 or close it by `amp request-close {channel}`"
            ),
            Self::Service(url) => {
                format!(
                    "there is no channel to {0} in this store; run `amp open {0}` or `amp call` first",
                    origin(url)
                )
            }
        };
        self.record(client).await?.ok_or_else(|| failure(Exit::NotFound, none()))
    }
}

pub(crate) fn state(state: ChannelState) -> &'static str {
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

/// What is left of a deposit, as the store has it.
pub(crate) fn left(channel: &ChannelRecord) -> Amount {
    match channel.state {
        ChannelState::Closed => Amount::ZERO,
        _ => channel.ledger.deposited.checked_sub(channel.ledger.acknowledged).unwrap_or(Amount::ZERO),
    }
}

/// A record of the store, for scripts.
pub(crate) fn record_json(channel: &ChannelRecord) -> Value {
    json!({
        "service": channel.origin,
        "state": state(channel.state),
        "network": channel.network,
        "channel": channel.channel.to_string(),
        "recipient": channel.recipient.to_string(),
        "mint": channel.mint.to_string(),
        "unit_price": channel.ledger.unit_price.to_string(),
        "deposited": channel.ledger.deposited,
        "spent": channel.ledger.acknowledged,
        "left": left(channel),
        "last_seq": channel.ledger.last_signed,
        "refunded": channel.refunded,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_url_of_a_service_leads_to_its_channel() {
        for (url, kept) in [
            ("https://Api.Example:443/v1?x", "https://api.example"),
            ("WSS://api.example/feed", "https://api.example"),
            ("mcp://weather/forecast", "mcp://weather"),
        ] {
            assert_eq!(origin(url), kept);
            assert!(matches!(url.parse(), Ok(Target::Service(_))), "{url}");
        }
    }
}
