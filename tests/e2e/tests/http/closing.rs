//! Closes that one side does not cooperate in.

use std::time::Duration;

use amp_e2e_tests::{DEPOSIT, GRACE, INTERVAL, Market, Money, PRICE, eventually};
use amp_protocol::code::Code;
use amp_protocol::json::CloseResponse;
use amp_protocol::money::Amount;
use amp_protocol::rejection::Rejection;
use amp_protocol::text::path;
use amp_sdk::chain::ChainError;
use amp_sdk::client::{ChannelState, CloseOutcome};

/// A service that looks at its channels all the time.
async fn watchful() -> Market {
    Market::builder().service(|config| config.watch_interval(Duration::from_millis(50))).open().await
}

#[tokio::test]
async fn a_close_request_behind_the_services_back_is_noticed_by_a_request() {
    let market = Market::open().await;
    let agent = market.hire().await;
    agent.buy(&market.url("/quote")).await;
    let channel = agent.channel().await.channel;
    market.request_close(&agent.funder, &channel).await;
    // the view may be this old
    tokio::time::sleep(Duration::from_millis(60)).await;
    let fresh = agent.credential(&market, 2 * PRICE).await;
    let refused = market.get_with("/quote", &fresh).await;
    refused.refused(Code::Closed);
    assert_eq!(refused.status, 410);
    // no interval while closing
    assert_eq!(market.service().settle(channel).await.unwrap().paid, Amount::new(PRICE));
    market.end();
}

#[tokio::test]
async fn the_watch_settles_a_closing_channel_and_after_the_grace_a_stranger_closes_it() {
    let market = watchful().await;
    let agent = market.hire().await;
    for _ in 0..3 {
        agent.buy(&market.url("/quote")).await;
    }
    let (before, channel) = (market.money(), agent.channel().await.channel);
    assert_eq!(market.count_of("Settle"), 0, "the interval has not passed");
    market.request_close(&agent.funder, &channel).await;
    eventually("the service settles what it is owed", || market.earned() == 3 * PRICE).await;

    let stranger = market.person();
    market.chain.advance_seconds(GRACE - 1);
    let early = market.close_as(&stranger, &channel).await.unwrap_err();
    assert!(
        matches!(early, ChainError::Rejected(Rejection::GraceNotOver)),
        "a second before the grace has passed: {early:?}"
    );
    market.chain.advance_seconds(1);
    market.close_as(&stranger, &channel).await.unwrap();
    let names = market.transactions();
    assert_eq!(names, ["OpenChannel", "RequestClose", "Settle", "CloseChannel"]);
    assert_eq!(market.tokens(&stranger), market.tokens(&agent.funder) + 3 * PRICE, "no tip for closing");
    let after = market.money();
    assert_eq!((after.vaults, after.service, before.vaults), (0, 3 * PRICE, DEPOSIT));
    market.end();
}

#[tokio::test]
async fn after_the_grace_the_client_closes_without_a_statement() {
    let market = watchful().await;
    let agent = market.hire().await;
    for _ in 0..3 {
        agent.buy(&market.url("/quote")).await;
    }
    let channel = agent.channel().await.channel;
    market.request_close(&agent.funder, &channel).await;
    eventually("the service settles what it is owed", || market.earned() == 3 * PRICE).await;
    market.chain.advance_seconds(GRACE);
    match agent.client.close(market.origin()).await.unwrap() {
        CloseOutcome::Closed { refund, payout, .. } => {
            assert_eq!((refund, payout), (Amount::new(DEPOSIT - 3 * PRICE), Amount::ZERO));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(market.money().vaults, 0);
    market.end();
}

#[tokio::test]
async fn within_the_grace_the_service_still_gives_its_statement() {
    let market = Market::open().await;
    let agent = market.hire().await;
    agent.buy(&market.url("/quote")).await;
    let channel = agent.channel().await.channel;
    market.request_close(&agent.funder, &channel).await;
    market.next_slot();
    match agent.client.close(market.origin()).await.unwrap() {
        CloseOutcome::Closed { refund, payout, .. } => {
            assert_eq!((refund, payout), (Amount::new(DEPOSIT - PRICE), Amount::new(PRICE)));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(market.transactions(), ["OpenChannel", "RequestClose", "CloseChannel"]);
    market.end();
}

#[tokio::test]
async fn a_client_whose_channel_is_closing_goes_on_with_a_new_one() {
    let market = watchful().await;
    let agent = market.hire().await;
    let old = agent.buy(&market.url("/quote")).await.channel;
    market.request_close(&agent.funder, &old).await;
    eventually("the service settles what it is owed", || market.earned() == PRICE).await;
    let payment = agent.buy(&market.url("/quote")).await;
    assert_ne!(payment.channel, old);
    assert_eq!(payment.spent, Some(Amount::new(PRICE)));
    market.chain.advance_seconds(GRACE);
    for (record, outcome) in agent.client.close_all().await.unwrap() {
        assert!(matches!(outcome, Ok(CloseOutcome::Closed { .. })), "{}: {outcome:?}", record.channel);
    }
    assert_eq!(market.money().vaults, 0);
    let states = agent.client.channels().await.unwrap();
    assert!(states.iter().all(|record| record.state == ChannelState::Closed), "{states:?}");
    market.end();
}

#[tokio::test]
async fn a_service_that_is_gone_can_not_keep_what_it_did_not_settle() {
    let mut market = Market::open().await;
    let agent = market.hire().await;
    let url = market.url("/quote");
    for _ in 0..4 {
        agent.buy(&url).await;
    }
    market.settle_all().await;
    for _ in 0..2 {
        agent.buy(&url).await;
    }
    market.stop().await;
    let now = market.chain.clock_now().unix_timestamp;
    let closable = match agent.client.close(&url).await.unwrap() {
        CloseOutcome::Requested { closable_from, .. } => closable_from,
        other => panic!("{other:?}"),
    };
    assert_eq!(closable, now + i64::from(GRACE));
    // again, too early: nothing more is sent
    market.chain.advance_seconds(GRACE - 1);
    let again = agent.client.close(&url).await.unwrap();
    assert!(matches!(again, CloseOutcome::Requested { closable_from, .. } if closable_from == closable));
    market.chain.advance_seconds(1);
    match agent.client.close(&url).await.unwrap() {
        CloseOutcome::Closed { refund, payout, .. } => {
            assert_eq!((refund, payout), (Amount::new(DEPOSIT - 4 * PRICE), Amount::ZERO));
        }
        other => panic!("{other:?}"),
    }
    let names = market.transactions();
    assert_eq!(names, ["OpenChannel", "Settle", "RequestClose", "CloseChannel"]);
    assert_eq!(market.money(), Money { vaults: 0, service: 4 * PRICE, ..market.money() });
    assert_eq!(market.served(), 6 * PRICE);
    market.end_having_earned(4 * PRICE);
}

#[tokio::test]
async fn a_service_that_comes_back_within_the_grace_is_paid() {
    let mut market = watchful().await;
    let agent = market.hire().await;
    let url = market.url("/quote");
    for _ in 0..2 {
        agent.buy(&url).await;
    }
    market.stop().await;
    let requested = agent.client.close(&url).await.unwrap();
    assert!(matches!(requested, CloseOutcome::Requested { .. }), "{requested:?}");
    market.chain.advance_seconds(GRACE - 1);
    market.start().await;
    eventually("it settles when it starts", || market.earned() == 2 * PRICE).await;
    market.chain.advance_seconds(1);
    match agent.client.close(&url).await.unwrap() {
        CloseOutcome::Closed { refund, .. } => assert_eq!(refund, Amount::new(DEPOSIT - 2 * PRICE)),
        other => panic!("{other:?}"),
    }
    market.end();
}

#[tokio::test]
async fn an_abandoned_cooperative_close_is_finished_by_the_service_after_the_deadline() {
    let market = Market::builder()
        .service(|config| {
            config.watch_interval(Duration::from_millis(50)).close_deadline(Duration::from_secs(2))
        })
        .open()
        .await;
    let agent = market.hire().await;
    for _ in 0..2 {
        agent.buy(&market.url("/quote")).await;
    }
    let before = market.tokens(&agent.funder);
    let channel = agent.channel().await.channel;
    let newest = agent.credential(&market, 2 * PRICE).await;
    let answer = market.post_with(path::CLOSE, &newest).await;
    assert_eq!(answer.json::<CloseResponse>().close_statement.owed_total, Amount::new(2 * PRICE));
    // settling would be possible, but the statement pays it without
    market.chain.advance_seconds(INTERVAL);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(market.transactions(), ["OpenChannel"], "the funder has its time");

    eventually("the service settles and closes", || market.count_of("CloseChannel") == 1).await;
    assert_eq!(market.transactions(), ["OpenChannel", "Settle", "CloseChannel"]);
    assert_eq!(market.account(&channel).await, None);
    assert_eq!(market.tokens(&agent.funder), before + DEPOSIT - 2 * PRICE);
    let late = agent.client.close(market.origin()).await.unwrap();
    assert!(matches!(late, CloseOutcome::AlreadyClosed), "{late:?}");
    market.end();
}

#[tokio::test]
async fn a_closed_channel_is_followed_by_a_new_one_at_the_next_call() {
    let market = Market::open().await;
    let agent = market.hire().await;
    let first = agent.buy(&market.url("/quote")).await.channel;
    market.next_slot();
    agent.client.close(market.origin()).await.unwrap();
    let second = agent.buy(&market.url("/quote")).await;
    assert_eq!(second.spent, Some(Amount::new(PRICE)));
    market.next_slot();
    agent.client.close(market.origin()).await.unwrap();
    assert_eq!(market.transactions(), ["OpenChannel", "CloseChannel", "OpenChannel", "CloseChannel"]);
    assert_eq!(market.account(&first).await, None);
    market.end();
}
