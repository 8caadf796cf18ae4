//! Processes that end, and others that go on where they were.

use amp_e2e_tests::{DEPOSIT, Market, PRICE};
use amp_protocol::code::Code;
use amp_protocol::money::{Amount, Seq};
use amp_sdk::client::CloseOutcome;
use futures::stream::{self, StreamExt};

#[tokio::test]
async fn a_restarted_service_refuses_what_it_served_before_and_goes_on_from_there() {
    let mut market = Market::open().await;
    let agent = market.hire().await;
    let mut seqs = Vec::new();
    for _ in 0..10 {
        seqs.push(agent.buy(&market.url("/quote")).await.seq);
    }
    market.restart().await;
    for seq in seqs {
        let overheard = agent.credential(&market, seq.get()).await;
        let refused = market.get_with("/quote", &overheard).await.refused(Code::InvalidSeq);
        assert_eq!(refused.last_seq, Some(Seq::new(10 * PRICE)));
    }
    let payment = agent.buy(&market.url("/quote")).await;
    assert_eq!(payment.spent, Some(Amount::new(11 * PRICE)));
    assert_eq!(payment.balance, Some(Amount::new(DEPOSIT - 11 * PRICE)));
    assert_eq!(market.settle_all().await, [(payment.channel, 11 * PRICE)]);
    assert_eq!(market.transactions(), ["OpenChannel", "Settle"]);

    // what was settled survives as well: nothing is claimed twice
    market.restart().await;
    assert_eq!(market.settle_all().await, [(payment.channel, 0)]);
    agent.buy(&market.url("/quote")).await;
    assert_eq!(market.settle_all().await, [(payment.channel, PRICE)]);
    market.end();
}

#[tokio::test]
async fn a_close_statement_survives_a_restart() {
    let mut market = Market::open().await;
    let agent = market.hire().await;
    let payment = agent.buy(&market.url("/quote")).await;
    let newest = agent.credential(&market, payment.seq.get()).await;
    let first = market.post_with(amp_protocol::text::path::CLOSE, &newest).await;
    assert_eq!(first.status, 200, "{}", first.text());
    market.restart().await;
    let fresh = agent.credential(&market, 2 * PRICE).await;
    market.get_with("/quote", &fresh).await.refused(Code::Closed);
    let again = market.post_with(amp_protocol::text::path::CLOSE, &newest).await;
    assert_eq!((again.status, again.text()), (200, first.text()));
    market.next_slot();
    let closed = agent.client.close(market.origin()).await.unwrap();
    assert!(matches!(closed, CloseOutcome::Closed { payout, .. } if payout.get() == PRICE), "{closed:?}");
    market.end();
}

#[tokio::test]
async fn a_service_that_is_killed_under_load_can_claim_all_that_was_answered() {
    let mut market = Market::open().await;
    let agent = market.hire().await;
    let url = market.url("/quote");
    agent.buy(&url).await;
    let client = agent.client.clone();
    let (mut answered, mut failed) = (1, 0);
    // three wait in their handler, the others are answered at once
    let urls = (0..80).map(|call| market.url(if call < 3 { "/slow" } else { "/quote" }));
    let urls: Vec<_> = urls.collect();
    let mut calls = stream::iter(&urls).map(|url| client.get(url)).buffer_unordered(8);
    while let Some(call) = calls.next().await {
        match call {
            Ok(answer) => {
                assert_eq!(answer.status(), 200);
                answered += 1;
                if answered == 20 || answered == 50 {
                    market.crash_and_restart().await;
                }
            }
            // cut off with the connection: served or not, nobody knows
            Err(error) => {
                assert!(matches!(error, amp_sdk::client::ClientError::Http(_)), "{error:?}");
                failed += 1;
            }
        }
    }
    drop(calls);
    assert_eq!(answered + failed, 81);
    assert!((3..=16).contains(&failed), "{failed} calls were under way when it was killed");
    let spent = agent.client.status(&url).await.unwrap().spent.get();
    assert!(spent >= answered * PRICE && spent <= market.served(), "{answered} {spent} {}", market.served());
    assert_eq!(market.settle_all().await.iter().map(|(_, paid)| paid).sum::<u64>(), spent);
    assert_eq!(market.count_of("OpenChannel"), 1);
    agent.client.close(market.origin()).await.unwrap();
    market.end_having_earned(spent);
}

#[tokio::test]
async fn a_restarted_client_opens_nothing_and_signs_higher_seqs() {
    let market = Market::open().await;
    let mut agent = market.hire().await;
    let url = market.url("/quote");
    let (mut last, mut channel) = (Seq::ZERO, None);
    for round in 1..=3_u64 {
        for call in 1..=4_u64 {
            let payment = agent.buy(&url).await;
            assert!(payment.seq > last, "seqs go up");
            assert_eq!(*channel.get_or_insert(payment.channel), payment.channel);
            assert_eq!(payment.spent, Some(Amount::new(((round - 1) * 4 + call) * PRICE)));
            last = payment.seq;
        }
        agent.restart(&market).await;
    }
    assert_eq!(market.transactions(), ["OpenChannel"]);
    assert_eq!(agent.client.channels().await.unwrap().len(), 1);
    market.settle_all().await;
    assert!(matches!(
        agent.client.close(market.origin()).await.unwrap(),
        CloseOutcome::Closed { refund, .. } if refund.get() == DEPOSIT - 12 * PRICE
    ));
    market.end();
}

#[tokio::test]
async fn a_client_that_lost_its_store_recovers_its_channel_and_goes_on() {
    let market = Market::open().await;
    let mut agent = market.hire().await;
    let url = market.url("/quote");
    for _ in 0..3 {
        agent.buy(&url).await;
    }
    let known = agent.channel().await;
    agent.lose_store(&market).await;
    assert!(agent.client.channels().await.unwrap().is_empty());

    let recovered = agent.client.recover(&url).await.unwrap();
    assert_eq!(recovered.len(), 1);
    let record = &recovered[0];
    assert_eq!((record.channel, record.opened_slot), (known.channel, known.opened_slot));
    assert_eq!(record.ledger.acknowledged, Amount::new(3 * PRICE));
    assert_eq!(record.ledger.last_signed, Seq::new(3 * PRICE));
    assert!(agent.client.recover(&url).await.unwrap().is_empty(), "it is known now");

    let payment = agent.buy(&url).await;
    assert_eq!((payment.seq, payment.spent), (Seq::new(4 * PRICE), Some(Amount::new(4 * PRICE))));
    assert_eq!(market.transactions(), ["OpenChannel"]);
    market.next_slot();
    agent.client.close(market.origin()).await.unwrap();
    market.end();
}

#[tokio::test]
async fn a_client_that_lost_its_store_and_does_not_recover_opens_beside_its_old_channel() {
    let market = Market::open().await;
    let mut agent = market.hire().await;
    let url = market.url("/quote");
    let old = agent.buy(&url).await.channel;
    agent.lose_store(&market).await;
    let new = agent.buy(&url).await;
    assert_ne!(new.channel, old);
    assert_eq!(new.spent, Some(Amount::new(PRICE)));
    assert_eq!(market.transactions(), ["OpenChannel", "OpenChannel"]);
    // the old one is found all the same, and both come back
    assert_eq!(agent.client.recover(&url).await.unwrap().len(), 1);
    market.next_slot();
    for (_, outcome) in agent.client.close_all().await.unwrap() {
        assert!(matches!(outcome.unwrap(), CloseOutcome::Closed { payout, .. } if payout.get() == PRICE));
    }
    assert_eq!(market.money().vaults, 0);
    market.end();
}

#[tokio::test]
async fn two_clients_over_one_store_share_the_channel_and_no_seq() {
    let market = Market::open().await;
    let agent = market.hire().await;
    let other = agent.second_client(&market).await;
    // both may send the opening: of the same channel, so that only one can take place
    market.tolerate_a_refused_transaction();
    let url = market.url("/quote");
    let clients = [&agent.client, &other];
    let calls = stream::iter(0..40).map(|call| clients[call % 2].get(&url)).buffer_unordered(16);
    let answers: Vec<_> = calls.collect().await;
    let payments = answers.into_iter().map(|answer| *answer.unwrap().payment().expect("paid for"));
    let mut seqs: Vec<_> = payments.map(|payment| payment.seq).collect();
    seqs.sort();
    seqs.dedup();
    assert_eq!(seqs.len(), 40);
    assert_eq!(market.transactions(), ["OpenChannel"]);
    market.next_slot();
    agent.client.close(market.origin()).await.unwrap();
    // the other one finds out by itself, and goes on
    let payment = *other.get(&url).await.unwrap().payment().unwrap();
    assert_eq!(payment.spent, Some(Amount::new(PRICE)));
    market.settle_all().await;
    market.end();
}

#[tokio::test]
async fn a_service_that_lost_its_store_goes_on_from_what_was_settled() {
    let mut market = Market::open().await;
    let agent = market.hire().await;
    let url = market.url("/quote");
    for _ in 0..5 {
        agent.buy(&url).await;
    }
    market.settle_all().await;
    for _ in 0..2 {
        agent.buy(&url).await;
    }
    market.restart_without_store().await;
    let settled = agent.credential(&market, 5 * PRICE).await;
    let refused = market.get_with("/quote", &settled).await.refused(Code::InvalidSeq);
    assert_eq!(refused.last_seq, Some(Seq::new(5 * PRICE)), "what was settled is not served again");
    // the two unsettled calls are lost to the service, and cost the agent nothing
    let payment = agent.buy(&url).await;
    assert_eq!(payment.spent, Some(Amount::new(6 * PRICE)));
    market.next_slot();
    let closed = agent.client.close(market.origin()).await.unwrap();
    let refund = Amount::new(DEPOSIT - 6 * PRICE);
    assert!(matches!(closed, CloseOutcome::Closed { refund: back, .. } if back == refund), "{closed:?}");
    assert_eq!(market.served(), 8 * PRICE);
    market.end_having_earned(6 * PRICE);
}
