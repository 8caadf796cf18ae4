use std::time::Duration;

use amp_sdk::client::Expiry;
use amp_sdk::protocol::money::Amount;
use amp_sdk::signer::{KeypairSigner, Signer as _};
use anyhow::ensure;

use crate::cluster::Cluster;
use crate::town::{DEPOSIT, PRICE, TOKENS, Town, buy_many, closed};

/// More than the fees of what is done here: six transactions of at most three signatures, and a sponsor's
/// part of the rent that the service's worker may hold.
const MOST_FEES: u64 = 6 * 3 * 5_000;

pub(crate) async fn a_sponsor_pays_rent_and_fees_for_an_agent_without_a_lamport(
    cluster: &Cluster,
) -> anyhow::Result<()> {
    let town = &Town::found(cluster).await?;
    let shop = town.shop().await?;
    let (funder, sponsor) = (town.person_without_lamports(TOKENS).await?, town.person(0).await?);
    let before = cluster.lamports(&sponsor.public_key()).await?;
    let agent = town.client(cluster.chain.clone(), "sponsored.db").funder(funder.clone());
    let agent = agent.rent_payer(sponsor.clone()).deposit(Amount::new(DEPOSIT)).build().await?;
    buy_many(&agent, &shop.quote(), 3).await?;
    agent.top_up(&shop.origin, Amount::new(DEPOSIT)).await?;
    let deputy = KeypairSigner::generate().public_key();
    let hour = Expiry::after(Duration::from_secs(3_600));
    agent.delegate(&shop.origin, &deputy, Amount::new(PRICE), hour).await?;
    agent.revoke_delegate(&shop.origin, &deputy).await?;
    buy_many(&agent, &shop.quote(), 3).await?;
    town.accounted().await?;

    closed(&agent.close(&shop.origin).await?)?;
    let lamports = cluster.lamports(&funder.public_key()).await?;
    ensure!(lamports == 0, "the agent has {lamports} lamports");
    let after = cluster.lamports(&sponsor.public_key()).await?;
    let cost = before.checked_sub(after);
    ensure!(cost.is_some_and(|cost| cost <= MOST_FEES), "the sponsor had {before} lamports and has {after}");
    let earned = shop.earned();
    ensure!(earned == 6 * PRICE, "the handler answered {} calls", shop.served());
    town.settled_between(&funder, &shop).await?;
    shop.shut().await;
    Ok(())
}
