//! An orchestrator that gives two sub-agents budgets on its own channel: real bytecode on an embedded chain, real HTTP.
//! `make demo-agents`. Exits non-zero where the money does not add up.

mod orchestrator;

use std::net::SocketAddr;
use std::sync::Arc;

use amp_embedded::{ClockMode, EmbeddedChain};
use amp_sdk::chain::{Chain, TOKEN_PROGRAM};
use amp_sdk::client::{Client, CloseOutcome};
use amp_sdk::protocol::money::Amount;
use amp_sdk::server::{AmpLayer, AmpService, Payment, ServiceConfig, SqliteStore};
use amp_sdk::signer::{KeypairSigner, Signer};
use anyhow::{bail, ensure};
use axum::{Extension, Router, routing::get};

/// Base units of a search.
const PRICE: Amount = Amount::new(100);

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

    let config = ServiceConfig::new(Arc::new(recipient.clone()), mint.address, PRICE);
    let store = SqliteStore::open(folder.path().join("service.db"))?;
    let service = AmpService::start(config, shared.clone(), store).await?;
    // whose request it is, the service knows
    let search = |Extension(payment): Extension<Payment>| async move { payment.signer.to_string() };
    let app = Router::new().route("/search", get(search)).layer(AmpLayer::new(service));
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, app).await });

    let client = Client::builder().funder(funder.clone()).chain(shared.clone()).allow_mint(mint.address);
    let client =
        client.deposit(Amount::new(100_000)).store(folder.path().join("orchestrator.db")).build().await?;
    let channel = client.prepare(&url).await?.channel;
    eprintln!("  the orchestrator opened one channel, {channel}");
    let world = || (shared.clone(), mint.address, folder.path());
    let [reader, writer] = [("reader", Amount::new(1_200)), ("writer", Amount::new(700))];
    let sent = |agent| orchestrator::send_out(&client, &url, world(), agent);
    let (reads, writes) = tokio::try_join!(sent(reader), sent(writer))?;
    ensure!((reads, writes) == (12, 7), "each spends its own budget: {reads} and {writes}");
    // the orchestrator pays from the same channel
    ensure!(client.get(&format!("{url}/search")).await?.status().is_success(), "its own search");

    let CloseOutcome::Closed { payout, refund, .. } = client.close(&url).await? else { bail!("not closed") };
    eprintln!("  closed: {payout} to the service for all three, {refund} back to the orchestrator");
    let earned = chain.tokens(&mint.account_of(&recipient.public_key()));
    ensure!(Some(earned) == PRICE.checked_mul(20) && payout == earned, "the service has {earned}");
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn each_agent_spends_its_own_budget_and_the_service_is_paid_for_all() {
        super::main().unwrap();
    }
}
