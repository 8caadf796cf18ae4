//! One store, one key, one service, and two clusters with the same program: the second is a fork of the first.

use amp_protocol::money::Amount;

use super::chain::Weather;
use super::*;
use crate::chain::PROGRAM_ID;
use crate::client::{ChannelRecord, CloseOutcome, Elsewhere, Reclaimed};

const HERE: &str = "solana:localnet";
const ELSEWHERE: &str = "solana:elsewhere";

impl World {
    fn elsewhere(&self) -> ClientBuilder {
        self.builder().network(ELSEWHERE).program_id(PROGRAM_ID)
    }

    /// The service settles on this cluster from now on.
    fn settle_on(&self, network: &str) {
        self.service.inner().document.network = network.to_owned();
    }
}

fn by_cluster(records: Vec<ChannelRecord>) -> Vec<(String, ChannelState)> {
    records.into_iter().map(|record| (record.network.unwrap_or_default(), record.state)).collect()
}

fn is_elsewhere<T: std::fmt::Debug>(outcome: Result<T, ClientError>) -> bool {
    let refused = outcome.unwrap_err();
    matches!(refused, ClientError::OtherCluster { reason: Elsewhere::Network { .. }, .. })
}

#[tokio::test]
async fn a_deposit_is_recorded_on_its_own_cluster_though_an_opening_failed_on_another() {
    let world = World::new().await;
    world.settle_on(ELSEWHERE);
    world.chain.state().weather = Some(Weather::Refused);
    world.pay(&world.elsewhere().build().await.unwrap()).await.unwrap_err();
    world.settle_on(HERE);
    let client = world.client().await;
    world.seq(&client).await;
    let records = by_cluster(client.channels().await.unwrap());
    let expected = [(HERE, ChannelState::Open), (ELSEWHERE, ChannelState::Opening)];
    assert_eq!(records, expected.map(|(network, state)| (network.to_owned(), state)));
    let outcome = client.close(&world.service.origin).await.unwrap();
    assert!(matches!(outcome, CloseOutcome::Closed { .. }), "{outcome:?}");
    assert_eq!(world.chain.tokens(&world.funder.public_key()), 1_000_000 - PRICE);
}

#[tokio::test]
async fn a_channel_of_one_cluster_does_not_keep_a_service_from_being_paid_on_another() {
    let world = World::new().await;
    let (client, channel) = world.funded().await;
    let id = client.channels().await.unwrap()[0].id;
    world.settle_on(ELSEWHERE);
    for state in [ChannelState::Open, ChannelState::Disputed] {
        client.inner.store.set_state(id, state, Amount::ZERO).await.unwrap();
        let other = world.elsewhere().build().await.unwrap();
        let record = other.prepare(&world.url("/paid")).await.unwrap();
        assert_ne!(record.channel, channel);
        let topped_up = other.top_up(&world.service.origin, Amount::new(10)).await.unwrap();
        assert_eq!(topped_up.channel, record.channel);
    }
}

#[tokio::test]
async fn a_newer_channel_of_another_cluster_does_not_hide_one_that_has_to_be_closed() {
    let world = World::new().await;
    let (client, channel) = world.funded().await;
    client.request_close(&channel).await.unwrap();
    world.settle_on(ELSEWHERE);
    let other = world.elsewhere().build().await.unwrap();
    other.prepare(&world.url("/paid")).await.unwrap();
    world.chain.state().time += 60;
    let outcome = client.close(&world.service.origin).await.unwrap();
    assert!(matches!(outcome, CloseOutcome::Closed { .. }), "{outcome:?}");
    assert_eq!(world.states(&client).await, [ChannelState::Open, ChannelState::Closed]);
    let elsewhere: Vec<_> =
        client.channels().await.unwrap().iter().map(|record| client.is_elsewhere(record)).collect();
    assert_eq!(elsewhere, [true, false]);
    // nothing is left here: the one that is elsewhere is named
    assert!(is_elsewhere(client.close(&world.service.origin).await));
}

#[tokio::test]
async fn an_opening_of_another_cluster_does_not_keep_the_stale_ones_of_this_in_the_budget() {
    let world = World::new().await;
    let refuse = || world.chain.state().weather = Some(Weather::Refused);
    let client = world.builder().total_budget(Some(Amount::new(25_000))).build().await.unwrap();
    refuse();
    world.pay(&client).await.unwrap_err();
    let next = service::FakeService::start(world.chain.clone()).await;
    next.inner().document.network = ELSEWHERE.to_owned();
    refuse();
    let other = world.elsewhere().build().await.unwrap();
    other.get(&format!("{}/paid", next.origin)).await.unwrap_err();
    client.inner.store.age_openings().await;
    let last = service::FakeService::start(world.chain.clone()).await;
    client.prepare(&format!("{}/paid", last.origin)).await.unwrap();
    let records = by_cluster(client.channels().await.unwrap());
    let expected = [(HERE, ChannelState::Open), (ELSEWHERE, ChannelState::Opening)];
    assert_eq!(records, expected.map(|(network, state)| (network.to_owned(), state)));
}

#[tokio::test]
async fn a_channel_that_the_store_knows_from_another_cluster_is_recovered() {
    let world = World::new().await;
    let client = world.client().await;
    world.seq(&client).await;
    let channel = client.channels().await.unwrap()[0].channel;
    world.settle_on(ELSEWHERE);
    let other = world.elsewhere().build().await.unwrap();
    let found = other.recover(&world.service.origin).await.unwrap();
    assert_eq!(found.iter().map(|record| record.channel).collect::<Vec<_>>(), [channel]);
    assert_eq!(by_cluster(found), [(ELSEWHERE.to_owned(), ChannelState::Open)]);
    assert_eq!(other.channels().await.unwrap().len(), 2);
    assert_eq!(other.recover(&world.service.origin).await.unwrap(), []);
    assert_eq!(world.seq(&other).await, 2 * PRICE, "it goes on where the service shows that it was");
}

#[tokio::test]
async fn an_address_that_another_cluster_has_is_not_said_to_be_closed() {
    let world = World::new().await;
    let (client, channel) = world.funded().await;
    let other = world.elsewhere().build().await.unwrap();
    let come_back = world.chain.lose_all_tokens();
    let refused = client.request_close(&channel).await.unwrap_err();
    assert!(matches!(refused, ClientError::OtherCluster { reason: Elsewhere::Mint(MINT), .. }), "{refused}");
    come_back();
    world.chain.remove(&channel);
    assert!(is_elsewhere(other.request_close(&channel).await));
    assert!(is_elsewhere(other.close_by_address(&channel).await));
    assert!(is_elsewhere(other.reclaim(&channel).await));
    for own in [client.request_close(&channel).await, client.reclaim(&channel).await] {
        assert!(matches!(own, Ok(Reclaimed::AlreadyClosed)), "{own:?}");
    }
}

#[tokio::test]
async fn a_close_on_a_fork_is_not_booked_on_the_original() {
    let world = World::new().await;
    let (client, channel) = world.funded().await;
    let other = world.elsewhere().build().await.unwrap();
    other.request_close(&channel).await.unwrap();
    assert_eq!(world.states(&client).await, [ChannelState::Open]);
}

#[tokio::test]
async fn a_delegates_channel_does_not_end_where_another_cluster_has_none() {
    let world = World::new().await;
    let (funder, channel) = world.funded().await;
    let (agent, key) = world.agent(&funder, 1_000).await;
    world.seq(&agent).await;
    let record = agent.channels().await.unwrap().remove(0);
    world.chain.remove(&channel);
    world.settle_on(ELSEWHERE);
    let builder = world.agent_builder(&key).network(ELSEWHERE).program_id(PROGRAM_ID);
    let other = builder.build().await.unwrap();
    let refused = world.pay(&other).await.unwrap_err();
    assert!(matches!(refused, ClientError::NoChannelNamed { .. }), "{refused}");
    let service = other.service_of(&world.service.origin).unwrap();
    assert!(is_elsewhere(other.look_again(&service, &record).await));
    assert_eq!(world.states(&agent).await, [ChannelState::Open]);
    // by its mint, where two clusters have one name
    let come_back = world.chain.lose_all_tokens();
    let service = agent.service_of(&world.service.origin).unwrap();
    let refused = agent.look_again(&service, &record).await.unwrap_err();
    assert!(matches!(refused, ClientError::OtherCluster { reason: Elsewhere::Mint(MINT), .. }), "{refused}");
    assert_eq!(world.states(&agent).await, [ChannelState::Open]);
    come_back();
    let refused = agent.look_again(&service, &record).await.unwrap_err();
    assert!(matches!(refused, ClientError::NotDelegated { .. }), "{refused}");
    assert_eq!(world.states(&agent).await, [ChannelState::Ended]);
}
