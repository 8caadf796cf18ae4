use std::collections::BTreeSet;

use amp_sdk::chain::TransactionFormat;
use amp_sdk::client::Client;
use amp_sdk::signer::KeypairSigner;
use anyhow::ensure;
use futures::future::try_join_all;
use solana_signature::Signature;

use crate::cluster::Cluster;
use crate::patience::eventually;
use crate::town::{PRICE, Shop, TOKENS, Town, buy_many, channel_of, closed};

/// Calls of each agent.
const CALLS: u64 = 2;

pub(crate) async fn ten_channels_are_settled_in_one_transaction(cluster: &Cluster) -> anyhow::Result<()> {
    let town = &Town::found(cluster).await?;
    let shop = town.shop().await?;
    let agents = customers(town, &shop, 10).await?;
    let transactions = settle_all(town, &shop, &agents).await?;
    match cluster.format().await {
        TransactionFormat::V1 => {
            ensure!(transactions.len() == 1, "ten channels took {} transactions", transactions.len());
        }
        TransactionFormat::V0 => {
            println!("     this cluster takes packets alone: three channels in each");
            ensure!(transactions.len() == 4, "ten channels took {} transactions", transactions.len());
        }
    }
    town.accounted().await?;
    close_all(town, &shop, &agents).await?;
    shop.shut().await;
    Ok(())
}

/// So many agents, each with a channel of which the service is owed `CALLS` calls.
pub(crate) async fn customers(
    town: &Town<'_>,
    shop: &Shop,
    count: usize,
) -> anyhow::Result<Vec<(KeypairSigner, Client)>> {
    try_join_all((0..count).map(|_| async {
        let (key, agent) = town.agent().await?;
        buy_many(&agent, &shop.quote(), CALLS).await?;
        anyhow::Ok((key, agent))
    }))
    .await
}

/// Settles all channels at once when their intervals have passed; the transactions that took.
pub(crate) async fn settle_all(
    town: &Town<'_>,
    shop: &Shop,
    agents: &[(KeypairSigner, Client)],
) -> anyhow::Result<BTreeSet<Signature>> {
    // the last channel that was opened can be settled last
    let mut closable = i64::MIN;
    for (_, agent) in agents {
        let channel = channel_of(agent).await?;
        let account =
            amp_sdk::chain::channel(&*town.cluster.chain, &town.cluster.program_id, &channel).await?;
        let opened = account.map_or(i64::MIN, |account| account.opened_at);
        closable = closable.max(opened.saturating_add(crate::town::INTERVAL.into()));
    }
    crate::patience::pass(&*town.cluster.chain, closable).await?;
    let outcomes = shop.service.settle_all().await;
    ensure!(outcomes.len() == agents.len(), "{} channels of {}", outcomes.len(), agents.len());
    let mut transactions = BTreeSet::new();
    for (channel, outcome) in outcomes {
        let settled = outcome.map_err(|denial| anyhow::anyhow!("{channel}: {denial}"))?;
        ensure!(settled.paid.get() == CALLS * PRICE, "{channel} was paid {}", settled.paid);
        transactions.extend(settled.transactions);
    }
    let owed = shop.earned();
    eventually("all of it has arrived", async || Ok(town.tokens(&shop.key).await? == owed)).await?;
    Ok(transactions)
}

/// Closes what is open, and holds the money of all against what was served.
pub(crate) async fn close_all(
    town: &Town<'_>,
    shop: &Shop,
    agents: &[(KeypairSigner, Client)],
) -> anyhow::Result<()> {
    try_join_all(agents.iter().map(|(_, agent)| async { closed(&agent.close(&shop.origin).await?) })).await?;
    let each = TOKENS - CALLS * PRICE;
    let mut expected: Vec<_> = agents.iter().map(|(key, _)| ("an agent", key, each)).collect();
    expected.push(("the service", &shop.key, shop.earned()));
    town.settled_up(&expected).await
}
