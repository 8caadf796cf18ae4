//! Answers that are paid for while they come.

use std::time::{Duration, Instant};

use amp_e2e_tests::{BYTES, Market, PRICE, SECOND_PRICE, TOKEN_PRICE};
use amp_protocol::code::Code;
use amp_protocol::money::Amount;
use amp_sdk::client::{ClientError, PolicyError};
use futures::future::join_all;
use tokio::time::{sleep, timeout};

/// Waits until what has left is charged, and settles it.
async fn settle(market: &Market) {
    sleep(Duration::from_millis(300)).await;
    market.settle_all().await;
}

#[tokio::test]
async fn a_download_is_signed_for_as_it_comes_and_costs_what_it_has() {
    const LENGTH: u64 = 3_000_001;
    let market = Market::open().await;
    let agent = market.hire().await;
    let mut answer = agent.client.get(&market.url(&format!("/stream/bytes/{LENGTH}"))).await.unwrap();
    assert_eq!(answer.payment().unwrap().cost, None, "it has only begun");
    let mut received = 0;
    while let Some(piece) = answer.chunk().await.unwrap() {
        received += piece.len() as u64;
    }
    assert_eq!(received, LENGTH);
    let payment = answer.payment().unwrap();
    assert_eq!((payment.cost, payment.spent), (Some(Amount::new(3_001)), Some(Amount::new(3_001))));
    let ledger = agent.channel().await.ledger;
    assert_eq!(
        (ledger.acknowledged, ledger.agreed, ledger.in_flight.get()),
        (Amount::new(3_001), Amount::new(3_001), 0)
    );
    let ahead = ledger.signed_for().get() - 3_001;
    assert!(ahead <= 3_001, "{ahead} was signed for and not used: no more than was used before");
    settle(&market).await;
    assert_eq!(market.left(), (LENGTH, 3_001));
    market.end_having_earned(3_001);
}

#[tokio::test]
async fn tokens_are_paid_for_as_a_model_has_them() {
    let market = Market::open().await;
    let agent = market.hire().await;
    let answer = agent.client.get(&market.url("/stream/tokens/500")).await.unwrap();
    let text = answer.text().await.unwrap();
    assert_eq!(text.matches("data: token").count(), 500);
    assert!(text.ends_with("\n\n") && text.contains("event: amp-end\n"), "{text}");
    settle(&market).await;
    market.end_having_earned(500 * TOKEN_PRICE);
}

#[tokio::test]
async fn a_stock_client_of_events_sees_what_is_paid_for_and_a_clean_end() {
    let market =
        Market::builder().service(|config| config.stream_wait(Duration::from_millis(100))).open().await;
    let agent = market.hire().await;
    agent.client.prepare(market.origin()).await.unwrap();
    let credential = agent.credential(&market, 10 * TOKEN_PRICE).await;
    let answer = market.get_with("/stream/tokens/500", &credential).await;
    let text = answer.text();
    assert_eq!((answer.status, text.matches("data: token").count()), (200, 10));
    let names: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    assert_eq!(names, ["amp-need", "amp-end"]);
    settle(&market).await;
    market.end_having_earned(10 * TOKEN_PRICE);
}

#[tokio::test]
async fn seconds_are_paid_for_until_the_client_goes_away() {
    let market = Market::open().await;
    let agent = market.hire().await;
    let mut answer = agent.client.get(&market.url("/stream/clock")).await.unwrap();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(7_300) {
        timeout(Duration::from_secs(2), answer.chunk()).await.unwrap().unwrap().unwrap();
    }
    drop(answer);
    settle(&market).await;
    let earned = market.earned();
    assert_eq!(earned % SECOND_PRICE, 0);
    assert!((8..=9).contains(&(earned / SECOND_PRICE)), "{earned}: begun seconds of 7.3");
    market.end_having_earned(earned);
}

#[tokio::test]
async fn a_stream_ends_at_the_budget_and_says_so() {
    let market =
        Market::builder().service(|config| config.stream_wait(Duration::from_millis(200))).open().await;
    let agent = market.hire_with(|client| client.metered_budget(Amount::new(500))).await;
    let mut answer = agent.client.get(&market.url("/stream/bytes/2000000")).await.unwrap();
    let mut received = 0;
    let error = loop {
        match answer.chunk().await {
            Ok(piece) => received += piece.expect("it is cut off").len() as u64,
            Err(error) => break error,
        }
    };
    assert!(received <= 500 * BYTES, "{received}");
    assert!(
        matches!(&error, ClientError::Policy(PolicyError::Price { max, .. }) if *max == Amount::new(500))
            || matches!(&error, ClientError::Http(_)),
        "{error:?}"
    );
    settle(&market).await;
    let (_, cost) = market.left();
    assert!(cost <= 500);
    // the client goes on with what is left
    let tokens = agent.client.get(&market.url("/stream/tokens/5")).await.unwrap().text().await.unwrap();
    assert_eq!(tokens.matches("data: token").count(), 5);
    settle(&market).await;
    market.end_having_earned(cost + 5 * TOKEN_PRICE);
}

#[tokio::test]
async fn streams_side_by_side_share_one_channel() {
    let market = Market::open().await;
    let agent = market.hire().await;
    agent.client.prepare(market.origin()).await.unwrap();
    let urls: Vec<String> = (1..=8).map(|n| market.url(&format!("/stream/bytes/{}", n * 100_000))).collect();
    let downloads = urls.iter().map(|url| async { agent.client.get(url).await?.bytes().await });
    let lengths: Vec<usize> =
        join_all(downloads).await.into_iter().map(|bytes| bytes.unwrap().len()).collect();
    assert_eq!(lengths, (1..=8).map(|n| n * 100_000).collect::<Vec<_>>());
    settle(&market).await;
    market.end_having_earned(36 * 100);
}

#[tokio::test]
async fn whenever_a_client_hangs_up_what_has_left_is_charged_and_nothing_else() {
    drop_streams(60).await;
}

/// Hangs up on so many downloads, each somewhere else.
async fn drop_streams(count: u64) {
    let market = Market::open().await;
    let agent = market.hire().await;
    agent.client.prepare(market.origin()).await.unwrap();
    for n in 0..count {
        let url = market.url(&format!("/stream/bytes/{}", 40_000 + n * 977));
        let mut answer = agent.client.get(&url).await.unwrap();
        for _ in 0..n % 9 {
            match timeout(Duration::from_micros(n * 37 % 900), answer.chunk()).await {
                Ok(Ok(None)) => break,
                Ok(Err(error)) => panic!("{error}"),
                _ => {}
            }
        }
    }
    settle(&market).await;
    let (_, cost) = market.left();
    assert!(cost > 0);
    market.end_having_earned(cost);
}

#[tokio::test]
async fn a_service_that_is_killed_while_it_streams_claims_what_may_have_left_and_no_more_than_was_signed() {
    let mut market = Market::open().await;
    let agent = market.hire().await;
    let mut answer = agent.client.get(&market.url("/stream/clock")).await.unwrap();
    answer.chunk().await.unwrap().unwrap();
    let signed = agent.channel().await.ledger.signed_for().get();
    market.crash_and_restart().await;
    assert!(answer.bytes().await.is_err());
    settle(&market).await;
    let earned = market.earned();
    assert!((SECOND_PRICE..=signed).contains(&earned), "{earned} of {signed}");
    market.end_having_earned(earned);
}

#[tokio::test]
async fn a_stream_without_a_credential_is_told_what_it_costs() {
    let market = Market::open().await;
    let refused = market.get("/stream/tokens/5").await.refused(Code::NoChannel);
    assert!(refused.message.contains("payment required"));
    market.end();
}

#[tokio::test]
async fn what_an_earlier_stream_was_signed_for_and_did_not_use_pays_for_the_next() {
    let market = Market::open().await;
    let agent = market.hire().await;
    let mut expected = 0;
    for count in [500, 200, 3, 700] {
        let answer = agent.client.get(&market.url(&format!("/stream/tokens/{count}"))).await.unwrap();
        assert_eq!(answer.text().await.unwrap().matches("data: token").count(), count as usize);
        expected += count * TOKEN_PRICE;
    }
    for _ in 0..4 {
        let answer = agent.client.get(&market.url("/stream/bytes/1000000")).await.unwrap();
        assert_eq!(answer.bytes().await.unwrap().len(), 1_000_000);
        expected += 1_000_000 / BYTES;
    }
    let status = agent.client.status(market.origin()).await.unwrap();
    assert_eq!(status.spent.get(), expected);
    let ledger = agent.channel().await.ledger;
    assert_eq!(
        (ledger.acknowledged.get(), ledger.agreed.get(), ledger.in_flight.get()),
        (expected, expected, 0)
    );
    agent.buy(&market.url("/quote")).await;
    market.next_slot();
    agent.client.close(market.origin()).await.unwrap();
    market.end_having_earned(expected + PRICE);
}

#[tokio::test]
async fn after_a_kill_in_its_first_stream_an_agent_goes_on() {
    let mut market = Market::open().await;
    let agent = market.hire().await;
    let mut answer = agent.client.get(&market.url("/stream/clock")).await.unwrap();
    answer.chunk().await.unwrap().unwrap();
    market.crash_and_restart().await;
    assert!(answer.bytes().await.is_err());
    for _ in 0..3 {
        agent.buy(&market.url("/quote")).await;
    }
    settle(&market).await;
    let earned = market.earned();
    assert!(earned >= SECOND_PRICE + 3 * PRICE);
    market.end_having_earned(earned);
}

#[tokio::test]
async fn an_agent_that_closes_while_it_streams_opens_no_other_channel() {
    let market = Market::open().await;
    let agent = market.hire().await;
    let mut answer = agent.client.get(&market.url("/stream/bytes/20000000")).await.unwrap();
    answer.chunk().await.unwrap().unwrap();
    market.next_slot();
    let closing = agent.client.close(market.origin());
    let reading = async { while let Ok(Some(_)) = answer.chunk().await {} };
    let (closed, ()) = tokio::join!(closing, reading);
    closed.unwrap();
    assert_eq!(market.count_of("OpenChannel"), 1, "{:?}", market.transactions());
    let (_, cost) = market.left();
    market.end_having_earned(cost);
}

#[tokio::test]
async fn a_budget_that_pays_for_nothing_is_no_reason_to_spend_more() {
    let market = Market::open().await;
    let agent = market.hire_with(|client| client.metered_budget(Amount::new(SECOND_PRICE - 1))).await;
    let refused = agent.client.get(&market.url("/stream/clock")).await.unwrap_err();
    let expected =
        PolicyError::Price { price: Amount::new(SECOND_PRICE), max: Amount::new(SECOND_PRICE - 1) };
    assert!(matches!(&refused, ClientError::Policy(found) if *found == expected), "{refused:?}");
    market.end();
}

#[tokio::test]
async fn streams_take_no_place_from_calls() {
    let market = Market::builder().service(|config| config.seq_window(2)).open().await;
    let agent = market.hire().await;
    let mut open = Vec::new();
    for _ in 0..4 {
        let mut answer = agent.client.get(&market.url("/stream/clock")).await.unwrap();
        answer.chunk().await.unwrap().unwrap();
        open.push(answer);
    }
    timeout(Duration::from_secs(5), agent.buy(&market.url("/quote"))).await.unwrap();
    drop(open);
    settle(&market).await;
    let earned = market.earned();
    assert_eq!((earned - PRICE) % SECOND_PRICE, 0);
    market.end_having_earned(earned);
}
