use std::time::Duration;

use amp_sdk::client::Expiry;
use amp_sdk::protocol::money::Amount;
use amp_sdk::signer::{KeypairSigner, Signer as _};
use anyhow::ensure;

use crate::cluster::Cluster;
use crate::town::{PRICE, Town, buy, buy_many, channel_of, closed};

pub(crate) async fn a_delegate_spends_what_its_funder_allows_and_no_more(
    cluster: &Cluster,
) -> anyhow::Result<()> {
    let town = &Town::found(cluster).await?;
    let shop = town.shop().await?;
    let (key, agent) = town.agent().await?;
    buy(&agent, &shop.quote()).await?;

    // it has neither tokens nor lamports
    let deputy_key = KeypairSigner::generate();
    let (limit, hour) = (Amount::new(3 * PRICE), Expiry::after(Duration::from_secs(3_600)));
    let made = agent.delegate(&shop.origin, &deputy_key.public_key(), limit, hour).await?;
    let deputy = town.client(cluster.chain.clone(), "deputy.db").delegate(deputy_key.clone()).build().await?;
    deputy.use_channel(&shop.origin, made.channel).await?;
    buy_many(&deputy, &shop.quote(), 3).await?;
    let refused = deputy.get(&shop.quote()).await;
    let refusal = refused.as_ref().err().and_then(|error| error.code());
    ensure!(refused.is_err(), "a call above the delegate's limit is served");
    ensure!(shop.served() == 4, "{} calls were answered; refusal {refusal:?}", shop.served());

    let channel = channel_of(&agent).await?;
    let settled = shop.settle(channel).await?;
    ensure!(settled.paid == Amount::new(4 * PRICE), "both signers are settled: {settled:?}");
    town.accounted().await?;

    // more is allowed, used once, and then the delegation is revoked
    agent.delegate(&shop.origin, &deputy_key.public_key(), Amount::new(6 * PRICE), hour).await?;
    // what the service knows of the delegation may be a channel_max_age old, and the delegate's own view too
    deputy.use_channel(&shop.origin, made.channel).await?;
    crate::patience::persist("the raised limit", async || buy(&deputy, &shop.quote()).await).await?;
    agent.revoke_delegate(&shop.origin, &deputy_key.public_key()).await?;
    let before = shop.served();
    crate::patience::eventually("the revoked delegate is refused", async || {
        Ok(deputy.get(&shop.quote()).await.is_err())
    })
    .await?;
    // served within the age of the service's view is collectable all the same
    let late = shop.served().saturating_sub(before);
    println!("     {late} calls of the revoked delegate were served within the view's age");

    // what the revoked delegate owes is settled by the service at once, or paid by the close
    closed(&agent.close(&shop.origin).await?)?;
    town.settled_between(&key, &shop).await?;
    shop.shut().await;
    Ok(())
}
