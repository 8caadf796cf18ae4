//! Nodes that fail. After each of these, too, every base unit is where it belongs, and none is stuck.

use amp_sdk::chain::Chain as _;
use amp_sdk::client::Client;
use amp_sdk::protocol::money::Amount;
use amp_sdk::signer::KeypairSigner;
use anyhow::ensure;

use super::closing::{forced, is_subscribed};
use crate::cluster::{Cluster, Fault, FaultyNode};
use crate::patience::{eventually, pass, persist};
use crate::town::{DEPOSIT, INTERVAL, PRICE, Shop, TOKENS, Town, buy, buy_many, channel_of};

/// A service and an agent that know the chain by a node that fails.
struct Scene {
    node: FaultyNode,
    shop: Shop,
    key: KeypairSigner,
    agent: Client,
}

impl Scene {
    async fn set(town: &Town<'_>) -> anyhow::Result<Self> {
        let node = town.cluster.faulty_node().await?;
        let shop = town.shop_on(node.chain()).await?;
        let (key, agent) = town.agent_on(node.chain()).await?;
        Ok(Self { node, shop, key, agent })
    }

    /// A life with everything in it that sends a transaction, each step done again until it works: opening, top-up,
    /// settlement, close.
    async fn live(&self, town: &Town<'_>, before_each: impl Fn(&FaultyNode)) -> anyhow::Result<()> {
        let Self { node, shop, key, agent } = self;
        before_each(node);
        persist("the first call", async || buy(agent, &shop.quote()).await).await?;
        before_each(node);
        // a top-up that nobody knows of is not done twice: whoever asks again looks first
        let channel = channel_of(agent).await?;
        let deposit = async || {
            let found =
                amp_sdk::chain::channel(&*town.cluster.chain, &town.cluster.program_id, &channel).await?;
            anyhow::Ok(found.map_or(0, |account| account.books.deposited.get()))
        };
        if agent.top_up(&shop.origin, Amount::new(DEPOSIT)).await.is_err() {
            eventually("a failed top-up comes to nothing, or is done once", async || {
                let failed = agent.top_up(&shop.origin, Amount::new(DEPOSIT)).await.is_err();
                Ok(!failed || deposit().await? > DEPOSIT)
            })
            .await?;
        }
        persist("a call", async || buy(agent, &shop.quote()).await).await?;
        town.accounted().await?;
        before_each(node);
        let owed = shop.earned();
        eventually("the settlement", async || {
            let _ = shop.settle(channel).await;
            Ok(town.tokens(&shop.key).await? == owed)
        })
        .await?;
        town.accounted().await?;
        persist("another call", async || buy(agent, &shop.quote()).await).await?;
        before_each(node);
        eventually("the close", async || {
            let _ = agent.close(&shop.origin).await;
            Ok(town.accounted().await?.channels == 0)
        })
        .await?;
        town.settled_between(key, shop).await
    }
}

pub(crate) async fn requests_that_time_out_cost_time_and_no_money(cluster: &Cluster) -> anyhow::Result<()> {
    let town = &Town::found(cluster).await?;
    let scene = Scene::set(town).await?;
    for method in ["sendTransaction", "getSignatureStatuses", "getLatestBlockhash", "getAccountInfo"] {
        scene.node.fail(method, Fault::Hang, 1);
    }
    scene.live(town, |_| {}).await?;
    let applied = scene.node.applied(Fault::Hang);
    ensure!(applied == 4, "{applied} requests timed out");
    scene.shop.shut().await;
    Ok(())
}

pub(crate) async fn a_node_that_says_too_many_requests_is_asked_again(
    cluster: &Cluster,
) -> anyhow::Result<()> {
    let town = &Town::found(cluster).await?;
    let scene = Scene::set(town).await?;
    scene.live(town, |node| node.fail("*", Fault::TooMany, 4)).await?;
    let applied = scene.node.applied(Fault::TooMany);
    ensure!(applied == 16, "{applied} requests were refused");
    scene.shop.shut().await;
    Ok(())
}

pub(crate) async fn a_stale_node_makes_nobody_serve_or_claim_what_is_not_there(
    cluster: &Cluster,
) -> anyhow::Result<()> {
    let town = &Town::found(cluster).await?;
    // the service's node lags; the agent's does not
    let node = cluster.faulty_node().await?;
    let shop = town.shop_on(node.chain()).await?;
    let key = town.person(TOKENS).await?;
    let agent = town.client(cluster.chain.clone(), "agent.db").funder(key.clone()).auto_top_up(false);
    let agent = agent.deposit(Amount::new(3 * PRICE)).build().await?;
    buy_many(&agent, &shop.quote(), 3).await?;
    let channel = channel_of(&agent).await?;

    // its interval passes, the service's watch has seen that, and then its node stops following
    let now = cluster.chain.clock().await?.unix_timestamp;
    pass(&*cluster.chain, now.saturating_add(i64::from(INTERVAL) + 4)).await?;
    node.cut_subscriptions(true);
    node.be_stale(true);
    agent.top_up(&shop.origin, Amount::new(3 * PRICE)).await?;
    let refused = agent.get(&shop.quote()).await;
    ensure!(
        refused.is_err() || refused.is_ok_and(|answer| answer.status() != 200),
        "served above what it knew"
    );
    ensure!(shop.served() == 3, "{} calls were served", shop.served());

    // what is settled is what the chain says, whatever the node shows: never twice
    eventually("the settlement lands", async || {
        let _ = shop.service.settle(channel).await;
        Ok(town.tokens(&shop.key).await? == 3 * PRICE)
    })
    .await?;
    let _ = shop.service.settle(channel).await;
    town.accounted().await?;
    ensure!(town.tokens(&shop.key).await? == 3 * PRICE, "settled twice");

    node.be_stale(false);
    node.cut_subscriptions(false);
    persist("a call when the node follows again", async || buy(&agent, &shop.quote()).await).await?;
    eventually("the close", async || {
        let _ = agent.close(&shop.origin).await;
        Ok(town.accounted().await?.channels == 0)
    })
    .await?;
    town.settled_between(&key, &shop).await?;
    shop.shut().await;
    Ok(())
}

pub(crate) async fn when_subscriptions_are_dropped_a_forced_close_is_noticed_by_looking(
    cluster: &Cluster,
) -> anyhow::Result<()> {
    let town = &Town::found(cluster).await?;
    let Scene { node, shop, key, agent } = Scene::set(town).await?;
    eventually("the service is subscribed", async || Ok(is_subscribed(&shop).await)).await?;
    buy_many(&agent, &shop.quote(), 5).await?;
    node.cut_subscriptions(true);
    eventually("the service knows that it is told nothing", async || Ok(!is_subscribed(&shop).await)).await?;
    shop.lock_the_door();
    forced(town, &shop, &agent).await?;
    node.cut_subscriptions(false);
    eventually("the service is subscribed again", async || Ok(is_subscribed(&shop).await)).await?;
    town.settled_between(&key, &shop).await?;
    shop.shut().await;
    Ok(())
}

pub(crate) async fn transactions_whose_blockhash_expires_are_done_once_all_the_same(
    cluster: &Cluster,
) -> anyhow::Result<()> {
    let town = &Town::found(cluster).await?;
    let scene = Scene::set(town).await?;
    scene.live(town, |node| node.fail("sendTransaction", Fault::Swallow, 1)).await?;
    let applied = scene.node.applied(Fault::Swallow);
    ensure!(applied == 4, "{applied} transactions expired");
    scene.shop.shut().await;
    Ok(())
}

pub(crate) async fn transactions_that_land_though_the_answer_was_lost_are_done_once(
    cluster: &Cluster,
) -> anyhow::Result<()> {
    let town = &Town::found(cluster).await?;
    let scene = Scene::set(town).await?;
    scene.live(town, |node| node.fail("sendTransaction", Fault::LoseAnswer, 1)).await?;
    let applied = scene.node.applied(Fault::LoseAnswer);
    ensure!(applied == 4, "{applied} answers were lost");
    scene.shop.shut().await;
    Ok(())
}
