//! The agent that has the money. Its sub-agents have a key each, and neither tokens nor lamports.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use amp_sdk::chain::Chain;
use amp_sdk::client::{Client, ClientError, Expiry};
use amp_sdk::protocol::money::Amount;
use amp_sdk::signer::{KeypairSigner, Signer as _};
use solana_address::Address;

/// Gives a sub-agent so much of the orchestrator's channel, for an hour, and lets it work until that is spent.
pub(crate) async fn send_out(
    funder: &Client,
    service: &str,
    (chain, mint, folder): (Arc<dyn Chain>, Address, &Path),
    (name, budget): (&str, Amount),
) -> anyhow::Result<u64> {
    let key = KeypairSigner::generate();
    let expiry = Expiry::after(Duration::from_secs(3_600));
    let delegation = funder.delegate(service, &key.public_key(), budget, expiry).await?;

    // all that a sub-agent is told: its key, and the channel
    let store = folder.join(format!("{name}.db"));
    let agent = Client::builder().delegate(key).chain(chain).allow_mint(mint).store(store).build().await?;
    agent.use_channel(service, delegation.channel).await?;
    let mut calls = 0_u64;
    loop {
        match agent.get(&format!("{service}/search")).await {
            Ok(answer) => anyhow::ensure!(answer.status().is_success(), "{}", answer.status()),
            // its own client says so, before anything is sent
            Err(ClientError::LimitReached { .. }) => break,
            Err(error) => return Err(error.into()),
        }
        calls = calls.saturating_add(1);
    }
    eprintln!("  {name}: {calls} searches, and its {budget} base units are spent");
    Ok(calls)
}
