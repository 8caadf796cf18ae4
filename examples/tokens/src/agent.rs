//! The side that pays.

use amp_sdk::client::Client;
use amp_sdk::protocol::money::Amount;
use anyhow::Context;

/// Has a prompt completed, and pays for each token as it comes; returns the tokens and what they cost.
pub(crate) async fn complete(client: &Client, url: &str, prompt: &str) -> anyhow::Result<(u64, Amount)> {
    let mut answer = client.post(url, prompt.to_owned()).await?;
    anyhow::ensure!(answer.status().is_success(), "{}", answer.status());
    let mut text = String::new();
    // reading is paying: the client signs for a little more than what has come
    while let Some(piece) = answer.chunk().await? {
        text.push_str(&String::from_utf8_lossy(&piece));
    }
    // events that have a name are the service's own, of the payment
    let tokens = text.split("\n\n").filter(|event| event.starts_with("data: "));
    let cost = answer.payment().and_then(|payment| payment.cost).context("the last event says so")?;
    Ok((u64::try_from(tokens.count())?, cost))
}
