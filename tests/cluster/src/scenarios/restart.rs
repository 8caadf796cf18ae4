use amp_sdk::protocol::money::Amount;
use anyhow::ensure;

use crate::cluster::Cluster;
use crate::patience::persist;
use crate::scenarios::closing::is_subscribed;
use crate::town::{PRICE, Town, buy, buy_many, channel_of, closed};

pub(crate) async fn a_validator_is_killed_and_restarted_between_two_calls_and_nothing_is_lost(
    cluster: &Cluster,
) -> anyhow::Result<()> {
    let town = &Town::found(cluster).await?;
    let shop = town.shop().await?;
    let (key, agent) = town.agent().await?;
    buy_many(&agent, &shop.quote(), 4).await?;
    let channel = channel_of(&agent).await?;
    let settled = shop.settle(channel).await?;
    ensure!(settled.paid == Amount::new(4 * PRICE), "settled {settled:?}");
    buy_many(&agent, &shop.quote(), 2).await?;

    cluster.restart().await?;
    // client and service are the same as before; nobody told them
    persist("a call after the restart", async || buy(&agent, &shop.quote()).await).await?;
    buy_many(&agent, &shop.quote(), 2).await?;
    ensure!(channel_of(&agent).await? == channel, "it opened another channel");
    let (_, settled) = persist("the settlement", async || shop.settle(channel).await).await?;
    ensure!(settled.paid.get() >= PRICE, "settled {settled:?}");
    crate::patience::eventually("the service is subscribed again", async || Ok(is_subscribed(&shop).await))
        .await?;

    closed(&agent.close(&shop.origin).await?)?;
    let earned = shop.earned();
    ensure!(earned >= 9 * PRICE, "the handler answered {} calls", shop.served());
    town.settled_between(&key, &shop).await?;
    shop.shut().await;
    Ok(())
}
