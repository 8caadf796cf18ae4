//! Several settlements in one transaction: all are paid, a bad one holds up no other, and what has a grace to
//! lose waits for none.

#![allow(clippy::arithmetic_side_effects, reason = "an overflow fails the test, as it should")]

use super::*;
use std::sync::Arc;
use std::time::Duration;

use amp_protocol::message::Key;
use amp_protocol::money::Amount;

use crate::chain::TransactionFormat;
use crate::server::books::Book;
use crate::server::settlement::{Urgency, settle_together};
use crate::server::{Denial, Settled};

/// Low numbers are other accounts of the bench.
fn channel(number: u8) -> Key {
    [100 + number; 32]
}

/// So many channels, each of which owes 10.
async fn owing(stage: &Stage, count: u8) -> Vec<Key> {
    for number in 0..count {
        stage.bench.another(channel(number));
        stage.quote_on(channel(number), 10).await.paid();
    }
    (0..count).map(channel).collect()
}

/// A channel's funder asks for its close; its grace is over after so many seconds.
fn closes_in(stage: &Stage, channel: Key, seconds: i64) {
    let mut account = stage.bench.chain.channel_at(channel);
    let grace = i64::from(account.terms.close_grace);
    (account.books.closing, account.closing_at) = (true, stage.bench.chain.now() - grace + seconds);
    stage.bench.chain.put_channel(channel, &account);
}

/// What everybody gets who asks for a settlement, by the order of channels.
async fn settle_all(stage: &Stage) -> Vec<Result<Settled, Denial>> {
    let mut outcomes = stage.service.settle_all().await;
    outcomes.sort_by_key(|(channel, _)| *channel);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

fn paid(outcomes: &[Result<Settled, Denial>]) -> Vec<u64> {
    outcomes.iter().map(|outcome| outcome.as_ref().map_or(0, |settled| settled.paid.get())).collect()
}

fn claimed(stage: &Stage, channel: Key) -> u64 {
    stage.bench.chain.channel_at(channel).books.claimed.get()
}

fn book(stage: &Stage, channel: Key) -> Arc<Book> {
    stage.service.core.books.of(channel).pop().unwrap()
}

/// Settles these together, without the service's own worker.
async fn together(stage: &Stage, channels: &[Key]) -> usize {
    let jobs = channels.iter().map(|channel| (book(stage, *channel), Urgency::Demanded)).collect();
    settle_together(&stage.service.core, jobs).await.len()
}

#[tokio::test]
async fn ten_channels_are_settled_in_four_transactions_and_each_is_told_its_own() {
    let stage = Stage::new().await;
    owing(&stage, 10).await;
    let outcomes = settle_all(&stage).await;
    assert_eq!(paid(&outcomes), [10; 10]);
    assert!(outcomes.iter().all(|outcome| outcome.as_ref().unwrap().transactions.len() == 1));
    assert_eq!((stage.bench.chain.sent(), stage.bench.chain.settled()), (4, Amount::new(100)));
}

#[tokio::test]
async fn those_that_owe_share_transactions_whatever_idle_channels_there_are() {
    let stage = Stage::new().await;
    owing(&stage, 12).await;
    assert_eq!(paid(&settle_all(&stage).await), [10; 12]);
    for number in [1, 5, 10] {
        stage.quote_on(channel(number), 20).await.paid();
    }
    stage.bench.chain.advance(60);
    let sent = stage.bench.chain.sent();
    settle_all(&stage).await;
    assert_eq!((stage.bench.chain.sent() - sent, stage.bench.chain.settled()), (1, Amount::new(150)));
}

#[tokio::test]
async fn signers_and_channels_share_a_transaction_as_far_as_there_is_room() {
    let stage = Stage::new().await;
    let delegates: Vec<_> = (0..2).map(|_| stage.bench.delegate(1_000)).collect();
    for (key, _) in &delegates {
        stage.quote_by(key, 10).await.paid();
    }
    owing(&stage, 2).await;
    stage.service.shutdown().await;
    together(&stage, &[CHANNEL, channel(0), channel(1)]).await;
    let settlements = stage.bench.chain.settlements();
    assert_eq!(settlements, [vec![CHANNEL, CHANNEL, channel(0)], vec![channel(1)]]);
    assert_eq!(stage.bench.chain.settled(), Amount::new(40));
}

#[tokio::test]
async fn two_signers_in_a_transaction_do_not_count_on_the_same_room_in_the_window() {
    let stage = Stage::new().await;
    let (key, _) = stage.bench.delegate(1_000);
    stage.quote(10).await.paid();
    stage.quote_by(&key, 10).await.paid();
    stage.bench.chain.change_channel(|account| account.terms.rate_limit = 15);
    assert_eq!(stage.service.settle(CHANNEL.into()).await.unwrap().paid, Amount::new(15));
    assert_eq!(stage.bench.chain.sent(), 1);
}

/// A channel's mint is another one: as of channels from before the service's configuration was changed.
fn another_mint(stage: &Stage, channel: Key) {
    let mut account = stage.bench.chain.channel_at(channel);
    account.mint = [77; 32];
    stage.bench.chain.put_channel(channel, &account);
}

#[tokio::test]
async fn channels_of_two_mints_share_no_transaction() {
    let stage = Stage::new().await;
    owing(&stage, 3).await;
    stage.service.shutdown().await;
    another_mint(&stage, channel(1));
    together(&stage, &[channel(0), channel(1), channel(2)]).await;
    assert_eq!(stage.bench.chain.settlements(), [vec![channel(0), channel(2)], vec![channel(1)]]);
    assert_eq!(stage.bench.chain.settled(), Amount::new(30));
}

#[tokio::test]
async fn what_a_visit_has_no_time_for_is_not_sent_and_counts_as_no_failure_of_its_signer() {
    let stage = Stage::new().await;
    owing(&stage, 2).await;
    stage.service.shutdown().await;
    another_mint(&stage, channel(1));
    stage.bench.chain.hold(channel(0));
    tokio::time::pause();
    assert_eq!(together(&stage, &[channel(0), channel(1)]).await, 2);
    assert_eq!(stage.bench.chain.settlements(), [vec![channel(0)]]);
    let failed = |channel| book(&stage, channel).ledger().has_failed();
    assert_eq!((failed(channel(0)), failed(channel(1))), (true, false));
}

#[tokio::test]
async fn nothing_more_is_sent_for_a_channel_that_is_gone() {
    let stage = Stage::new().await;
    let delegates: Vec<_> = (0..4).map(|_| stage.bench.delegate(1_000)).collect();
    for (key, _) in &delegates {
        stage.quote_by(key, 10).await.paid();
    }
    let chain = &stage.bench.chain;
    chain.fate(Fate::Lost);
    chain.before_sending(|chain| chain.remove(CHANNEL));
    assert!(stage.service.settle(CHANNEL.into()).await.is_err());
    assert_eq!(chain.sent(), 1);
}

#[tokio::test]
async fn one_bad_claim_costs_the_others_nothing_but_a_transaction_of_their_own_and_next_time_not_even_that() {
    let stage = Stage::new().await;
    owing(&stage, 3).await;
    let chain = &stage.bench.chain;
    chain.refuse(channel(1), true);
    let outcomes = settle_all(&stage).await;
    assert_eq!(paid(&outcomes), [10, 0, 10]);
    assert_eq!(outcomes[1].as_ref().unwrap_err().code(), None);
    let alone = (0..3).map(|number| vec![channel(number)]);
    let expected: Vec<_> = [(0..3).map(channel).collect()].into_iter().chain(alone).collect();
    assert_eq!(chain.settlements(), expected);
    // the bad one is known now
    for number in [0, 2] {
        stage.quote_on(channel(number), 20).await.paid();
    }
    chain.advance(60);
    assert_eq!(paid(&settle_all(&stage).await), [10, 0, 10]);
    assert_eq!(chain.settlements()[4..], [vec![channel(0), channel(2)], vec![channel(1)]]);
    chain.refuse(channel(1), false);
    assert_eq!(paid(&settle_all(&stage).await), [0, 10, 0]);
    assert_eq!(chain.settled(), Amount::new(50));
}

#[tokio::test]
async fn a_channel_that_could_not_be_settled_holds_up_no_other_the_next_time() {
    let stage = Stage::new().await;
    owing(&stage, 3).await;
    let chain = stage.bench.chain.clone();
    chain.refuse(channel(1), true);
    settle_all(&stage).await;
    for number in [0, 2] {
        stage.quote_on(channel(number), 20).await.paid();
    }
    chain.advance(60);
    chain.hold(channel(1));
    let service = stage.service.clone();
    let all = tokio::spawn(async move { service.settle_all().await });
    eventually("the others are settled", || chain.settled() == Amount::new(40)).await;
    // and they are free for the next visit
    stage.quote_on(channel(0), 30).await.paid();
    chain.advance(60);
    assert_eq!(stage.service.settle(channel(0).into()).await.unwrap().paid, Amount::new(10));
    chain.refuse(channel(1), false);
    chain.let_go(channel(1));
    all.await.unwrap();
    assert_eq!(chain.settled(), Amount::new(60));
}

#[tokio::test]
async fn one_bad_signer_of_a_channel_costs_its_others_nothing() {
    let stage = Stage::new().await;
    let delegates: Vec<_> = (0..3).map(|_| stage.bench.delegate(1_000)).collect();
    for (key, _) in &delegates {
        stage.quote_by(key, 10).await.paid();
    }
    let chain = stage.bench.chain.clone();
    let bad = delegates[1].1;
    // revoked, and its grace over, just after it was read
    chain.before_reading(bad, move |chain| {
        let before = chain.delegation(bad);
        chain.before_sending(move |chain| {
            chain.change_delegation(bad, |account| account.delegation.revoked_at = 1);
            assert_ne!(chain.delegation(bad), before);
        });
    });
    let settled = stage.service.settle(CHANNEL.into()).await.unwrap();
    assert_eq!((settled.paid, settled.transactions.len()), (Amount::new(20), 2));
    assert_eq!((chain.sent(), chain.settled()), (4, Amount::new(20)));
}

#[tokio::test]
async fn a_lost_transaction_is_nobodys_success_and_its_claims_are_then_made_one_by_one() {
    let stage = Stage::new().await;
    owing(&stage, 3).await;
    let chain = &stage.bench.chain;
    chain.fate(Fate::Lost);
    let outcomes = settle_all(&stage).await;
    assert!(outcomes.iter().all(|outcome| outcome.as_ref().is_err_and(|denial| denial.code().is_none())));
    assert_eq!((chain.sent(), chain.settled()), (1, Amount::ZERO), "what may still land is not sent again");
    chain.fate(Fate::Lands);
    assert_eq!(paid(&settle_all(&stage).await), [10; 3]);
    assert_eq!((chain.sent(), chain.settled()), (4, Amount::new(30)), "one of them may have been in the way");
    for number in 0..3 {
        stage.quote_on(channel(number), 20).await.paid();
    }
    chain.advance(60);
    assert_eq!(paid(&settle_all(&stage).await), [10; 3]);
    assert_eq!(chain.sent(), 5, "what was booked is trusted again");
}

#[tokio::test]
async fn a_transaction_that_landed_unseen_is_a_success_for_all_in_it() {
    let stage = Stage::new().await;
    owing(&stage, 3).await;
    stage.bench.chain.fate(Fate::LandsUnseen);
    let outcomes = settle_all(&stage).await;
    assert_eq!(paid(&outcomes), [10; 3]);
    assert!(outcomes.iter().all(|outcome| outcome.as_ref().unwrap().transactions.is_empty()));
    assert_eq!((stage.bench.chain.sent(), stage.bench.chain.settled()), (1, Amount::new(30)));
}

#[tokio::test]
async fn what_has_a_grace_to_lose_goes_first_and_shares_with_nothing_that_has_none() {
    let stage = Stage::new().await;
    owing(&stage, 4).await;
    stage.service.shutdown().await;
    closes_in(&stage, channel(3), 3_000);
    closes_in(&stage, channel(2), 2_000);
    together(&stage, &[channel(0), channel(1), channel(2), channel(3)]).await;
    let settlements = stage.bench.chain.settlements();
    assert_eq!(settlements, [vec![channel(2), channel(3)], vec![channel(0), channel(1)]]);
}

#[tokio::test]
async fn what_has_little_time_left_shares_with_no_other_channel() {
    let stage = Stage::new().await;
    owing(&stage, 2).await;
    stage.service.shutdown().await;
    closes_in(&stage, channel(0), 3_000);
    closes_in(&stage, channel(1), 100);
    together(&stage, &[channel(0), channel(1)]).await;
    assert_eq!(stage.bench.chain.settlements(), [vec![channel(1)], vec![channel(0)]]);
}

#[tokio::test]
async fn what_has_a_grace_to_lose_does_not_wait_for_what_is_read_of_others() {
    let stage = Stage::new().await;
    let (key, delegation) = stage.bench.delegate(1_000);
    stage.quote_by(&key, 10).await.paid();
    owing(&stage, 1).await;
    stage.service.shutdown().await;
    closes_in(&stage, channel(0), 3_000);
    let chain = stage.bench.chain.clone();
    chain.hold_reads(delegation);
    let channels = [CHANNEL, channel(0)];
    let both = together(&stage, &channels);
    let settled = eventually("it is settled", || claimed(&stage, channel(0)) == 10);
    let still_waits = async {
        settled.await;
        assert_eq!(claimed(&stage, CHANNEL), 0);
        chain.let_go(delegation);
    };
    assert_eq!(tokio::join!(both, still_waits).0, 2);
    assert_eq!(chain.settlements(), [vec![channel(0)], vec![CHANNEL]]);
}

#[tokio::test]
async fn channels_that_one_watch_finds_due_share_a_transaction() {
    let stage = Stage::with(|config| config.settle_every(60)).await;
    // the first watch has been
    tokio::time::sleep(Duration::from_millis(20)).await;
    owing(&stage, 3).await;
    tokio::time::pause();
    tokio::time::sleep(Duration::from_secs(31)).await;
    tokio::time::resume();
    let chain = stage.bench.chain.clone();
    eventually("all are settled", || chain.settled() == Amount::new(30)).await;
    assert_eq!(chain.sent(), 1);
}

#[tokio::test]
async fn a_routine_settlement_does_not_wait_for_long_for_a_look_that_does_not_end() {
    let stage = Stage::with(|config| config.settle_every(60)).await;
    // the first watch has been
    tokio::time::sleep(Duration::from_millis(20)).await;
    let (key, delegation) = stage.bench.delegate(1_000);
    stage.bench.chain.hold_reads(delegation);
    stage.quote_by(&key, 10).await.paid();
    owing(&stage, 1).await;
    tokio::time::pause();
    tokio::time::sleep(Duration::from_secs(30)).await;
    let begun = tokio::time::Instant::now();
    while claimed(&stage, channel(0)) == 0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    assert_eq!(claimed(&stage, CHANNEL), 0);
}

#[tokio::test]
async fn where_the_cluster_takes_the_larger_format_ten_channels_are_settled_in_one_transaction() {
    let stage = Stage::new().await;
    owing(&stage, 10).await;
    stage.service.shutdown().await;
    stage.bench.chain.takes(TransactionFormat::V1);
    let channels: Vec<Key> = (0..10).map(channel).collect();
    together(&stage, &channels).await;
    assert_eq!(stage.bench.chain.settlements(), [channels]);
    assert_eq!(stage.bench.chain.settled(), Amount::new(100));
}

#[tokio::test]
async fn a_bad_claim_in_a_large_transaction_costs_the_others_nothing_and_they_go_as_packets() {
    let stage = Stage::new().await;
    owing(&stage, 6).await;
    stage.service.shutdown().await;
    let chain = &stage.bench.chain;
    chain.takes(TransactionFormat::V1);
    chain.refuse(channel(2), true);
    let channels: Vec<Key> = (0..6).map(channel).collect();
    together(&stage, &channels).await;
    let settlements = chain.settlements();
    assert_eq!((settlements.len(), settlements[0].len()), (7, 6));
    assert!(settlements[1..].iter().all(|alone| alone.len() == 1));
    assert_eq!(chain.settled(), Amount::new(50));
}
