//! Closing by the channel's address alone, and knowing beforehand what a call takes.

use amp_protocol::money::Amount;

use super::*;
use crate::client::{PolicyError, Reclaimed};

#[tokio::test]
async fn a_channel_of_a_lost_store_closes_by_its_address_after_its_grace() {
    let world = World::new().await;
    let (_, channel) = world.funded().await;
    let builder = || world.builder().store(world.folder.path().join("new.db"));
    let client = builder().build().await.unwrap();
    let closable_from = world.chain.state().time + 60;
    for close in [client.request_close(&channel).await, client.close_by_address(&channel).await] {
        let Reclaimed::Requested { closable_from: from } = close.unwrap() else { panic!() };
        assert_eq!(from, closable_from);
    }
    assert_eq!(world.chain.count("request_close"), 1);
    world.chain.state().time = closable_from;
    let Reclaimed::Closed { refund, .. } = client.close_by_address(&channel).await.unwrap() else { panic!() };
    assert_eq!(refund, Amount::new(10_000));
    assert_eq!(world.chain.tokens(&world.funder.public_key()), 1_000_000);
    assert!(matches!(client.request_close(&channel).await, Ok(Reclaimed::AlreadyClosed)));
    assert!(matches!(client.close_by_address(&channel).await, Ok(Reclaimed::AlreadyClosed)));
}

#[tokio::test]
async fn a_close_by_address_is_in_the_books_and_nothing_more_is_signed() {
    let world = World::new().await;
    let (client, channel) = world.funded().await;
    world.seq(&client).await;
    client.request_close(&channel).await.unwrap();
    assert_eq!(world.states(&client).await, [ChannelState::Closing]);
    let again = world.client().await;
    assert!(again.channels().await.unwrap().iter().all(|record| record.state == ChannelState::Closing));
    world.chain.state().time += 60;
    again.close_by_address(&channel).await.unwrap();
    let record = &again.channels().await.unwrap()[0];
    assert_eq!((record.state, record.refunded), (ChannelState::Closed, Amount::new(10_000)));
}

#[tokio::test]
async fn only_its_funder_asks_for_the_close_of_a_channel() {
    let world = World::new().await;
    let (_, channel) = world.funded().await;
    let other = KeypairSigner::generate();
    let client = world.builder().funder(other).build().await.unwrap();
    for refused in [client.request_close(&channel).await, client.close_by_address(&channel).await] {
        let funder = world.funder.public_key();
        let refused = refused.unwrap_err();
        assert!(
            matches!(refused, ClientError::NotTheFunder { funder: named, .. } if named == funder),
            "{refused}"
        );
    }
    world.chain.state().elsewhere = true;
    let elsewhere = client.request_close(&channel).await.unwrap_err();
    assert!(matches!(elsewhere, ClientError::NoProgram { .. }), "{elsewhere}");
}

#[tokio::test]
async fn a_quote_says_what_a_call_takes_and_does_nothing() {
    let world = World::new().await;
    let client = world.client().await;
    let url = world.url("/paid");
    let quote = client.quote(&url).await.unwrap();
    assert_eq!(
        (quote.pricing.rate, quote.deposit, quote.channel),
        (Amount::new(PRICE), Amount::new(10_000), None)
    );
    assert_eq!(world.chain.count("open_channel"), 0);
    let document = client.discovery(&url).await.unwrap();
    assert_eq!(document, quote.document);
    let (_, channel) = world.funded().await;
    let quote = client.quote(&url).await.unwrap();
    assert_eq!((quote.channel.unwrap().channel, quote.deposit), (channel, Amount::ZERO));
}

#[tokio::test]
async fn a_quote_outside_the_policy_is_refused_as_the_call_would_be() {
    let world = World::new().await;
    let cheap = world.builder().max_price_per_call(Amount::new(PRICE - 1)).build().await.unwrap();
    let refused = cheap.quote(&world.url("/paid")).await.unwrap_err();
    assert!(matches!(refused, ClientError::Policy(PolicyError::Price { .. })), "{refused}");
    let small = world.builder().max_deposit(Amount::new(9_999)).build().await.unwrap();
    let refused = small.quote(&world.url("/paid")).await.unwrap_err();
    assert!(matches!(refused, ClientError::Policy(PolicyError::Deposit { .. })), "{refused}");
}

#[tokio::test]
async fn a_client_that_allows_no_mint_pays_nothing_and_can_close() {
    let world = World::new().await;
    let (payer, channel) = world.funded().await;
    world.seq(&payer).await;
    let keeper = Client::builder()
        .funder(world.funder.clone())
        .chain(world.chain.clone())
        .store(world.folder.path().join("client.db"))
        .build()
        .await
        .unwrap();
    let refused = world.pay(&keeper).await.unwrap_err();
    assert!(matches!(refused, ClientError::Policy(PolicyError::Mint { .. })), "{refused}");
    keeper.close(&world.service.origin).await.unwrap();
    assert!(world.chain.channel(&channel).is_none());
}

#[tokio::test]
async fn what_was_flushed_is_there_for_the_next_process() {
    let world = World::new().await;
    let client = world.client().await;
    world.seq(&client).await;
    client.flush().await.unwrap();
    let next = world.client().await;
    let ledger = next.channels().await.unwrap()[0].ledger;
    assert_eq!((ledger.acknowledged, ledger.in_flight), (Amount::new(PRICE), Amount::ZERO));
}

#[tokio::test]
async fn a_client_that_is_not_to_open_channels_opens_none_and_none_in_anothers_place() {
    let world = World::new().await;
    let client = world.builder().auto_open(false).build().await.unwrap();
    let refused = world.pay(&client).await.unwrap_err();
    assert!(matches!(refused, ClientError::NotOpened { .. }), "{refused}");
    assert_eq!(world.chain.count("open_channel"), 0);
    let channel = client.prepare(&world.url("/paid")).await.unwrap().channel;
    world.seq(&client).await;
    // its recipient closed it
    world.chain.remove(&channel);
    world.service.refuse(amp_protocol::code::Code::Closed);
    let refused = world.pay(&client).await.unwrap_err();
    assert!(matches!(refused, ClientError::NotOpened { .. }), "{refused}");
    assert_eq!(world.chain.count("open_channel"), 1);
}
