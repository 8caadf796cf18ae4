use std::time::Duration;

use amp_protocol::code::Code;
use amp_protocol::json::{ErrorBody, Shortage};
use amp_protocol::money::{Amount, Seq, UnitPrice};
use reqwest::{Body, Method, Request};

use super::chain::Weather;
use super::*;
use crate::chain::ChainError;
use crate::client::PolicyError;

#[tokio::test]
async fn a_service_that_asks_for_nothing_gets_nothing() {
    let world = World::new().await;
    let client = world.client().await;
    let answer = client.get(&world.url("/plain")).await.unwrap();
    assert_eq!(answer.payment(), None);
    assert_eq!(answer.text().await.unwrap(), "free");
    assert_eq!((world.chain.state().done.len(), world.service.inner().discoveries), (0, 0));
}

#[tokio::test]
async fn one_transaction_and_one_question_pay_for_many_calls() {
    let world = World::new().await;
    let client = world.client().await;
    for call in 1..=5 {
        let answer = world.pay(&client).await.unwrap();
        let payment = *answer.payment().unwrap();
        assert_eq!((payment.seq.get(), payment.cost), (call * PRICE, Some(Amount::new(PRICE))));
        assert_eq!(payment.spent, Some(Amount::new(call * PRICE)));
        assert_eq!(payment.balance, Some(Amount::new(10_000 - call * PRICE)));
        assert_eq!(answer.text().await.unwrap(), "paid");
    }
    assert_eq!(world.chain.state().done, ["open_channel"]);
    let inner = world.service.inner();
    assert_eq!((inner.unpaid, inner.discoveries), (1, 1));
}

#[tokio::test]
async fn free_routes_of_a_paid_service_are_called_without_credentials() {
    let world = World::new().await;
    let client = world.client().await;
    world.seq(&client).await;
    assert_eq!(client.get(&world.url("/free")).await.unwrap().payment(), None);
    assert_eq!(world.service.meter().spent, PRICE);
}

#[tokio::test]
async fn parallel_first_calls_open_one_channel_and_none_is_refused() {
    let world = World::new().await;
    let client = world.client().await;
    let calls = (0..40).map(|_| world.pay(&client));
    for answer in futures::future::join_all(calls).await {
        assert_eq!(answer.unwrap().status(), 200);
    }
    assert_eq!(world.chain.count("open_channel"), 1);
    let meter = world.service.meter();
    assert_eq!((meter.spent, meter.seen.len()), (40 * PRICE, 40));
    // signed in all: the prices, and nothing beyond
    assert_eq!(meter.highest, 40 * PRICE);
}

#[tokio::test]
async fn two_processes_over_one_store_share_a_channel_and_never_a_seq() {
    let world = World::new().await;
    let clients = [world.client().await, world.client().await];
    let calls = (0..40).map(|call| world.pay(&clients[call % 2]));
    for answer in futures::future::join_all(calls).await {
        assert_eq!(answer.unwrap().status(), 200);
    }
    assert_eq!(world.chain.count("open_channel"), 1);
    assert_eq!(world.service.meter().seen.len(), 40);
}

#[tokio::test]
async fn after_a_restart_the_same_channel_is_paid_with_higher_seqs() {
    let world = World::new().await;
    let client = world.client().await;
    let before = [world.seq(&client).await, world.seq(&client).await];
    drop(client);
    let client = world.client().await;
    assert!(world.seq(&client).await > before[1]);
    assert_eq!(world.chain.state().done, ["open_channel"]);
    assert_eq!(world.service.inner().unpaid, 1, "the first call after a restart pays at once");
}

#[tokio::test]
async fn a_used_up_channel_is_topped_up_and_pays_on() {
    let world = World::new().await;
    let client = world.builder().deposit(Amount::new(5_000)).build().await.unwrap();
    for _ in 0..51 {
        world.seq(&client).await;
    }
    assert_eq!(world.chain.state().done, ["open_channel", "top_up"]);
    assert_eq!(client.channels().await.unwrap()[0].ledger.deposited, Amount::new(10_000));
}

#[tokio::test]
async fn no_more_is_deposited_than_the_policy_allows() {
    let world = World::new().await;
    let small = world.builder().deposit(Amount::new(5_000)).total_budget(Some(Amount::new(5_050)));
    let client = small.build().await.unwrap();
    for _ in 0..50 {
        world.seq(&client).await;
    }
    let refused = world.pay(&client).await.unwrap_err();
    assert!(matches!(refused, ClientError::Policy(PolicyError::Budget { .. })), "{refused}");
    assert_eq!(world.chain.state().done, ["open_channel"]);
    assert_eq!(client.channels().await.unwrap()[0].topping_up, Amount::ZERO);
}

#[tokio::test]
async fn without_automatic_top_ups_the_caller_is_asked() {
    let world = World::new().await;
    let client = world.builder().deposit(Amount::new(5_000)).auto_top_up(false).build().await.unwrap();
    for _ in 0..50 {
        world.seq(&client).await;
    }
    let refused = world.pay(&client).await.unwrap_err();
    let ClientError::NeedsTopUp { needed, .. } = refused else { panic!("{refused}") };
    assert_eq!(needed, Amount::new(5_100));
    client.top_up(&world.service.origin, Amount::new(100)).await.unwrap();
    assert_eq!(world.seq(&client).await, 5_100);
}

#[tokio::test]
async fn a_channel_that_was_not_seen_yet_is_paid_with_the_same_credential_again() {
    let world = World::new().await;
    let client = world.client().await;
    world.service.refuse(Code::NoChannel);
    world.service.refuse(Code::NoChannel);
    assert_eq!(world.seq(&client).await, PRICE);
}

#[tokio::test]
async fn a_low_balance_is_topped_up_and_the_call_sent_again() {
    let world = World::new().await;
    let client = world.client().await;
    let low = ErrorBody { shortage: Some(Shortage::Balance), ..ErrorBody::new(Code::Underfunded, "") };
    world.service.lie(|lies| lies.refusals.push_back(low));
    assert_eq!(world.seq(&client).await, PRICE);
    assert_eq!(world.chain.state().done, ["open_channel", "top_up"]);
}

#[tokio::test]
async fn a_seq_out_of_the_window_is_replaced_by_a_newer_one() {
    let world = World::new().await;
    let client = world.client().await;
    world.seq(&client).await;
    world.service.refuse(Code::InvalidSeq);
    assert_eq!(world.seq(&client).await, 2 * PRICE + 1);
}

#[tokio::test]
async fn a_lost_call_that_was_not_charged_leaves_one_unit() {
    let world = World::new().await;
    let client = world.builder().timeout(Duration::from_millis(500)).build().await.unwrap();
    world.seq(&client).await;
    world.service.lie(|lies| lies.stall_before = true);
    assert!(matches!(world.pay(&client).await, Err(ClientError::TimedOut { .. })));
    assert_eq!(world.seq(&client).await, 2 * PRICE + 1);
}

#[tokio::test]
async fn a_lost_call_that_was_charged_is_caught_up_with() {
    let world = World::new().await;
    let client = world.builder().timeout(Duration::from_millis(500)).build().await.unwrap();
    world.service.lie(|lies| lies.stall_after = true);
    assert!(matches!(world.pay(&client).await, Err(ClientError::TimedOut { .. })));
    assert_eq!(world.seq(&client).await, 2 * PRICE);
    assert_eq!(world.service.meter().spent, 2 * PRICE);
}

#[tokio::test]
async fn a_rate_limit_is_returned_or_waited_for_as_configured() {
    let world = World::new().await;
    let limit = |seconds| ErrorBody { retry_after: Some(seconds), ..ErrorBody::new(Code::RateExceeded, "") };
    let client = world.builder().max_wait(Duration::from_secs(1)).build().await.unwrap();
    world.service.lie(|lies| lies.refusals.push_back(limit(9)));
    let refused = world.pay(&client).await.unwrap_err();
    assert!(matches!(refused, ClientError::Refused { status: 429, body } if body.retry_after == Some(9)));
    world.service.lie(|lies| lies.refusals.push_back(limit(0)));
    world.seq(&client).await;
}

#[tokio::test]
async fn a_raised_price_is_paid_within_the_policy_and_refused_beyond() {
    let world = World::new().await;
    let client = world.builder().max_price_per_call(Amount::new(300)).build().await.unwrap();
    world.seq(&client).await;
    let raise = |price: u64| {
        let mut inner = world.service.inner();
        inner.price = price;
        inner.document.pricing.default.rate = Amount::new(price);
    };
    raise(300);
    let answer = world.pay(&client).await.unwrap();
    assert_eq!(answer.payment().unwrap().cost, Some(Amount::new(300)));
    raise(301);
    let refused = world.pay(&client).await.unwrap_err();
    assert!(matches!(refused, ClientError::Policy(PolicyError::Price { .. })), "{refused}");
}

#[tokio::test]
async fn redirects_are_returned_and_not_followed() {
    let world = World::new().await;
    let client = world.client().await;
    world.seq(&client).await;
    assert_eq!(client.get(&world.url("/elsewhere")).await.unwrap().status(), 307);
}

fn streaming(url: &str) -> Request {
    let mut request = Request::new(Method::POST, url.parse().unwrap());
    // a body that can't be cloned
    *request.body_mut() = Some(Body::wrap(Body::from("once")));
    request
}

#[tokio::test]
async fn a_body_that_streams_needs_a_channel_first() {
    let world = World::new().await;
    let client = world.client().await;
    let refused = client.execute(streaming(&world.url("/paid"))).await.unwrap_err();
    assert!(matches!(refused, ClientError::BodyNotRepeatable { .. }), "{refused}");
    client.prepare(&world.url("/paid")).await.unwrap();
    assert_eq!(client.execute(streaming(&world.url("/paid"))).await.unwrap().status(), 200);
}

#[tokio::test]
async fn with_the_price_as_unit_seq_counts_the_calls() {
    let world = World::new().await;
    let client = world.builder().unit_price(UnitPrice::new(PRICE).unwrap()).build().await.unwrap();
    let ticket = client.authorize(&world.service.origin, Amount::new(PRICE)).await.unwrap();
    assert_eq!(ticket.credential().seq, Seq::new(1));
    ticket.answered(Some(Amount::new(PRICE)), Some(Amount::new(PRICE))).await.unwrap();
    let ticket = client.authorize(&world.service.origin, Amount::new(3 * PRICE)).await.unwrap();
    assert_eq!(ticket.credential().seq, Seq::new(4));
}

#[tokio::test]
async fn a_hot_key_signs_the_credentials_and_never_the_deposit() {
    let world = World::new().await;
    let hot = KeypairSigner::generate();
    let client = world.builder().authorized_signer(hot.clone()).build().await.unwrap();
    world.seq(&client).await;
    let record = &client.channels().await.unwrap()[0];
    let account = world.chain.channel(&record.channel).unwrap();
    assert_eq!(account.authorized_signer, hot.public_key().to_bytes());
    assert_eq!(account.funder, world.funder.public_key().to_bytes());
}

/// A client whose deposit of 5,000 is used up, and whose top-up of as much is under way.
async fn topping_up(world: &World, builder: ClientBuilder) -> Client {
    let client = builder.deposit(Amount::new(5_000)).build().await.unwrap();
    for _ in 0..50 {
        world.seq(&client).await;
    }
    world.chain.state().weather = Some(Weather::Late);
    let unheard = world.pay(&client).await.unwrap_err();
    assert!(matches!(unheard, ClientError::Chain(ChainError::Unconfirmed { .. })), "{unheard}");
    client
}

#[tokio::test]
async fn a_top_up_under_way_keeps_its_place_in_the_budget() {
    let world = World::new().await;
    topping_up(&world, world.builder().total_budget(Some(Amount::new(10_000)))).await;
    // another process over the same store
    let other = world.builder().total_budget(Some(Amount::new(10_000))).build().await.unwrap();
    for _ in 0..2 {
        let refused = world.pay(&other).await.unwrap_err();
        assert!(matches!(refused, ClientError::Policy(PolicyError::Budget { .. })), "{refused}");
    }
    world.chain.land();
    world.seq(&other).await;
    assert_eq!(world.chain.count("top_up"), 1);
    assert_eq!(other.channels().await.unwrap()[0].topping_up, Amount::ZERO);
}

#[tokio::test]
async fn a_top_up_under_way_keeps_its_place_in_the_channels_limit() {
    let world = World::new().await;
    topping_up(&world, world.builder().max_deposit(Amount::new(5_000))).await;
    let other = world.builder().max_deposit(Amount::new(5_000)).build().await.unwrap();
    for _ in 0..2 {
        let refused = world.pay(&other).await.unwrap_err();
        assert!(matches!(refused, ClientError::Policy(PolicyError::Deposit { .. })), "{refused}");
    }
    world.chain.land();
    world.seq(&other).await;
    assert_eq!(world.chain.count("top_up"), 1);
}
