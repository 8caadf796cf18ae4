//! Transactions that do not land, and what their priority is worth.

#![allow(clippy::arithmetic_side_effects, reason = "an overflow fails the test, as it should")]

use super::*;

use amp_protocol::money::Amount;
use solana_hash::Hash;

use crate::chain::{ComputeBudget, FeePolicy, PriorityFee};

fn prices(stage: &Stage) -> Vec<u64> {
    stage.bench.chain.transactions().iter().map(|sent| sent.price).collect()
}

async fn settle(stage: &Stage) -> Result<Amount, crate::server::Denial> {
    stage.service.settle(CHANNEL.into()).await.map(|settled| settled.paid)
}

#[tokio::test]
async fn a_settlement_whose_blockhash_expires_is_signed_anew_and_sent_again() {
    let stage = Stage::new().await;
    stage.quote(10).await.paid();
    let chain = &stage.bench.chain;
    chain.expire([false, false]);
    let settled = stage.service.settle(CHANNEL.into()).await.unwrap();
    assert_eq!((settled.paid, settled.transactions.len(), chain.sent()), (Amount::new(10), 1, 3));
    let mut blockhashes: Vec<Hash> = chain.transactions().iter().map(|sent| sent.blockhash).collect();
    blockhashes.dedup();
    assert_eq!(blockhashes.len(), 3, "each has its own");
}

#[tokio::test]
async fn a_settlement_that_landed_and_expired_unseen_is_paid_once_and_is_a_success() {
    let stage = Stage::new().await;
    let (key, _) = stage.bench.delegate(1_000);
    stage.quote(10).await.paid();
    let chain = &stage.bench.chain;
    chain.expire([true]);
    let settled = stage.service.settle(CHANNEL.into()).await.unwrap();
    assert_eq!((settled.paid, settled.transactions.len()), (Amount::new(10), 0));
    // the second was refused: all of it is booked
    assert_eq!((chain.sent(), chain.settled()), (2, Amount::new(10)));
    // of several, it is seen first what is booked
    stage.quote(20).await.paid();
    stage.quote_by(&key, 10).await.paid();
    chain.advance(60);
    chain.expire([true]);
    assert_eq!(settle(&stage).await.unwrap(), Amount::new(20));
    assert_eq!((chain.sent(), chain.settled()), (3, Amount::new(30)));
}

#[tokio::test]
async fn claims_whose_shared_transaction_expires_are_made_one_by_one_in_the_same_go() {
    let stage = Stage::new().await;
    let (key, _) = stage.bench.delegate(1_000);
    stage.quote(10).await.paid();
    stage.quote_by(&key, 10).await.paid();
    // one of them may have kept it from landing
    stage.bench.chain.expire([false, false]);
    let settled = stage.service.settle(CHANNEL.into()).await.unwrap();
    assert_eq!((settled.paid, settled.transactions.len()), (Amount::new(20), 2));
    let sent: Vec<usize> = stage.bench.chain.settlements().iter().map(Vec::len).collect();
    assert_eq!(sent, [2, 1, 1, 1]);
}

#[tokio::test]
async fn a_settlement_is_sent_a_bounded_number_of_times_and_then_tried_again_by_the_next_visit() {
    let stage = Stage::new().await;
    stage.quote(10).await.paid();
    stage.bench.chain.expire([false; 3]);
    assert_eq!(settle(&stage).await.unwrap_err().code(), None);
    assert_eq!((stage.bench.chain.sent(), stage.bench.chain.settled()), (3, Amount::ZERO));
    assert_eq!(settle(&stage).await.unwrap(), Amount::new(10));
    assert_eq!(stage.bench.chain.sent(), 4);
}

#[tokio::test]
async fn a_close_is_sent_once_whatever_becomes_of_it() {
    let stage = Stage::with(|config| config.close_deadline(std::time::Duration::ZERO)).await;
    // the first watch has been: the service does not close by itself
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    stage.service.close(&stage.bench.credential(0).await).await.unwrap();
    stage.bench.chain.put_refund_account();
    stage.bench.chain.expire([false]);
    assert_eq!(settle(&stage).await.unwrap_err().code(), None);
    assert_eq!((stage.bench.chain.sent(), stage.bench.chain.has(CHANNEL)), (1, true));
}

#[tokio::test]
async fn nothing_is_paid_for_priority_unless_it_is_configured_and_a_fixed_price_is_never_raised() {
    for (price, expected) in [(None, 0), (Some(7), 7)] {
        let stage = Stage::with(|config| match price {
            Some(price) => config.priority_fee(PriorityFee(price)),
            None => config,
        });
        let stage = stage.await;
        stage.bench.chain.recent_fees(vec![100; 10]);
        stage.quote(10).await.paid();
        stage.bench.chain.expire([false]);
        settle(&stage).await.unwrap();
        assert_eq!(prices(&stage), [expected; 2]);
    }
}

#[tokio::test]
async fn what_was_paid_lately_is_paid_and_more_at_each_attempt_up_to_the_limit() {
    // the payout account is to be made, too
    let units = u64::from(ComputeBudget::settle().with_token_accounts(1).units());
    // 1,000 micro-lamports a unit
    let max_lamports = units / 1_000;
    let policy = FeePolicy::Recent { percentile: 50, max_lamports };
    let stage = Stage::with(|config| config.priority_fee(policy)).await;
    let chain = &stage.bench.chain;
    chain.recent_fees(vec![900, 100, 200, 0, 5]);
    stage.quote(10).await.paid();
    chain.expire([false; 4]);
    assert!(settle(&stage).await.is_err());
    let most = max_lamports * 1_000_000 / units;
    assert_eq!(prices(&stage), [100, 100 + (most - 100) / 2, most]);
    // the next visit goes on from there, and what is booked begins anew
    assert_eq!(settle(&stage).await.unwrap(), Amount::new(10));
    assert_eq!(prices(&stage)[3..], [100 + (most - 100) / 2, most]);
    stage.quote(20).await.paid();
    chain.advance(60);
    chain.recent_fees(vec![1_000_000]);
    settle(&stage).await.unwrap();
    assert_eq!(prices(&stage)[5..], [most], "never above the limit");
    for sent in chain.transactions() {
        let lamports = (u128::from(sent.price) * u128::from(sent.limit)).div_ceil(1_000_000);
        assert!(lamports <= u128::from(max_lamports) && u64::from(sent.limit) == units);
    }
}
