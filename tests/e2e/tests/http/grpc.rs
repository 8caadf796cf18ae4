//! The client against the service over gRPC: nothing of it goes over anything else.

use std::time::{Duration, Instant};

use amp_e2e_tests::{BYTES, Calls, Market, Order, PAGE_PRICE, PRICE, SECOND_PRICE, TOKEN_PRICE, Trick};
use amp_protocol::money::Amount;
use amp_sdk::client::{ClientError, CloseOutcome, PolicyError};
use amp_sdk::grpc::error_body;
use futures::future::join_all;
use futures::stream;
use tokio::time::sleep;
use tonic::{Code, Request, Response, Status, Streaming};

fn order(count: u32, size: u32) -> Order {
    Order { count, size }
}

fn cost<T>(answer: &Response<T>) -> u64 {
    answer.metadata().get("amp-cost").unwrap().to_str().unwrap().parse().unwrap()
}

fn source(status: &Status) -> &ClientError {
    std::error::Error::source(status).and_then(|error| error.downcast_ref()).expect("an error of this side")
}

/// Reads a stream to its end: messages, bytes of content, and what it cost.
async fn drain<T>(mut stream: Streaming<T>, length: impl Fn(&T) -> usize) -> (u64, u64, Result<u64, Status>) {
    let (mut count, mut bytes) = (0, 0);
    loop {
        match stream.message().await {
            Ok(Some(message)) => (count, bytes) = (count + 1, bytes + length(&message) as u64),
            Ok(None) => {
                let trailers = stream.trailers().await.unwrap().unwrap();
                let cost = trailers.get("amp-cost").unwrap().to_str().unwrap().parse().unwrap();
                return (count, bytes, Ok(cost));
            }
            Err(status) => return (count, bytes, Err(status)),
        }
    }
}

/// Waits until what has left is charged, and settles it.
async fn settle(market: &Market) {
    sleep(Duration::from_millis(300)).await;
    market.settle_all().await;
}

async fn quote(calls: &mut Calls) -> Result<Response<()>, Status> {
    calls.quote(order(1, 7)).await.map(|answer| {
        assert_eq!(answer.get_ref().content, [b'x'; 7]);
        answer.map(drop)
    })
}

#[tokio::test]
async fn a_service_is_discovered_paid_and_closed_over_grpc_alone() {
    let market = Market::open().await;
    let agent = market.hire().await;
    let mut calls = agent.calls(&market).await;
    for call in 1..=5 {
        let answer = quote(&mut calls).await.unwrap();
        assert_eq!((cost(&answer), agent.channel().await.ledger.acknowledged.get()), (PRICE, call * PRICE));
    }
    let status = agent.client.status(market.grpc_origin()).await.unwrap();
    assert_eq!((status.spent.get(), status.metering_proof.unwrap().calls), (5 * PRICE, 5));
    market.next_slot();
    let outcome = agent.client.close(market.grpc_origin()).await.unwrap();
    assert!(
        matches!(outcome, CloseOutcome::Closed { payout, .. } if payout.get() == 5 * PRICE),
        "{outcome:?}"
    );
    market.end_having_earned(5 * PRICE);
}

#[tokio::test]
async fn a_call_that_fails_is_its_own_error_and_costs_nothing() {
    let market = Market::open().await;
    let agent = market.hire().await;
    let mut calls = agent.calls(&market).await;
    let failed = calls.fail(order(1, 1)).await.unwrap_err();
    assert_eq!((failed.code(), failed.message()), (Code::DataLoss, "out of stock"));
    assert_eq!(agent.channel().await.ledger.agreed, Amount::ZERO, "and this side knows it");
    quote(&mut calls).await.unwrap();
    settle(&market).await;
    market.end_having_earned(PRICE);
}

#[tokio::test]
async fn calls_side_by_side_open_one_channel_and_none_is_refused() {
    let market = Market::open().await;
    let agent = market.hire().await;
    let calls = agent.calls(&market).await;
    for answer in join_all((0..40).map(|_| {
        let mut calls = calls.clone();
        async move { quote(&mut calls).await }
    }))
    .await
    {
        assert_eq!(cost(&answer.unwrap()), PRICE);
    }
    assert_eq!(agent.client.channels().await.unwrap().len(), 1);
    // signed in all: the prices, and nothing beyond
    assert_eq!(agent.channel().await.ledger.last_signed.get(), 40 * PRICE);
    settle(&market).await;
    market.end_having_earned(40 * PRICE);
}

#[tokio::test]
async fn after_a_restart_the_same_channel_pays_and_closes() {
    let market = Market::open().await;
    let mut agent = market.hire().await;
    quote(&mut agent.calls(&market).await).await.unwrap();
    agent.restart(&market).await;
    quote(&mut agent.calls(&market).await).await.unwrap();
    assert_eq!(agent.client.channels().await.unwrap().len(), 1);
    market.next_slot();
    agent.client.close(market.grpc_origin()).await.unwrap();
    market.end_having_earned(2 * PRICE);
}

#[tokio::test]
async fn a_refused_call_is_sent_again_with_all_that_it_had_sent() {
    let market = Market::open().await;
    let agent = market.hire().await;
    let mut calls = agent.calls(&market).await;
    quote(&mut calls).await.unwrap();
    market.tricks().play(Trick::IsRefused);
    let orders: Vec<Order> = (1..=50).map(|count| order(count, 0)).collect();
    let answer = calls.collect(stream::iter(orders)).await.unwrap();
    assert_eq!(answer.get_ref().content, (1..=50).collect::<Vec<u8>>());
    settle(&market).await;
    // the service had served the one that was kept from its client
    let earned = market.earned();
    assert!(earned == 2 * PRICE || earned == 3 * PRICE, "{earned}");
    market.end_having_earned(earned);
}

#[tokio::test]
async fn each_message_of_a_stream_is_paid_for_as_it_comes() {
    let market = Market::open().await;
    let agent = market.hire_with(|client| client.metered_budget(Amount::new(5_000))).await;
    let mut calls = agent.calls(&market).await;
    for count in [0_u32, 1, 2, 300] {
        let begun = Instant::now();
        let stream = calls.pages(order(count, 10)).await.unwrap().into_inner();
        let (found, _, cost) = drain(stream, |goods| goods.content.len()).await;
        assert_eq!((found, cost.unwrap()), (count.into(), u64::from(count) * PAGE_PRICE));
        assert!(begun.elapsed() < Duration::from_secs(5), "{count} took {:?}", begun.elapsed());
    }
    let ledger = agent.channel().await.ledger;
    assert_eq!((ledger.acknowledged.get(), ledger.agreed.get()), (303 * PAGE_PRICE, 303 * PAGE_PRICE));
    settle(&market).await;
    market.end_having_earned(303 * PAGE_PRICE);
}

#[tokio::test]
async fn a_download_costs_the_bytes_of_its_messages() {
    let market = Market::open().await;
    let agent = market.hire_with(|client| client.metered_budget(Amount::new(9_000))).await;
    let mut calls = agent.calls(&market).await;
    let stream = calls.bytes(order(300, 10_000)).await.unwrap().into_inner();
    let (count, bytes, cost) = drain(stream, |goods| goods.content.len()).await;
    assert_eq!((count, bytes), (300, 3_000_000));
    // each message has three bytes beside its content
    let expected = (300_u64 * 10_003).div_ceil(BYTES);
    assert_eq!(cost.unwrap(), expected);
    let ledger = agent.channel().await.ledger;
    assert_eq!((ledger.acknowledged.get(), ledger.agreed.get()), (expected, expected));
    let ahead = ledger.signed_for().get() - expected;
    assert!(ahead <= expected, "{ahead} was signed for and not used: no more than was used before");
    settle(&market).await;
    market.end_having_earned(expected);
}

#[tokio::test]
async fn what_a_handler_reports_is_paid_as_the_service_asks_for_it() {
    let market = Market::open().await;
    let agent = market.hire_with(|client| client.metered_budget(Amount::new(5_000))).await;
    let mut calls = agent.calls(&market).await;
    let stream = calls.tokens(order(500, 4)).await.unwrap().into_inner();
    let (count, _, cost) = drain(stream, |goods| goods.content.len()).await;
    assert_eq!((count, cost.unwrap()), (500, 500 * TOKEN_PRICE));
    settle(&market).await;
    market.end_having_earned(500 * TOKEN_PRICE);
}

#[tokio::test]
async fn seconds_are_paid_for_until_the_stream_ends() {
    let market = Market::open().await;
    let agent = market.hire_with(|client| client.metered_budget(Amount::new(5_000))).await;
    let mut calls = agent.calls(&market).await;
    // 36 fifths: seven seconds, and the eighth has begun; the first step is for five
    let stream = calls.clock(order(36, 1)).await.unwrap().into_inner();
    let (count, _, cost) = drain(stream, |goods| goods.content.len()).await;
    let cost = cost.unwrap();
    assert_eq!(count, 36);
    assert!([8, 9].contains(&(cost / SECOND_PRICE)) && cost % SECOND_PRICE == 0, "{cost}");
    settle(&market).await;
    market.end_having_earned(cost);
}

#[tokio::test]
async fn a_stream_ends_at_the_budget_and_says_so() {
    let market = Market::builder().service(|config| config.stream_wait(Duration::from_secs(2))).open().await;
    let agent = market.hire_with(|client| client.metered_budget(Amount::new(500))).await;
    let mut calls = agent.calls(&market).await;
    let stream = calls.bytes(order(1_000, 1_000)).await.unwrap().into_inner();
    let (_, bytes, ended) = drain(stream, |goods| goods.content.len()).await;
    assert!(bytes <= 500 * BYTES, "{bytes}");
    let status = ended.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert!(
        matches!(source(&status), ClientError::Policy(PolicyError::Price { max, .. }) if max.get() == 500),
        "{status:?}"
    );
    // the client goes on with what is left
    let stream = calls.tokens(order(5, 1)).await.unwrap().into_inner();
    assert_eq!(drain(stream, |goods| goods.content.len()).await.0, 5);
    settle(&market).await;
    let earned = market.earned();
    assert!(earned <= 500 + 5 * TOKEN_PRICE, "{earned}");
    market.end_having_earned(earned);
}

#[tokio::test]
async fn streams_side_by_side_share_one_channel() {
    let market = Market::open().await;
    let agent = market.hire_with(|client| client.metered_budget(Amount::new(2_000))).await;
    let calls = agent.calls(&market).await;
    let streams = (0..8).map(|n| {
        let mut calls = calls.clone();
        async move {
            let stream = calls.tokens(order(60 + n, 1)).await.unwrap().into_inner();
            drain(stream, |goods| goods.content.len()).await
        }
    });
    let mut all = 0;
    for (n, (count, _, cost)) in join_all(streams).await.into_iter().enumerate() {
        assert_eq!((count, cost.unwrap()), (60 + n as u64, (60 + n as u64) * TOKEN_PRICE));
        all += count * TOKEN_PRICE;
    }
    assert_eq!(agent.client.channels().await.unwrap().len(), 1);
    settle(&market).await;
    market.end_having_earned(all);
}

#[tokio::test]
async fn streams_that_are_hung_up_on_are_charged_and_the_client_goes_on() {
    let market = Market::open().await;
    let agent = market.hire_with(|client| client.metered_budget(Amount::new(2_000))).await;
    let mut calls = agent.calls(&market).await;
    let mut received = 0;
    for round in 0..25_u32 {
        let mut stream = calls.bytes(order(60, 2_000)).await.unwrap().into_inner();
        let mut own = 0;
        for _ in 0..round {
            own += stream.message().await.unwrap().map_or(0, |goods| goods.content.len() as u64);
        }
        drop(stream);
        received += own;
    }
    sleep(Duration::from_millis(300)).await;
    // what the service charged is what this client had agreed to, and the books of both go on
    quote(&mut calls).await.unwrap();
    let status = agent.client.status(market.grpc_origin()).await.unwrap();
    assert!(status.spent.get() >= received / BYTES + PRICE, "{status:?}");
    settle(&market).await;
    market.end_having_earned(status.spent.get());
}

#[tokio::test]
async fn a_service_that_says_a_call_cost_more_gets_nothing_more() {
    let market = Market::open().await;
    let agent = market.hire().await;
    let mut calls = agent.calls(&market).await;
    quote(&mut calls).await.unwrap();
    market.tricks().play(Trick::Costs(PRICE + 1));
    let status = quote(&mut calls).await.unwrap_err();
    assert!(matches!(source(&status), ClientError::Overcharged { .. }), "{status:?}");
    settle(&market).await;
    market.end_having_earned(2 * PRICE);
}

#[tokio::test]
async fn a_server_that_does_not_know_amp_is_called_without_paying() {
    let market = Market::open().await;
    let agent = market.hire().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let empty = tonic::service::Routes::default();
    let server = tonic::transport::Server::builder().add_routes(empty);
    tokio::spawn(server.serve_with_incoming(tonic::transport::server::TcpIncoming::from(listener)));
    let channel = tonic::transport::Channel::from_shared(origin.clone()).unwrap().connect().await.unwrap();
    let mut calls = amp_e2e_tests::MarketClient::new(agent.client.grpc(&origin, channel).unwrap());
    let status = calls.quote(Request::new(order(1, 1))).await.unwrap_err();
    assert_eq!((status.code(), error_body(&status)), (Code::Unimplemented, None));
    assert_eq!(agent.client.channels().await.unwrap().len(), 0);
    market.end_having_earned(0);
}

#[tokio::test]
async fn a_price_above_the_policy_is_not_paid() {
    let market = Market::open().await;
    let agent = market.hire_with(|client| client.max_price_per_call(Amount::new(PRICE - 1))).await;
    let status = quote(&mut agent.calls(&market).await).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert!(matches!(source(&status), ClientError::Policy(PolicyError::Price { .. })), "{status:?}");
    assert_eq!(agent.client.channels().await.unwrap().len(), 0);
    market.end_having_earned(0);
}
