//! The agent's side: a key that a funder lets spend pays like any client, and needs nothing else.

use amp_protocol::money::{Amount, Seq, UnitPrice};

use super::*;
use crate::client::{HeldDelegation, Ledger, PolicyError};

#[tokio::test]
async fn an_agent_without_tokens_or_lamports_pays_and_sends_no_transaction() {
    let world = World::new().await;
    let (funder, channel) = world.funded().await;
    let (agent, key) = world.agent(&funder, 1_000).await;
    for call in 1..=3 {
        let answer = world.pay(&agent).await.unwrap();
        let payment = *answer.payment().unwrap();
        assert_eq!((payment.channel, payment.seq), (channel, Seq::new(call * PRICE)));
        assert_eq!(
            (payment.cost, payment.spent),
            (Some(Amount::new(PRICE)), Some(Amount::new(call * PRICE)))
        );
        assert_eq!(answer.text().await.unwrap(), "paid");
    }
    assert!(!world.chain.has_token_account(&key.public_key()));
    assert!(!world.chain.state().payers.contains(&key.public_key()));
    assert_eq!(world.chain.state().done, ["open_channel", "set_delegate"]);
    assert_eq!(world.service.inner().unpaid, 0, "a service with a named channel is paid from the first call");
}

#[tokio::test]
async fn what_an_agent_holds_is_what_the_chain_says() {
    let world = World::new().await;
    let (funder, channel) = world.funded().await;
    let key = KeypairSigner::generate();
    let expires_at = world.chain.state().time + 60;
    let made = funder
        .delegate(&world.service.origin, &key.public_key(), Amount::new(700), expires_at)
        .await
        .unwrap();
    let agent = world.agent_builder(&key).build().await.unwrap();
    let record = agent.use_channel(&world.service.origin, channel).await.unwrap();
    let delegation = HeldDelegation {
        delegate: key.public_key(),
        created_slot: made.created_slot,
        expires_at: Some(expires_at),
    };
    assert_eq!((record.delegation, record.epoch()), (Some(delegation), made.created_slot));
    assert_ne!(record.epoch(), record.opened_slot);
    assert_eq!(record.funder, world.funder.public_key());
    assert_eq!((record.ledger.limit, record.ledger.deposited), (Some(Amount::new(700)), Amount::new(10_000)));
    assert_eq!(agent.prepare(&world.url("/paid")).await.unwrap(), record);
    assert_eq!(agent.channels().await.unwrap(), [record]);
}

#[tokio::test]
async fn the_funders_spending_and_the_delegates_do_not_mix() {
    let world = World::new().await;
    let (funder, _) = world.funded().await;
    let (agent, _) = world.agent(&funder, 1_000).await;
    let (other, _) = world.agent(&funder, 1_000).await;
    for round in 1..=3 {
        for client in [&funder, &agent, &other] {
            assert_eq!(world.seq(client).await, round * PRICE);
        }
    }
    for client in [&funder, &agent, &other] {
        let status = client.status(&world.service.origin).await.unwrap();
        assert_eq!((status.spent, status.last_seq), (Amount::new(3 * PRICE), Seq::new(3 * PRICE)));
        assert_eq!(status.balance, Amount::new(10_000 - 9 * PRICE));
        assert_eq!(client.channels().await.unwrap()[0].ledger.acknowledged, Amount::new(3 * PRICE));
    }
}

#[tokio::test]
async fn a_funder_and_its_delegate_may_share_a_store_file() {
    let world = World::new().await;
    let (funder, channel) = world.funded().await;
    let key = KeypairSigner::generate();
    world.delegate(&funder, &key, 1_000).await;
    let shared = world.agent_builder(&key).store(world.folder.path().join("client.db"));
    let agent = shared.build().await.unwrap();
    agent.use_channel(&world.service.origin, channel).await.unwrap();
    for client in [&agent, &funder, &agent] {
        world.seq(client).await;
    }
    let books = |client: &Client| {
        let client = client.clone();
        async move { client.channels().await.unwrap().iter().map(|record| record.ledger).collect::<Vec<Ledger>>() }
    };
    let (own, delegates) = (books(&funder).await, books(&agent).await);
    assert_eq!((own.len(), own[0].acknowledged, own[0].limit), (1, Amount::new(PRICE), None));
    assert_eq!((delegates.len(), delegates[0].acknowledged), (1, Amount::new(2 * PRICE)));
    // and the funder's next channel is not taken for the delegate's, nor the other way round
    funder.close(&world.service.origin).await.unwrap();
    world.seq(&funder).await;
    assert_eq!(world.states(&funder).await, [ChannelState::Open, ChannelState::Closed]);
}

#[tokio::test]
async fn after_a_restart_an_agent_goes_on_with_higher_seqs() {
    let world = World::new().await;
    let (funder, _) = world.funded().await;
    let (agent, key) = world.agent(&funder, 1_000).await;
    world.seq(&agent).await;
    drop(agent);
    let agent = world.agent_builder(&key).build().await.unwrap();
    assert_eq!(world.seq(&agent).await, 2 * PRICE);
    assert_eq!(world.service.inner().unpaid, 0, "the first call after a restart pays at once");
}

#[tokio::test]
async fn an_agent_that_lost_its_store_goes_on_where_the_service_has_signed_that_it_is() {
    let world = World::new().await;
    let (funder, channel) = world.funded().await;
    let (agent, key) = world.agent(&funder, 1_000).await;
    world.seq(&agent).await;
    world.seq(&agent).await;
    let fresh = world.agent_builder(&key).store(world.folder.path().join("new.db")).build().await.unwrap();
    let record = fresh.use_channel(&world.service.origin, channel).await.unwrap();
    assert_eq!(record.ledger.acknowledged, Amount::new(2 * PRICE));
    assert_eq!(record.ledger.last_signed, Seq::new(2 * PRICE));
    assert_eq!(world.seq(&fresh).await, 3 * PRICE);
}

#[tokio::test]
async fn two_processes_of_one_delegate_share_a_store_and_never_a_seq() {
    let world = World::new().await;
    let (funder, _) = world.funded().await;
    let (first, key) = world.agent(&funder, 4_000).await;
    let second = world.agent_builder(&key).build().await.unwrap();
    let clients = [first, second];
    let calls = (0..40).map(|call| world.pay(&clients[call % 2]));
    for answer in futures::future::join_all(calls).await {
        assert_eq!(answer.unwrap().status(), 200);
    }
    let meter = world.service.meter();
    assert_eq!((meter.seen.len(), meter.highest), (40, 40 * PRICE), "the limit to its last base unit");
}

#[tokio::test]
async fn an_agents_own_limits_hold_too() {
    let world = World::new().await;
    let (funder, channel) = world.funded().await;
    let key = KeypairSigner::generate();
    world.delegate(&funder, &key, 5_000).await;
    let origin = &world.service.origin;
    let careful = world.agent_builder(&key).max_price_per_call(Amount::new(PRICE - 1)).build().await.unwrap();
    careful.use_channel(origin, channel).await.unwrap();
    let refused = world.pay(&careful).await.unwrap_err();
    assert!(matches!(refused, ClientError::Policy(PolicyError::Price { .. })), "{refused}");
    let elsewhere = world.agent_builder(&key).allow_host("b.example").build().await.unwrap();
    let refused = elsewhere.use_channel(origin, channel).await.unwrap_err();
    assert!(matches!(refused, ClientError::Policy(PolicyError::Host { .. })), "{refused}");
    let coins =
        Client::builder().delegate(key.clone()).chain(world.chain.clone()).allow_mint(Address::from([9; 32]));
    let coins = coins.store(world.folder.path().join("coins.db")).build().await.unwrap();
    let refused = coins.use_channel(origin, channel).await.unwrap_err();
    assert!(matches!(refused, ClientError::Policy(PolicyError::Mint { .. })), "{refused}");
    // the deposit and the grace are the funder's: an agent that would open nothing so large pays all the same
    let small = crate::client::Policy {
        max_deposit: Amount::new(1),
        max_close_grace: 0,
        allowed_mints: [MINT].into(),
        ..Default::default()
    };
    world.seq(&world.agent_builder(&key).policy(small).build().await.unwrap()).await;
    assert_eq!(world.service.meter().seen.len(), 1);
}

#[tokio::test]
async fn an_agents_total_budget_bounds_what_it_signs_for_in_all() {
    let world = World::new().await;
    let (funder, channel) = world.funded().await;
    let key = KeypairSigner::generate();
    world.delegate(&funder, &key, 5_000).await;
    let budget = world.agent_builder(&key).total_budget(Some(Amount::new(3 * PRICE)));
    // what it would sign ahead is no reason to refuse the last call
    let policy = crate::client::Policy {
        max_prepay: Amount::new(PRICE / 2),
        total_budget: Some(Amount::new(3 * PRICE)),
        allowed_mints: [MINT].into(),
        ..Default::default()
    };
    let agent = budget.policy(policy).build().await.unwrap();
    agent.use_channel(&world.service.origin, channel).await.unwrap();
    for _ in 0..3 {
        world.seq(&agent).await;
    }
    let refused = world.pay(&agent).await.unwrap_err();
    let ClientError::Policy(PolicyError::Budget { committed, .. }) = refused else { panic!("{refused}") };
    assert_eq!(committed, Amount::new(3 * PRICE));
    assert_eq!(world.service.meter().highest, 3 * PRICE);
}

#[tokio::test]
async fn a_delegates_client_does_nothing_that_only_a_funder_can() {
    let world = World::new().await;
    let (funder, channel) = world.funded().await;
    let (agent, key) = world.agent(&funder, 1_000).await;
    let (origin, other) = (&world.service.origin, key.public_key());
    for (what, outcome) in [
        ("top", agent.top_up(origin, Amount::new(1)).await.err()),
        ("close a channel", agent.close(origin).await.err()),
        ("close a channel", agent.close_all().await.err()),
        ("recover", agent.recover(origin).await.err()),
        ("delegate", agent.delegate(origin, &other, Amount::new(1), Expiry::NEVER).await.err()),
        ("revoke", agent.revoke_delegate(origin, &other).await.err()),
        ("close a delegation", agent.close_delegation(&channel, &other).await.err()),
        ("list", agent.delegations(origin).await.err()),
    ] {
        let refused = outcome.expect("a refusal");
        assert!(matches!(refused, ClientError::NotFunder { to } if to.contains(what)), "{refused}");
    }
    let refused = funder.use_channel(origin, channel).await.unwrap_err();
    assert!(matches!(refused, ClientError::NotDelegate), "{refused}");
    assert_eq!(world.chain.state().done, ["open_channel", "set_delegate"]);
}

#[tokio::test]
async fn an_agent_without_a_channel_opens_none_and_says_what_to_do() {
    let world = World::new().await;
    let agent = world.agent_builder(&KeypairSigner::generate()).build().await.unwrap();
    let refused = world.pay(&agent).await.unwrap_err();
    assert!(matches!(refused, ClientError::NoChannelNamed { .. }), "{refused}");
    assert_eq!(refused.code(), Some(amp_protocol::code::Code::NoChannel));
    assert!(refused.to_string().contains("use_channel"), "{refused}");
    assert!(world.chain.state().payers.is_empty());
}

#[tokio::test]
async fn with_the_price_as_unit_a_limit_that_covers_no_whole_unit_more_is_reached() {
    let world = World::new().await;
    let funder = world.builder().unit_price(UnitPrice::new(PRICE).unwrap()).build().await.unwrap();
    funder.prepare(&world.url("/paid")).await.unwrap();
    let (agent, key) = world.agent(&funder, 3 * PRICE - 1).await;
    let take = || agent.authorize(&world.service.origin, Amount::new(PRICE));
    for call in 1..=2 {
        let ticket = take().await.unwrap();
        assert_eq!(ticket.credential().seq, Seq::new(call));
        let spent = Some(Amount::new(call * PRICE));
        ticket.answered(Some(Amount::new(PRICE)), spent).await.unwrap();
    }
    let refused = take().await.err().expect("a refusal");
    let ClientError::LimitReached { delegate, limit, needed, .. } = refused else { panic!("{refused}") };
    assert_eq!((delegate, limit.get(), needed.get()), (key.public_key(), 3 * PRICE - 1, 3 * PRICE));
}
