//! A channel's life over RPC.

use std::sync::Arc;
use std::time::Duration;

use amp_sdk::chain::{ChainError, RpcChain, associated_token_address, token_amount};
use amp_sdk::client::{Client, CloseOutcome};
use amp_sdk::protocol::code::Code;
use amp_sdk::protocol::money::Amount;
use amp_sdk::server::{AmpLayer, AmpService, Denial, ServiceConfig, SqliteStore};
use amp_sdk::signer::{KeypairSigner, Signer};
use anyhow::{bail, ensure};
use axum::{Router, routing::get};
use solana_address::Address;

use crate::mint::{airdrop, mint_for};
use crate::validator::Validator;

const PRICE: u64 = 250;
const TOKENS: u64 = 1_000_000;
const INTERVAL: u32 = 5;

pub(crate) async fn live(validator: &Validator, token_program: &Address) -> anyhow::Result<()> {
    let (agent, recipient) = (KeypairSigner::generate(), KeypairSigner::generate());
    for person in [&agent, &recipient] {
        airdrop(validator, &person.public_key()).await?;
    }
    let mint = mint_for(validator, token_program, &agent, TOKENS).await?;
    let chain = Arc::new(RpcChain::new(validator.url.clone()));
    let folder = tempfile::tempdir()?;

    let config = ServiceConfig::new(Arc::new(recipient.clone()), mint, Amount::new(PRICE))
        .settle_interval(INTERVAL)
        .settle_every(3_600);
    let store = SqliteStore::open(folder.path().join("service.db"))?;
    let service = AmpService::start(config, chain.clone(), store).await?;
    let app = Router::new().route("/quote", get(|| async { "42" })).layer(AmpLayer::new(service.clone()));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    let origin = format!("http://{}", listener.local_addr()?);
    let server = tokio::spawn(async move { axum::serve(listener, app).await });

    let client = Client::builder()
        .funder(agent.clone())
        .chain(chain.clone())
        .allow_mint(mint)
        .deposit(Amount::new(PRICE * 20))
        .store(folder.path().join("client.db"))
        .build()
        .await?;
    let url = format!("{origin}/quote");
    for _ in 0..15_u32 {
        let answer = client.get(&url).await?;
        ensure!(answer.payment().is_some_and(|payment| payment.cost == Some(Amount::new(PRICE))), "not paid");
    }
    client.top_up(&origin, Amount::new(PRICE * 20)).await?;
    for _ in 0..15_u32 {
        client.get(&url).await?;
    }

    let channels = client.channels().await?;
    let [channel] = &channels[..] else { bail!("{} channels", channels.len()) };
    match service.settle(channel.channel).await {
        Ok(settled) => ensure!(settled.paid == Amount::new(PRICE * 30), "settled {settled:?}"),
        Err(Denial::Refused(body)) if body.error == Code::SettleEarly => {
            tokio::time::sleep(Duration::from_secs(u64::from(INTERVAL) + 2)).await;
            let settled = service.settle(channel.channel).await?;
            ensure!(settled.paid == Amount::new(PRICE * 30), "settled {settled:?}");
        }
        Err(denial) => bail!("the settlement: {denial}"),
    }
    client.get(&url).await?;
    match client.close(&origin).await? {
        CloseOutcome::Closed { refund, payout, .. } => {
            ensure!((refund.get(), payout.get()) == (PRICE * 9, PRICE), "refund {refund}, payout {payout}");
        }
        other => bail!("the close: {other:?}"),
    }
    server.abort();

    let holds = |owner: Address| associated_token_address(&owner, &mint, token_program);
    let amount =
        async |owner: Address| Ok::<_, ChainError>(token_amount(&*chain, &holds(owner)).await?.get());
    let (left, earned) = (amount(agent.public_key()).await?, amount(recipient.public_key()).await?);
    ensure!(
        (left, earned) == (TOKENS - 31 * PRICE, 31 * PRICE),
        "the agent has {left}, the service {earned}"
    );
    service.shutdown().await;
    Ok(())
}
