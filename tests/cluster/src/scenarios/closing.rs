use amp_sdk::client::CloseOutcome;
use anyhow::{bail, ensure};

use crate::cluster::Cluster;
use crate::patience::{eventually, pass};
use crate::town::{DEPOSIT, Shop, Town, buy_many, closed};

pub(crate) async fn a_forced_close_is_noticed_by_subscription_and_what_is_owed_is_settled_in_the_grace(
    cluster: &Cluster,
) -> anyhow::Result<()> {
    let town = &Town::found(cluster).await?;
    let shop = town.shop().await?;
    let (key, agent) = town.agent().await?;
    buy_many(&agent, &shop.quote(), 5).await?;
    eventually("the service is subscribed", async || Ok(is_subscribed(&shop).await)).await?;
    shop.lock_the_door();
    forced(town, &shop, &agent).await?;
    town.settled_between(&key, &shop).await?;
    shop.shut().await;
    Ok(())
}

/// The agent asks for the close on chain, as the service does not answer it; the service collects all it is owed
/// while the grace runs, and after it the agent has the rest back.
pub(crate) async fn forced(
    town: &Town<'_>,
    shop: &Shop,
    agent: &amp_sdk::client::Client,
) -> anyhow::Result<()> {
    let owed = shop.earned().saturating_sub(town.tokens(&shop.key).await?);
    let CloseOutcome::Requested { closable_from, .. } = agent.close(&shop.origin).await? else {
        bail!("a service that does not answer gave a close statement")
    };
    let chain = &*town.cluster.chain;
    eventually("the service settles what it is owed", async || {
        Ok(town.tokens(&shop.key).await? == shop.earned())
    })
    .await?;
    let now = amp_sdk::chain::Chain::clock(chain).await?.unix_timestamp;
    ensure!(now < closable_from, "it was settled after the grace: {now}, closable from {closable_from}");
    let CloseOutcome::Requested { .. } = agent.close(&shop.origin).await? else {
        bail!("it was closed before its grace was over")
    };
    pass(chain, closable_from).await?;
    let (refund, payout) = closed(&agent.close(&shop.origin).await?)?;
    ensure!((refund, payout) == (DEPOSIT.saturating_sub(owed), 0), "refund {refund}, payout {payout}");
    Ok(())
}

/// Whether the service is told of changes.
pub(crate) async fn is_subscribed(shop: &Shop) -> bool {
    shop.service.metrics().await.contains("amp_chain_subscribed 1\n")
}
