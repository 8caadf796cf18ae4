use amp_protocol::money::Amount;

use super::*;
use crate::client::{CloseOutcome, Elsewhere, PolicyError, ProofFailure, Reclaimed};

const START: u64 = 1_000_000;

async fn paid_twice(world: &World) -> Client {
    let client = world.client().await;
    world.seq(&client).await;
    world.seq(&client).await;
    client
}

#[tokio::test]
async fn a_cooperative_close_pays_what_was_used_and_refunds_the_rest_at_once() {
    let world = World::new().await;
    let client = paid_twice(&world).await;
    let outcome = client.close(&world.service.origin).await.unwrap();
    let CloseOutcome::Closed { refund, payout, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!((refund, payout), (Amount::new(10_000 - 2 * PRICE), Amount::new(2 * PRICE)));
    assert_eq!(world.chain.tokens(&world.funder.public_key()), START - 2 * PRICE);
    assert_eq!(world.chain.tokens(&world.service.recipient.public_key()), 2 * PRICE);
    assert_eq!(world.states(&client).await, [ChannelState::Closed]);
    assert!(matches!(client.close(&world.service.origin).await, Err(ClientError::NoChannel { .. })));
}

#[tokio::test]
async fn a_channel_in_which_nothing_was_paid_closes_with_a_full_refund() {
    let world = World::new().await;
    let client = world.client().await;
    client.prepare(&world.url("/paid")).await.unwrap();
    let outcome = client.close(&world.service.origin).await.unwrap();
    assert!(matches!(outcome, CloseOutcome::Closed { payout: Amount::ZERO, .. }), "{outcome:?}");
    assert_eq!(world.chain.tokens(&world.funder.public_key()), START);
}

#[tokio::test]
async fn a_close_in_the_opening_slot_waits_for_the_next() {
    let world = World::new().await;
    let client = world.client().await;
    client.prepare(&world.url("/paid")).await.unwrap();
    world.chain.state().slot = 1;
    let outcome = client.close(&world.service.origin).await.unwrap();
    assert!(matches!(outcome, CloseOutcome::Closed { .. }), "{outcome:?}");
}

/// Closes against a lying service: no statement of its may be used.
async fn forced(world: &World, client: &Client) -> Box<ClientError> {
    let outcome = client.close(&world.service.origin).await.unwrap();
    let CloseOutcome::Requested { closable_from, reason } = outcome else { panic!("{outcome:?}") };
    assert_eq!(closable_from, world.chain.state().time + 60);
    assert_eq!(world.chain.count("close_channel"), 0);
    assert_eq!(world.states(client).await, [ChannelState::Closing]);
    reason
}

#[tokio::test]
async fn a_statement_over_more_than_was_agreed_to_is_not_carried_to_the_chain() {
    let world = World::new().await;
    let client = paid_twice(&world).await;
    world.service.lie(|lies| lies.owed = 1);
    let reason = forced(&world, &client).await;
    assert!(matches!(*reason, ClientError::Overcharged { .. }), "{reason}");
}

#[tokio::test]
async fn a_statement_of_another_key_or_channel_is_not_carried_to_the_chain() {
    let world = World::new().await;
    let client = paid_twice(&world).await;
    world.service.lie(|lies| lies.other_key = Some(KeypairSigner::generate()));
    let reason = forced(&world, &client).await;
    assert!(matches!(*reason, ClientError::BadProof { reason: ProofFailure::Signature, .. }), "{reason}");

    let world = World::new().await;
    let client = paid_twice(&world).await;
    world.service.lie(|lies| lies.other_channel = Some([7; 32]));
    let reason = forced(&world, &client).await;
    assert!(matches!(*reason, ClientError::BadProof { reason: ProofFailure::About(_), .. }), "{reason}");
}

#[tokio::test]
async fn without_the_service_the_refund_comes_after_the_grace_and_not_before() {
    let world = World::new().await;
    let client = paid_twice(&world).await;
    world.service.lie(|lies| lies.no_close = true);
    forced(&world, &client).await;
    world.chain.state().time += 59;
    let outcome = client.close(&world.service.origin).await.unwrap();
    assert!(matches!(outcome, CloseOutcome::Requested { .. }), "{outcome:?}");
    assert_eq!(world.chain.count("request_close"), 1, "asked for once");
    world.chain.state().time += 1;
    let outcome = client.close(&world.service.origin).await.unwrap();
    let CloseOutcome::Closed { refund, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(refund, Amount::new(10_000));
    assert_eq!(world.chain.tokens(&world.funder.public_key()), START);
}

#[tokio::test]
async fn close_all_finds_the_channels_of_earlier_runs() {
    let world = World::new().await;
    let other = service::FakeService::start(world.chain.clone()).await;
    let client = world.client().await;
    world.seq(&client).await;
    client.get(&format!("{}/paid", other.origin)).await.unwrap();
    drop(client);
    let client = world.client().await;
    let outcomes = client.close_all().await.unwrap();
    assert_eq!(outcomes.len(), 2);
    for (_, outcome) in outcomes {
        assert!(matches!(outcome, Ok(CloseOutcome::Closed { .. })), "{outcome:?}");
    }
    assert_eq!(world.chain.tokens(&world.funder.public_key()), START - 2 * PRICE);
    assert!(client.close_all().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_channel_that_the_recipient_closed_is_found_gone() {
    let world = World::new().await;
    let client = paid_twice(&world).await;
    world.chain.remove(&client.channels().await.unwrap()[0].channel);
    let outcome = client.close(&world.service.origin).await.unwrap();
    assert!(matches!(outcome, CloseOutcome::AlreadyClosed), "{outcome:?}");
    assert_eq!(world.states(&client).await, [ChannelState::Closed]);
}

#[tokio::test]
async fn after_a_close_the_next_call_opens_a_new_channel() {
    let world = World::new().await;
    let client = paid_twice(&world).await;
    client.close(&world.service.origin).await.unwrap();
    assert_eq!(world.seq(&client).await, PRICE);
    assert_eq!(world.states(&client).await, [ChannelState::Open, ChannelState::Closed]);
}

#[tokio::test]
async fn a_statement_over_more_than_was_signed_is_not_carried_to_the_chain() {
    let world = World::new().await;
    let client = world.builder().timeout(std::time::Duration::from_millis(300)).build().await.unwrap();
    world.seq(&client).await;
    // two calls get lost: agreed to are three prices, signed are two and a unit
    for _ in 0..2 {
        world.service.lie(|lies| lies.stall_before = true);
        assert!(matches!(world.pay(&client).await, Err(ClientError::TimedOut { .. })));
    }
    world.service.lie(|lies| lies.owed = 2 * PRICE);
    let reason = forced(&world, &client).await;
    assert!(matches!(*reason, ClientError::Overcharged { .. }), "{reason}");
}

#[tokio::test]
async fn a_service_that_can_not_be_paid_does_not_hold_the_refund() {
    let world = World::new().await;
    let client = paid_twice(&world).await;
    world.chain.state().payout_fails = true;
    let reason = forced(&world, &client).await;
    assert!(matches!(*reason, ClientError::Chain(_)), "{reason}");
    world.chain.state().time += 60;
    let outcome = client.close(&world.service.origin).await.unwrap();
    assert!(matches!(outcome, CloseOutcome::Closed { .. }), "{outcome:?}");
    assert_eq!(world.chain.tokens(&world.funder.public_key()), START);
}

#[tokio::test]
async fn a_node_of_another_cluster_does_not_make_the_client_forget_its_channel() {
    let world = World::new().await;
    let client = paid_twice(&world).await;
    world.chain.state().elsewhere = true;
    let refused = client.close(&world.service.origin).await.unwrap_err();
    assert!(matches!(refused, ClientError::NoProgram { .. }), "{refused}");
    world.service.refuse(amp_protocol::code::Code::Closed);
    let refused = world.pay(&client).await.unwrap_err();
    assert!(matches!(refused, ClientError::NoProgram { .. }), "{refused}");
    assert_eq!(world.states(&client).await, [ChannelState::Open]);
    world.chain.state().elsewhere = false;
    let outcome = client.close(&world.service.origin).await.unwrap();
    assert!(matches!(outcome, CloseOutcome::Closed { .. }), "{outcome:?}");
}

#[tokio::test]
async fn a_channel_that_was_opened_on_another_cluster_is_left_as_it_is() {
    let world = World::new().await;
    let client = paid_twice(&world).await;
    let builder = world.builder().network("solana:elsewhere").program_id(crate::chain::PROGRAM_ID);
    let other = builder.build().await.unwrap();
    let refused = other.close(&world.service.origin).await.unwrap_err();
    let ClientError::OtherCluster { reason: Elsewhere::Network { named, pinned }, .. } = &refused else {
        panic!("{refused}")
    };
    assert_eq!((named.as_str(), pinned.as_str()), ("solana:localnet", "solana:elsewhere"));
    let all = other.close_all().await.unwrap();
    assert!(matches!(all[..], [(_, Err(ClientError::OtherCluster { .. }))]), "{all:?}");
    assert_eq!(world.states(&client).await, [ChannelState::Open]);
    let all = client.close_all().await.unwrap();
    assert!(matches!(all[..], [(_, Ok(CloseOutcome::Closed { .. }))]), "{all:?}");
}

#[tokio::test]
async fn a_chain_without_a_channels_mint_is_not_the_one_that_closed_it() {
    let world = World::new().await;
    let client = paid_twice(&world).await;
    let come_back = world.chain.lose_all_tokens();
    let refused = client.close(&world.service.origin).await.unwrap_err();
    assert!(
        matches!(refused, ClientError::OtherCluster { reason: Elsewhere::Mint(MINT), .. }),
        "what is not there was never closed there: {refused}"
    );
    assert_eq!(world.states(&client).await, [ChannelState::Open]);
    come_back();
    let outcome = client.close(&world.service.origin).await.unwrap();
    assert!(matches!(outcome, CloseOutcome::Closed { .. }), "{outcome:?}");
}

#[tokio::test]
async fn a_close_that_was_requested_is_told_though_nothing_can_be_read_any_more() {
    let world = World::new().await;
    let client = paid_twice(&world).await;
    world.chain.state().payout_fails = true;
    world.chain.state().gone_after = Some("request_close");
    let before = crate::client::store::unix_seconds();
    let outcome = client.close(&world.service.origin).await.unwrap();
    let CloseOutcome::Requested { closable_from, .. } = outcome else { panic!("{outcome:?}") };
    // by this machine's clock: the cluster's is not to be had
    assert!(closable_from >= before + 60, "{closable_from}");
    assert_eq!(world.states(&client).await, [ChannelState::Closing]);

    let world = World::new().await;
    let (client, channel) = world.funded().await;
    world.chain.state().gone_after = Some("request_close");
    let outcome = client.request_close(&channel).await.unwrap();
    assert!(matches!(outcome, Reclaimed::Requested { closable_from } if closable_from >= before + 60));
    assert_eq!(world.states(&client).await, [ChannelState::Closing]);
}

#[tokio::test]
async fn a_node_that_lags_when_a_channel_is_closed_does_not_hide_it() {
    let world = World::new().await;
    let client = paid_twice(&world).await;
    world.chain.state().lagging = 1;
    let outcome = client.close(&world.service.origin).await.unwrap();
    assert!(matches!(outcome, CloseOutcome::Closed { .. }), "{outcome:?}");
}

#[tokio::test]
async fn a_client_that_pays_no_rent_for_the_service_closes_without_its_statement() {
    let world = World::new().await;
    let client = world.builder().pay_recipient_rent(false).build().await.unwrap();
    client.prepare(&world.url("/paid")).await.unwrap();
    let reason = forced(&world, &client).await;
    assert!(matches!(*reason, ClientError::Policy(PolicyError::RecipientRent { .. })), "{reason}");
    world.chain.state().time += 60;
    let outcome = client.close(&world.service.origin).await.unwrap();
    assert!(matches!(outcome, CloseOutcome::Closed { .. }), "{outcome:?}");
    assert_eq!(world.chain.tokens(&world.funder.public_key()), START);
    assert!(!world.chain.has_token_account(&world.service.recipient.public_key()));
}

#[tokio::test]
async fn a_service_with_a_token_account_closes_at_once_whoever_pays_rent() {
    let world = World::new().await;
    world.chain.give(&world.service.recipient.public_key(), 0);
    let client = world.builder().pay_recipient_rent(false).build().await.unwrap();
    world.seq(&client).await;
    let outcome = client.close(&world.service.origin).await.unwrap();
    assert!(matches!(outcome, CloseOutcome::Closed { .. }), "{outcome:?}");
    assert_eq!(world.chain.tokens(&world.service.recipient.public_key()), PRICE);
}

#[tokio::test]
async fn only_the_channels_that_were_chosen_are_closed() {
    let world = World::new().await;
    let client = world.client().await;
    world.seq(&client).await;
    let chosen = client.channels().await.unwrap();
    let other = service::FakeService::start(world.chain.clone()).await;
    client.get(&format!("{}/paid", other.origin)).await.unwrap();
    let outcomes = client.close_these(chosen.clone()).await.unwrap();
    assert!(matches!(outcomes[..], [(_, Ok(CloseOutcome::Closed { .. }))]), "{outcomes:?}");
    assert_eq!(world.states(&client).await, [ChannelState::Open, ChannelState::Closed]);
    // what was closed since it was chosen keeps its refund
    let outcomes = client.close_these(chosen).await.unwrap();
    assert!(matches!(outcomes[..], [(_, Ok(CloseOutcome::AlreadyClosed))]), "{outcomes:?}");
    assert_eq!(client.channels().await.unwrap()[1].refunded, Amount::new(10_000 - PRICE));
}
