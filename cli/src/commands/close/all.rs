//! Every channel of the store, as far as it is on this cluster: a store may hold those of several.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use amp_sdk::chain::ChainError;
use amp_sdk::client::{ChannelRecord, ChannelState, Client, ClientError};
use amp_sdk::protocol::text::network;
use serde_json::{Value, json};
use solana_address::Address;

use super::{outcome_json, plan, told};
use crate::commands::target::record_json;
use crate::confirm::confirm;
use crate::exit::{Exit, failure};
use crate::explain::explained;
use crate::output::{self, during, harmless};
use crate::settings::Settings;
use crate::token::Token;

/// What can't be read does not keep the others from being closed.
type Tokens = HashMap<Address, Result<Token, ChainError>>;

/// Tries all of them, whatever becomes of one; fails where one that is of this cluster was not closed.
pub(super) async fn all(settings: &Settings, client: &Client) -> anyhow::Result<()> {
    let mut open = client.channels().await?;
    open.retain(|record| record.state != ChannelState::Closed);
    let network = settings.network().await?;
    let mut tokens = Tokens::new();
    for record in &open {
        if let Entry::Vacant(unread) = tokens.entry(record.mint) {
            unread.insert(Token::read(&*settings.chain, &record.mint).await);
        }
    }
    let token = |record: &ChannelRecord| tokens.get(&record.mint).and_then(|read| read.as_ref().ok());
    let (skipped, here): (Vec<_>, Vec<_>) = open.iter().partition(|record| {
        let has_no_mint = matches!(tokens.get(&record.mint), Some(Err(ChainError::NoMint(_))));
        elsewhere(record.network.as_deref(), &network, has_no_mint)
    });
    let mut values: Vec<Value> = skipped.iter().map(|record| skip(record, &network)).collect();
    if here.is_empty() {
        output::print(settings.common.json, &json!(values), "no channel is open");
        return Ok(());
    }
    let plans: Vec<String> = here.iter().map(|record| plan(record, token(record))).collect();
    confirm(&plans.join("\n"), settings.common.yes)?;
    // what came into the store while somebody was asked was not agreed to
    let chosen = here.iter().map(|record| (*record).clone()).collect();
    let outcomes = during("closing", client.close_these(chosen)).await?;
    let now = settings.about_now().await;
    let (mut lines, mut failed, mut tried) = (Vec::new(), 0_usize, 0_usize);
    for (record, outcome) in &outcomes {
        let value = match outcome {
            Err(ClientError::OtherCluster { .. }) => {
                values.push(skip(record, &network));
                continue;
            }
            Ok(outcome) => {
                lines.push(format!("{}: {}", record.origin, told(outcome, token(record), now)));
                outcome_json(outcome)
            }
            Err(error) => {
                failed = failed.saturating_add(1);
                let text = explained(error, token(record)).to_string();
                lines.push(format!("{}: {text}", record.origin));
                json!({"failed": text})
            }
        };
        tried = tried.saturating_add(1);
        values.push(json!({"channel": record_json(record), "outcome": value}));
    }
    output::print(settings.common.json, &json!(values), &lines.join("\n"));
    if failed > 0 {
        let text = format!("{failed} of {tried} channels could not be closed; run it again");
        return Err(failure(Exit::Failed, text));
    }
    Ok(())
}

/// Whether a channel is on another cluster: by its record; where that does not say, or says the name that every chain
/// of one's own has, by its mint, without which no chain has the channel.
fn elsewhere(there: Option<&str>, here: &str, has_no_mint: bool) -> bool {
    match there {
        Some(there) if there != here => true,
        Some(network::LOCALNET) | None => has_no_mint,
        Some(_) => false,
    }
}

/// Says that a channel is left as it is.
fn skip(record: &ChannelRecord, here: &str) -> Value {
    let there = match record.network.as_deref() {
        Some(there) if there != here => format!("it is on {there}, and this is {here}"),
        _ => format!("there is no mint {} on this cluster, so it is of another", record.mint),
    };
    let text = format!("left as it is: channel {} to {}: {there}", record.channel, record.origin);
    eprintln!("{}", harmless(&text));
    json!({"channel": record_json(record), "outcome": {"skipped": there}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_elsewhere_by_its_record_or_where_that_says_little_by_its_mint() {
        for (there, here, has_no_mint, is_elsewhere) in [
            (Some(network::DEVNET), network::MAINNET_BETA, false, true),
            (Some(network::LOCALNET), network::DEVNET, false, true),
            (Some(network::LOCALNET), network::LOCALNET, true, true),
            (None, network::DEVNET, true, true),
            (None, network::DEVNET, false, false),
            (Some(network::LOCALNET), network::LOCALNET, false, false),
            // a node that does not know what must be there: an error, and nothing to pass over
            (Some(network::DEVNET), network::DEVNET, true, false),
        ] {
            assert_eq!(elsewhere(there, here, has_no_mint), is_elsewhere, "{there:?} {here} {has_no_mint}");
        }
    }
}
