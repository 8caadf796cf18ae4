use amp_protocol::code::Code;
use amp_protocol::money::Amount;

use super::chain::Weather;
use super::*;
use crate::chain::ChainError;
use crate::client::{ChannelRecord, PolicyError};

#[tokio::test]
async fn too_few_tokens_are_told_with_account_and_amount_before_anything_is_sent() {
    let world = World::new().await;
    let poor = KeypairSigner::generate();
    world.chain.give(&poor.public_key(), 9_999);
    let client = world.builder().funder(poor).build().await.unwrap();
    let refused = world.pay(&client).await.unwrap_err();
    assert!(refused.to_string().contains("send it 1 more"), "{refused}");
    assert!(matches!(refused, ClientError::InsufficientFunds { .. }));
    assert_eq!(world.chain.state().done.len(), 0);
    assert_eq!(world.states(&client).await, []);
}

#[tokio::test]
async fn an_opening_whose_confirmation_got_lost_is_adopted_at_once() {
    let world = World::new().await;
    world.chain.state().weather = Some(Weather::Unheard);
    let client = world.client().await;
    world.seq(&client).await;
    assert_eq!(world.chain.count("open_channel"), 1);
}

#[tokio::test]
async fn an_opening_that_landed_after_a_crash_is_adopted_by_the_next_run() {
    let world = World::new().await;
    world.chain.state().weather = Some(Weather::Late);
    let client = world.client().await;
    let unconfirmed = world.pay(&client).await.unwrap_err();
    assert!(matches!(unconfirmed, ClientError::Chain(ChainError::Unconfirmed { .. })), "{unconfirmed}");
    assert_eq!(world.states(&client).await, [ChannelState::Opening]);
    drop(client);
    world.chain.land();
    let client = world.client().await;
    world.seq(&client).await;
    assert_eq!(world.chain.count("open_channel"), 1);
    assert_eq!(world.chain.tokens(&world.funder.public_key()), 990_000);
}

#[tokio::test]
async fn an_opening_that_never_landed_is_sent_again_to_the_same_address() {
    let world = World::new().await;
    world.chain.state().weather = Some(Weather::Dropped);
    let client = world.client().await;
    assert!(world.pay(&client).await.is_err());
    let intended = client.channels().await.unwrap()[0].channel;
    drop(client);
    let client = world.client().await;
    world.seq(&client).await;
    // one address: of the two transactions only one could ever have moved the deposit
    assert_eq!(client.channels().await.unwrap()[0].channel, intended);
    assert_eq!(client.channels().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_closed_channel_is_replaced_at_a_new_address() {
    let world = World::new().await;
    let client = world.client().await;
    world.seq(&client).await;
    let old = client.channels().await.unwrap()[0].channel;
    world.chain.remove(&old);
    world.service.refuse(Code::Closed);
    assert_eq!(world.seq(&client).await, PRICE);
    let records = client.channels().await.unwrap();
    assert_ne!(records[0].channel, old);
    assert_eq!(world.states(&client).await, [ChannelState::Open, ChannelState::Closed]);
    // what was not signed for came back, so far as this client can know
    assert_eq!(records[1].refunded, Amount::new(10_000 - 2 * PRICE));
}

#[tokio::test]
async fn a_service_that_forgot_a_closed_channel_is_paid_on_a_new_one() {
    let world = World::new().await;
    let client = world.client().await;
    world.seq(&client).await;
    let old = client.channels().await.unwrap()[0].channel;
    world.chain.remove(&old);
    // the fake service finds no such channel on chain and answers AMP_NO_CHANNEL
    assert_eq!(world.seq(&client).await, PRICE);
    assert_eq!(world.chain.count("open_channel"), 2);
}

#[tokio::test]
async fn channels_of_all_services_share_the_total_budget() {
    let world = World::new().await;
    let client = world.builder().total_budget(Some(Amount::new(15_000))).build().await.unwrap();
    world.seq(&client).await;
    let other = service::FakeService::start(world.chain.clone()).await;
    let refused = client.get(&format!("{}/paid", other.origin)).await.unwrap_err();
    assert!(matches!(refused, ClientError::Policy(PolicyError::Budget { .. })), "{refused}");
    assert_eq!(world.chain.count("open_channel"), 1);
}

#[tokio::test]
async fn a_client_that_lost_its_store_finds_its_channel_and_goes_on() {
    let world = World::new().await;
    let client = world.client().await;
    world.seq(&client).await;
    world.seq(&client).await;
    let lost = client.channels().await.unwrap()[0].channel;
    let fresh = || world.builder().store(world.folder.path().join("new.db")).build();
    let client = fresh().await.unwrap();
    let found = client.recover(&world.service.origin).await.unwrap();
    assert_eq!(found.iter().map(|record| record.channel).collect::<Vec<_>>(), [lost]);
    assert_eq!(world.seq(&client).await, 3 * PRICE);
    assert_eq!(world.chain.count("open_channel"), 1);
    assert_eq!(client.recover(&world.service.origin).await.unwrap(), []);
}

#[tokio::test]
async fn a_recovered_channel_is_no_blank_cheque() {
    let world = World::new().await;
    world.seq(&world.client().await).await;
    world.service.lie(|lies| lies.last_seq = 9_000);
    let careful =
        world.builder().max_price_per_call(Amount::new(PRICE)).store(world.folder.path().join("new.db"));
    let client = careful.build().await.unwrap();
    let refused = client.recover(&world.service.origin).await.unwrap_err();
    assert!(matches!(refused, ClientError::UnknownSeq { .. }), "{refused}");
    assert_eq!(world.states(&client).await, []);
}

#[tokio::test]
async fn of_two_processes_that_open_at_once_one_moves_its_deposit_and_both_pay() {
    let world = World::new().await;
    // enough for one deposit, not for two
    let tight = KeypairSigner::generate();
    world.chain.give(&tight.public_key(), 10_000);
    let clients = [
        world.builder().funder(tight.clone()).build().await.unwrap(),
        world.builder().funder(tight.clone()).build().await.unwrap(),
    ];
    let (first, second) = tokio::join!(world.seq(&clients[0]), world.seq(&clients[1]));
    assert_ne!(first, second);
    assert_eq!(world.chain.count("open_channel"), 1);
}

#[tokio::test]
async fn an_opening_that_fails_leaves_the_intent_to_another_process_whose_one_may_land() {
    let world = World::new().await;
    let clients = [world.client().await, world.client().await];
    world.chain.state().weather = Some(Weather::Late);
    world.pay(&clients[0]).await.unwrap_err();
    world.chain.state().weather = Some(Weather::Refused);
    let failed = world.pay(&clients[1]).await.unwrap_err();
    assert!(matches!(failed, ClientError::Chain(ChainError::Failed { .. })), "{failed}");
    assert_eq!(world.states(&clients[1]).await, [ChannelState::Opening]);
    world.chain.land();
    world.seq(&clients[1]).await;
    assert_eq!(world.chain.count("open_channel"), 1);
    assert_eq!(world.chain.tokens(&world.funder.public_key()), 990_000);
}

#[tokio::test]
async fn a_failed_opening_is_tried_again_at_the_same_address() {
    let world = World::new().await;
    world.chain.state().weather = Some(Weather::Refused);
    let client = world.client().await;
    world.pay(&client).await.unwrap_err();
    let intended = client.channels().await.unwrap()[0].channel;
    world.seq(&client).await;
    assert_eq!(client.channels().await.unwrap()[0].channel, intended);
}

/// A store in which the open channel counts as closed.
async fn forgotten(world: &World, client: &Client) -> ChannelRecord {
    let record = client.channels().await.unwrap().remove(0);
    client.inner.store.set_state(record.id, ChannelState::Closed, Amount::new(9_000)).await.unwrap();
    assert_eq!(world.states(client).await, [ChannelState::Closed]);
    record
}

#[tokio::test]
async fn a_channel_that_was_taken_for_closed_is_recovered_with_its_books() {
    let world = World::new().await;
    world.seq(&world.client().await).await;
    let client = world.client().await;
    let record = forgotten(&world, &client).await;
    let found = client.recover(&world.service.origin).await.unwrap();
    assert_eq!(found, [record]);
    assert_eq!(world.seq(&client).await, 2 * PRICE);
    assert_eq!(world.chain.count("open_channel"), 1);
}

#[tokio::test]
async fn a_closing_channel_that_was_taken_for_closed_is_recovered_to_be_closed() {
    let world = World::new().await;
    let client = world.client().await;
    world.seq(&client).await;
    world.service.lie(|lies| lies.no_close = true);
    client.close(&world.service.origin).await.unwrap();
    forgotten(&world, &client).await;
    let found = client.recover(&world.service.origin).await.unwrap();
    assert_eq!(found[0].state, ChannelState::Closing);
    world.chain.state().time += 60;
    client.close(&world.service.origin).await.unwrap();
    assert_eq!(world.chain.tokens(&world.funder.public_key()), 1_000_000);
}

#[tokio::test]
async fn another_incarnation_of_a_closed_channel_is_not_revived() {
    let world = World::new().await;
    let client = world.client().await;
    world.seq(&client).await;
    let record = forgotten(&world, &client).await;
    world.chain.edit(&record.channel, |account| account.opened_slot += 1);
    assert_eq!(client.recover(&world.service.origin).await.unwrap(), []);
    assert_eq!(world.states(&client).await, [ChannelState::Closed]);
}

#[tokio::test]
async fn a_failed_opening_keeps_its_place_in_the_budget_only_as_long_as_it_can_land() {
    let world = World::new().await;
    let client = world.builder().total_budget(Some(Amount::new(15_000))).build().await.unwrap();
    let other = service::FakeService::start(world.chain.clone()).await;
    let other = format!("{}/paid", other.origin);
    world.chain.state().weather = Some(Weather::Refused);
    world.pay(&client).await.unwrap_err();
    let refused = client.get(&other).await.unwrap_err();
    assert!(matches!(refused, ClientError::Policy(PolicyError::Budget { .. })), "{refused}");
    client.inner.store.age_openings().await;
    world.chain.state().elsewhere = true;
    let refused = client.close(&world.service.origin).await.unwrap_err();
    assert!(matches!(refused, ClientError::NoProgram { .. }), "a wrong node proves nothing: {refused}");
    assert_eq!(world.states(&client).await, [ChannelState::Opening]);
    world.chain.state().elsewhere = false;
    assert_eq!(client.get(&other).await.unwrap().status(), 200);
    assert_eq!(world.states(&client).await, [ChannelState::Open]);
}
