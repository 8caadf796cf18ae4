//! `AMP_CLOSED`, and who may bring it about.

use std::time::Duration;

use amp_e2e_tests::{DEPOSIT, Market, PRICE};
use amp_protocol::code::Code;
use amp_protocol::json::{ChannelStatus, CloseResponse};
use amp_protocol::money::{Amount, Seq};
use amp_protocol::text::path;
use amp_sdk::client::{ClientError, CloseOutcome};
use amp_sdk::signed::{verify_close_statement, verify_metering_proof};
use amp_sdk::signer::Signer;

#[tokio::test]
async fn after_a_posted_close_nothing_is_served_and_the_statement_is_the_sum() {
    let market = Market::open().await;
    let agent = market.hire().await;
    for _ in 0..3 {
        agent.buy(&market.url("/quote")).await;
    }
    let newest = agent.credential(&market, 3 * PRICE).await;
    let answer = market.post_with(path::CLOSE, &newest).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("cache-control"), "no-store");
    let statement = answer.json::<CloseResponse>().close_statement;
    let record = agent.channel().await;
    assert_eq!(statement.channel.0, record.channel.to_bytes());
    assert_eq!((statement.opened_slot, statement.owed_total), (record.opened_slot, Amount::new(750)));
    assert!(verify_close_statement(&statement, &market.recipient.public_key().to_bytes()));

    let fresh = agent.credential(&market, 4 * PRICE).await;
    let refused = market.get_with("/quote", &fresh).await;
    assert_eq!(refused.refused(Code::Closed).channel, Some(record.channel.to_bytes().into()));
    assert_eq!(refused.status, 410);
    market.post_with(path::CREDENTIAL, &fresh).await.refused(Code::Closed);
    // what it says of the past is still to be had
    let status: ChannelStatus = market.get_with(path::CHANNEL, &newest).await.json();
    assert_eq!(status.spent, Amount::new(3 * PRICE));
    let proof = status.metering_proof.unwrap();
    assert!(verify_metering_proof(&proof, &market.recipient.public_key().to_bytes()));

    // the client has not heard of it: it is told, and pays no second deposit on the service's word
    let told = agent.client.get(&market.url("/quote")).await.unwrap_err();
    assert!(matches!(told, ClientError::ClosedByService { channel, .. } if channel == record.channel));
    market.next_slot();
    let closed = agent.client.close(market.origin()).await.unwrap();
    assert!(matches!(closed, CloseOutcome::Closed { payout, .. } if payout.get() == 3 * PRICE));
    assert_eq!(market.transactions(), ["OpenChannel", "CloseChannel"]);
    market.end();
}

#[tokio::test]
async fn the_last_signer_of_a_closed_channel_is_told_so_and_nobody_else() {
    let market = Market::open().await;
    let agent = market.hire().await;
    agent.buy(&market.url("/quote")).await;
    let (mine, channel) = (agent.credential(&market, 2 * PRICE).await, agent.channel().await);
    market.next_slot();
    agent.client.close(market.origin()).await.unwrap();
    market.get_with("/quote", &mine).await.refused(Code::Closed);
    let stranger = market.person();
    let guess = market.sign(&stranger, &channel.channel, channel.opened_slot, Seq::new(1)).await;
    market.get_with("/quote", &guess).await.refused(Code::NoChannel);
    market.end();
}

#[tokio::test]
async fn an_old_or_forged_credential_can_not_stop_service() {
    let market = Market::open().await;
    let agent = market.hire().await;
    let url = market.url("/quote");
    agent.buy(&url).await;
    let overheard = agent.credential(&market, PRICE).await;
    agent.buy(&url).await;
    let refused = market.post_with(path::CLOSE, &overheard).await.refused(Code::InvalidSeq);
    assert_eq!(refused.last_seq, Some(Seq::new(2 * PRICE)));
    let channel = agent.channel().await;
    let forged =
        market.sign(&market.person(), &channel.channel, channel.opened_slot, Seq::new(u64::MAX)).await;
    market.post_with(path::CLOSE, &forged).await.refused(Code::InvalidSig);
    assert_eq!(agent.buy(&url).await.spent, Some(Amount::new(3 * PRICE)));
    market.settle_all().await;
    market.end();
}

#[tokio::test]
async fn a_close_credential_is_never_claimed() {
    let market = Market::open().await;
    let agent = market.hire().await;
    agent.buy(&market.url("/quote")).await;
    // far above what was used: a close takes any seq that is not below the highest
    let high = agent.credential(&market, DEPOSIT).await;
    let statement = market.post_with(path::CLOSE, &high).await.json::<CloseResponse>().close_statement;
    assert_eq!(statement.owed_total, Amount::new(PRICE));
    market.settle_all().await;
    assert_eq!(market.earned(), PRICE);
    agent.client.close(market.origin()).await.unwrap();
    market.end();
}

#[tokio::test]
async fn a_close_waits_for_the_calls_under_way_and_counts_them() {
    let market = Market::open().await;
    let agent = market.hire().await;
    agent.buy(&market.url("/quote")).await;
    market.next_slot();
    let slow_url = market.url("/slow");
    let used = agent.credential(&market, PRICE).await;
    let pause = || tokio::time::sleep(Duration::from_millis(5));
    let close = async {
        while market.reached_slow() == 0 {
            pause().await;
        }
        agent.client.close(market.origin()).await
    };
    let release = async {
        // a used seq is refused as such until the close has arrived
        while market.get_with("/quote", &used).await.refusal().error != Code::Closed {
            pause().await;
        }
        assert_eq!(market.served(), PRICE, "the slow call is still under way");
        assert_eq!(market.count_of("CloseChannel"), 0);
        market.let_slow_go();
    };
    let (slow, closed, ()) = tokio::join!(agent.client.get(&slow_url), close, release);
    assert_eq!(slow.unwrap().payment().unwrap().spent, Some(Amount::new(2 * PRICE)));
    let closed = closed.unwrap();
    assert!(matches!(closed, CloseOutcome::Closed { payout, .. } if payout.get() == 2 * PRICE), "{closed:?}");
    assert_eq!(market.money().vaults, 0);
    market.end();
}
