use amp_sdk::protocol::code::Code;
use amp_sdk::protocol::money::Amount;
use amp_sdk::server::Denial;
use anyhow::{bail, ensure};

use crate::cluster::Cluster;
use crate::town::{DEPOSIT, PRICE, Town, buy_many, channel_of, closed};

pub(crate) async fn a_channel_lives_from_its_opening_to_its_close_over_http(
    cluster: &Cluster,
) -> anyhow::Result<()> {
    live(&Town::found(cluster).await?).await
}

pub(crate) async fn a_channel_in_a_token_2022_mint_lives_the_same_life(
    cluster: &Cluster,
) -> anyhow::Result<()> {
    live(&Town::found_with_token_2022(cluster).await?).await
}

async fn live(town: &Town<'_>) -> anyhow::Result<()> {
    let shop = town.shop().await?;
    let (key, agent) = town.agent().await?;
    let unpaid = status_unpaid(&shop.quote()).await?;
    ensure!(unpaid == 402, "without a credential the answer is {unpaid}");
    buy_many(&agent, &shop.quote(), 15).await?;
    agent.top_up(&shop.origin, Amount::new(DEPOSIT)).await?;
    buy_many(&agent, &shop.quote(), 15).await?;
    town.accounted().await?;

    let channel = channel_of(&agent).await?;
    let settled = shop.settle(channel).await?;
    ensure!(settled.paid == Amount::new(30 * PRICE), "settled {settled:?}");
    ensure!(town.tokens(&shop.key).await? == 30 * PRICE, "the service has something else");
    buy_many(&agent, &shop.quote(), 1).await?;
    match shop.service.settle(channel).await {
        Err(Denial::Refused(body)) if body.error == Code::SettleEarly => {}
        other => bail!("a settlement before the interval has passed: {other:?}"),
    }
    town.accounted().await?;

    let (refund, payout) = closed(&agent.close(&shop.origin).await?)?;
    ensure!((refund, payout) == (2 * DEPOSIT - 31 * PRICE, PRICE), "refund {refund}, payout {payout}");
    let earned = shop.earned();
    ensure!(earned == 31 * PRICE, "the handler answered {} calls", shop.served());
    town.settled_between(&key, &shop).await?;
    shop.shut().await;
    Ok(())
}

/// The status of an answer to somebody who does not pay.
async fn status_unpaid(url: &str) -> anyhow::Result<u16> {
    Ok(reqwest::get(url).await?.status().as_u16())
}
