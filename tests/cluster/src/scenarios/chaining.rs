use std::time::Duration;

use amp_sdk::client::Reclaimed;
use amp_sdk::protocol::money::Amount;
use amp_sdk::server::{ChainingError, SubChannel};
use anyhow::{Context as _, bail, ensure};

use crate::cluster::Cluster;
use crate::patience::pass;
use crate::town::{DEPOSIT, PRICE, TOKENS, Town, buy_many, channel_of, closed};

pub(crate) async fn a_service_pays_its_supplier_out_of_the_same_deposit(
    cluster: &Cluster,
) -> anyhow::Result<()> {
    let town = &Town::found(cluster).await?;
    let (shop, supplier) = (town.shop().await?, town.shop().await?);
    let key = town.person(TOKENS).await?;
    let agent = town.client(cluster.chain.clone(), "agent.db").funder(key.clone()).max_chain_depth(1);
    let agent = agent.deposit(Amount::new(DEPOSIT)).build().await?;
    buy_many(&agent, &shop.quote(), 6).await?;
    let upstream = channel_of(&agent).await?;

    let terms = || SubChannel::for_service(&supplier.service.discovery(), Amount::new(4 * PRICE));
    let chained = loop {
        match shop.service.chain(&upstream, terms()).await {
            Ok(chained) => break chained,
            // its interval has not passed
            Err(ChainingError::Rule(_)) => tokio::time::sleep(Duration::from_secs(1)).await,
            Err(error) => bail!("chaining: {error}"),
        }
    };
    ensure!(chained.deposit == Amount::new(4 * PRICE), "chained {chained:?}");
    town.accounted().await?;

    // the service pays with its own key, and without tokens
    let buyer = town.client(cluster.chain.clone(), "buyer.db").delegate(shop.key.clone()).build().await?;
    buyer.use_channel(&supplier.origin, chained.channel).await?;
    buy_many(&buyer, &supplier.quote(), 3).await?;
    let settled = supplier.settle(chained.channel).await?;
    ensure!(settled.paid == Amount::new(3 * PRICE), "the supplier settled {settled:?}");

    // 4 of 6 calls went on to the supplier's channel; the rest is the service's
    let (_, payout) = closed(&agent.close(&shop.origin).await?)?;
    ensure!(payout == 2 * PRICE, "the close paid {payout}");
    let Reclaimed::Requested { closable_from } = agent.reclaim(&chained.channel).await.context("reclaim")?
    else {
        bail!("a chained channel was closed before its grace")
    };
    pass(&*cluster.chain, closable_from).await?;
    let Reclaimed::Closed { refund, .. } = agent.reclaim(&chained.channel).await? else {
        bail!("a chained channel can't be closed after its grace")
    };
    ensure!(refund == Amount::new(PRICE), "{refund} came back");
    town.settled_up(&[
        ("the agent", &key, TOKENS - 5 * PRICE),
        ("the service", &shop.key, 2 * PRICE),
        ("the supplier", &supplier.key, 3 * PRICE),
    ])
    .await?;
    shop.shut().await;
    supplier.shut().await;
    Ok(())
}
