use amp_sdk::protocol::money::Amount;
use anyhow::ensure;

use crate::cluster::Cluster;
use crate::town::{DEPOSIT, PRICE, Town, buy_many, channel_of, closed};

pub(crate) async fn an_agent_that_lost_its_store_resumes_its_channel(
    cluster: &Cluster,
) -> anyhow::Result<()> {
    let town = &Town::found(cluster).await?;
    let shop = town.shop().await?;
    let (key, agent) = town.agent().await?;
    buy_many(&agent, &shop.quote(), 4).await?;
    let channel = channel_of(&agent).await?;
    drop(agent);

    let agent = town.client(cluster.chain.clone(), "new.db").funder(key.clone());
    let agent = agent.deposit(Amount::new(DEPOSIT)).build().await?;
    ensure!(agent.channels().await?.is_empty(), "a new store knows something");
    let found = agent.recover(&shop.origin).await?;
    ensure!(found.len() == 1 && channel_of(&agent).await? == channel, "recovered {found:?}");
    buy_many(&agent, &shop.quote(), 3).await?;
    ensure!(channel_of(&agent).await? == channel, "it opened another channel");
    let status = agent.status(&shop.origin).await?;
    ensure!(status.spent == Amount::new(7 * PRICE), "the service says {status:?}");

    closed(&agent.close(&shop.origin).await?)?;
    let earned = shop.earned();
    ensure!(earned == 7 * PRICE, "the handler answered {} calls", shop.served());
    town.settled_between(&key, &shop).await?;
    shop.shut().await;
    Ok(())
}
