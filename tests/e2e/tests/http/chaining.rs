//! A service that chains: bounded by what it is owed, and by the program. The whole story, with a supplier
//! that serves, is examples/chain.

use amp_e2e_tests::{DEPOSIT, GRACE, INTERVAL, Market, PRICE};
use amp_protocol::money::{Amount, Seq, UnitPrice};
use amp_protocol::rejection::Rejection;
use amp_sdk::client::{ClientError, CloseOutcome, Reclaimed};
use amp_sdk::server::{ChainingError, SubChannel};
use amp_sdk::signer::{KeypairSigner, Signer};

fn sub_channel(deposit: u64) -> SubChannel {
    SubChannel {
        sub_service: KeypairSigner::generate().public_key(),
        deposit: Amount::new(deposit),
        unit_price: UnitPrice::ONE,
        rate_limit: Amount::new(deposit.max(1)),
        settle_interval: INTERVAL,
        close_grace: GRACE,
    }
}

#[tokio::test]
async fn a_service_chains_no_more_than_it_is_owed_and_only_where_the_root_allows() {
    let market = Market::open().await;
    let agent = market.hire_with(|builder| builder.max_chain_depth(1)).await;
    for _ in 0..4 {
        agent.buy(&market.url("/quote")).await;
    }
    let upstream = agent.channel().await.channel;
    let chain = |asked| market.service().chain(&upstream, asked);
    let early = chain(sub_channel(PRICE)).await.unwrap_err();
    assert!(matches!(early, ChainingError::Rule(Rejection::SettleEarly)), "{early}");
    market.chain.advance_seconds(INTERVAL);
    let too_much = chain(sub_channel(4 * PRICE + 1)).await.unwrap_err();
    let ChainingError::NotOwed { owed, .. } = too_much else { panic!("{too_much}") };
    assert_eq!(owed, Amount::new(4 * PRICE));
    for (asked, rejection) in [
        (sub_channel(0), Rejection::ZeroAmount),
        (SubChannel { close_grace: GRACE + 1, ..sub_channel(1) }, Rejection::GraceAboveParent),
        (SubChannel { settle_interval: 0, ..sub_channel(1) }, Rejection::SettleIntervalOutOfRange),
        (SubChannel { sub_service: agent.funder.public_key(), ..sub_channel(1) }, Rejection::SelfPayment),
    ] {
        let refused = chain(asked).await.unwrap_err();
        assert!(matches!(refused, ChainingError::Rule(found) if found == rejection), "{refused}");
    }
    let chained = chain(sub_channel(3 * PRICE)).await.unwrap();
    assert_eq!(chained.deposit, Amount::new(3 * PRICE));

    // the rest is still owed and collected; nothing is collected twice
    market.chain.advance_seconds(INTERVAL);
    assert_eq!(market.service().settle(upstream).await.unwrap().paid, Amount::new(PRICE));
    let metrics = market.service().metrics().await;
    for (name, amount) in [("chained", 3 * PRICE), ("settled", PRICE), ("charged", 4 * PRICE)] {
        let line = format!("amp_{name}_base_units_total {amount}");
        assert!(metrics.lines().any(|found| found == line), "{line}");
    }
    assert!(metrics.contains("\namp_unsettled_base_units 0\n"));
    agent.buy(&market.url("/quote")).await;

    let Reclaimed::Requested { .. } = agent.client.reclaim(&chained.channel).await.unwrap() else { panic!() };
    market.chain.advance_seconds(GRACE - 1);
    let Reclaimed::Requested { .. } = agent.client.reclaim(&chained.channel).await.unwrap() else { panic!() };
    market.chain.advance_seconds(1);
    let Reclaimed::Closed { refund, .. } = agent.client.reclaim(&chained.channel).await.unwrap() else {
        panic!()
    };
    assert_eq!(refund, Amount::new(3 * PRICE));
    assert!(matches!(agent.client.reclaim(&chained.channel).await.unwrap(), Reclaimed::AlreadyClosed));
    let CloseOutcome::Closed { refund, .. } = agent.client.close(market.origin()).await.unwrap() else {
        panic!()
    };
    assert_eq!(refund, Amount::new(DEPOSIT - 5 * PRICE));
    // what was chained and not used is the agent's again, not the service's
    market.end_having_earned(2 * PRICE);
}

#[tokio::test]
async fn a_channel_whose_root_allows_no_chain_is_not_chained_and_ones_own_channel_is_not_reclaimed() {
    let market = Market::open().await;
    let agent = market.hire().await;
    agent.buy(&market.url("/quote")).await;
    market.chain.advance_seconds(INTERVAL);
    let upstream = agent.channel().await.channel;
    let refused = market.service().chain(&upstream, sub_channel(PRICE)).await.unwrap_err();
    assert!(matches!(refused, ChainingError::Rule(Rejection::ChainTooDeep)), "{refused}");
    let unknown = KeypairSigner::generate().public_key();
    let refused = market.service().chain(&unknown, sub_channel(PRICE)).await.unwrap_err();
    assert!(matches!(refused, ChainingError::NoChannel(_)), "{refused}");
    let refused = agent.client.reclaim(&upstream).await.unwrap_err();
    assert!(matches!(refused, ClientError::NotChained { .. }), "{refused}");
    market.service().settle(upstream).await.unwrap();
    market.end();
}

#[tokio::test]
async fn two_channels_to_one_supplier_in_one_moment_are_two_channels() {
    let market = Market::open().await;
    let agent = market.hire_with(|builder| builder.max_chain_depth(1)).await;
    agent.buy(&market.url("/quote")).await;
    let upstream = agent.channel().await.channel;
    let delegate = KeypairSigner::generate();
    let delegation = market.delegate(&agent.funder, &upstream, &delegate, DEPOSIT, 0).await;
    market.next_slot();
    let credential = market.sign(&delegate, &upstream, delegation.created_slot, Seq::new(PRICE)).await;
    assert_eq!(market.get_with("/quote", &credential).await.status, 200);
    market.chain.advance_seconds(INTERVAL);

    // out of what the two signers owe, one each
    let (chain, asked) = (|asked| market.service().chain(&upstream, asked), sub_channel(PRICE));
    let (one, other) = tokio::join!(chain(asked), chain(asked));
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_ne!(one.channel, other.channel);
    for chained in [&one, &other] {
        assert_eq!(chained.deposit, Amount::new(PRICE));
        assert!(chained.transaction.is_some());
        let Reclaimed::Requested { .. } = agent.client.reclaim(&chained.channel).await.unwrap() else {
            panic!()
        };
    }
    assert_eq!(market.account(&upstream).await.unwrap().books.claimed, Amount::new(2 * PRICE));
    market.chain.advance_seconds(GRACE);
    for chained in [&one, &other] {
        let Reclaimed::Closed { refund, .. } = agent.client.reclaim(&chained.channel).await.unwrap() else {
            panic!()
        };
        assert_eq!(refund, Amount::new(PRICE));
    }
    let CloseOutcome::Closed { refund, .. } = agent.client.close(market.origin()).await.unwrap() else {
        panic!()
    };
    assert_eq!(refund, Amount::new(DEPOSIT - 2 * PRICE));
    market.close_delegation(&agent.funder, &upstream, &delegate).await.unwrap();
    market.end_having_earned(0);
}
