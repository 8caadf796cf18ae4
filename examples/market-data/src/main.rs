//! Market data by WebSocket, priced by the second: `cargo run -p amp-example-market-data`, after `make program`.

mod agent;
mod service;

use std::sync::Arc;
use std::time::Duration;

use amp_embedded::{ClockMode, EmbeddedChain};
use amp_sdk::chain::{Chain, TOKEN_PROGRAM};
use amp_sdk::protocol::money::Amount;
use amp_sdk::signer::{KeypairSigner, Signer as _};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let chain = EmbeddedChain::new(ClockMode::Wall)?;
    let mint = chain.create_mint(&TOKEN_PROGRAM)?;
    let (agent, service) = (KeypairSigner::generate(), KeypairSigner::generate());
    for (key, tokens) in [(&agent, 1_000_000), (&service, 0)] {
        chain.airdrop(&key.public_key(), 1_000_000_000)?;
        chain.mint_to(&mint, &key.public_key(), Amount::new(tokens))?;
    }
    let (folder, shared) = (tempfile::tempdir()?, Arc::new(chain.clone()) as Arc<dyn Chain>);
    let earner = mint.account_of(&service.public_key());
    let (running, url) = service::start(service, mint.address, shared.clone(), folder.path()).await?;
    let time = Duration::from_millis(3_500);
    let (receipt, prices) = agent::listen(agent, mint.address, shared, folder.path(), &url, time).await?;
    running.shutdown().await;
    let paid = chain.tokens(&earner);
    println!("{prices} prices in {time:?} cost {} base units; the service was paid {paid}", receipt.cost);
    anyhow::ensure!(paid == receipt.cost, "what was paid is not what it cost");
    Ok(())
}
