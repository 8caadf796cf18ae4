//! A model whose tokens are paid for one by one, and an agent that pays as it reads: real bytecode on an embedded
//! chain, real server-sent events. `make demo-tokens`. Exits non-zero where the money does not add up.

mod agent;
mod server;

use std::sync::Arc;

use amp_embedded::{ClockMode, EmbeddedChain};
use amp_sdk::chain::{Chain, TOKEN_PROGRAM};
use amp_sdk::client::{Client, CloseOutcome};
use amp_sdk::protocol::money::Amount;
use amp_sdk::server::{ServiceConfig, SqliteStore};
use amp_sdk::signer::{KeypairSigner, Signer};
use anyhow::{bail, ensure};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let chain = EmbeddedChain::new(ClockMode::Wall)?;
    let mint = chain.create_mint(&TOKEN_PROGRAM)?;
    let [recipient, funder] = [(); 2].map(|()| KeypairSigner::generate());
    for (key, tokens) in [(&recipient, 0), (&funder, 1_000_000)] {
        chain.airdrop(&key.public_key(), 1_000_000_000)?;
        chain.mint_to(&mint, &key.public_key(), Amount::new(tokens))?;
    }
    let folder = tempfile::tempdir()?;
    let shared: Arc<dyn Chain> = Arc::new(chain.clone());

    let config = ServiceConfig::new(Arc::new(recipient.clone()), mint.address, Amount::ZERO);
    let store = SqliteStore::open(folder.path().join("service.db"))?;
    let (url, _service) = server::serve(config, shared.clone(), store).await?;
    eprintln!("  a model at {url}, {} base units a token", server::PRICE);

    let client = Client::builder().funder(funder.clone()).chain(shared).allow_mint(mint.address);
    let client = client.deposit(Amount::new(100_000)).store(folder.path().join("agent.db")).build().await?;
    let mut spent = Amount::ZERO;
    for words in [3, 200, 1_000] {
        let (tokens, cost) = agent::complete(&client, &url, &"word ".repeat(words)).await?;
        eprintln!("  {tokens} tokens cost {cost} base units");
        ensure!(
            Amount::new(server::PRICE).checked_mul(tokens) == Some(cost),
            "tokens that cost something else"
        );
        spent = spent.checked_add(cost).unwrap_or(Amount::MAX);
    }

    let CloseOutcome::Closed { payout, refund, .. } = client.close(&url).await? else { bail!("not closed") };
    eprintln!(
        "  the agent closed its channel: {payout} to the model, {refund} back, two transactions in all"
    );
    let earned = chain.tokens(&mint.account_of(&recipient.public_key()));
    ensure!(earned == spent && payout == spent, "the model has {earned}");
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_model_earns_its_price_for_each_token_and_nothing_else() {
        super::main().unwrap();
    }
}
