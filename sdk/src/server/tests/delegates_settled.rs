//! What delegates owe is collected: with their own credentials, and before their grace is over.

use super::*;
use std::time::Duration;

use amp_protocol::code::Code;
use amp_protocol::money::Amount;

use crate::server::ServiceConfig;
use crate::server::clock::unix_now;
use crate::signer::Signer;

fn watching(config: ServiceConfig) -> ServiceConfig {
    config.watch_interval(Duration::from_millis(100))
}

/// The settle interval has only begun, for everybody.
fn just_settled(stage: &Stage, delegations: &[amp_protocol::message::Key]) {
    let now = stage.bench.chain.now();
    stage.bench.chain.change_channel(|account| {
        account.terms.settle_interval = 3_600;
        account.signer.last_settled_at = now;
    });
    for address in delegations {
        stage.bench.chain.change_delegation(*address, |account| {
            account.delegation.signer.last_settled_at = now;
        });
    }
}

#[tokio::test]
async fn each_signer_is_settled_with_its_own_credential() {
    let stage = Stage::new().await;
    let ((one, first), (other, second)) = (stage.bench.delegate(1_000), stage.bench.delegate(1_000));
    stage.quote(10).await.paid();
    for (key, seqs) in [(&one, [10, 20].as_slice()), (&other, &[30, 40, 50])] {
        for seq in seqs {
            stage.quote_by(key, *seq).await.paid();
        }
    }
    let settled = stage.service.settle(CHANNEL.into()).await.unwrap();
    assert_eq!((settled.paid, settled.transactions.len()), (Amount::new(60), 1), "in one transaction");
    let chain = &stage.bench.chain;
    let claimed = |address| chain.delegation(address).delegation.signer.claimed.get();
    assert_eq!((claimed(first), claimed(second)), (20, 30));
    assert_eq!((chain.channel().signer.claimed.get(), chain.channel().books.claimed.get()), (10, 60));
    let again = stage.service.settle(CHANNEL.into()).await.unwrap();
    assert_eq!((again.paid, chain.sent()), (Amount::ZERO, 1));
    // what was claimed is not owed again, and what follows is
    assert_eq!(stage.quote_by(&one, 30).await.paid(), ("970", "30", "10"));
    chain.advance(60);
    assert_eq!(stage.service.settle(CHANNEL.into()).await.unwrap().paid, Amount::new(10));
    assert_eq!(claimed(first), 30);
}

#[tokio::test]
async fn what_one_signer_takes_of_the_window_is_gone_for_the_next() {
    let stage = Stage::new().await;
    let (key, _) = stage.bench.delegate(1_000);
    stage.quote(10).await.paid();
    stage.quote_by(&key, 10).await.paid();
    // less than was served on: no funder can do that
    stage.bench.chain.change_channel(|account| account.terms.rate_limit = 15);
    let settled = stage.service.settle(CHANNEL.into()).await.unwrap();
    assert_eq!((settled.paid, stage.bench.chain.settled()), (Amount::new(15), Amount::new(15)));
    stage.bench.chain.advance(60);
    assert_eq!(stage.service.settle(CHANNEL.into()).await.unwrap().paid, Amount::new(5));
}

#[tokio::test]
async fn where_the_window_has_no_room_for_all_whoever_ends_first_comes_first() {
    let stage = Stage::new().await;
    let mut delegates: Vec<_> = (0..4).map(|_| stage.bench.delegate(1_000)).collect();
    // the books are in the order of keys
    delegates.sort_by_key(|(key, _)| key.public_key().to_bytes());
    for (key, _) in &delegates {
        stage.quote_by(key, 10).await.paid();
    }
    stage.bench.chain.change_channel(|account| account.terms.rate_limit = 10);
    let (_, last) = delegates[3];
    stage.bench.chain.change_delegation(last, |account| {
        account.delegation = account.delegation.revoke(unix_now()).unwrap();
    });
    assert_eq!(stage.service.settle(CHANNEL.into()).await.unwrap().paid, Amount::new(10));
    assert_eq!(stage.bench.chain.delegation(last).delegation.signer.claimed, Amount::new(10));
}

#[tokio::test]
async fn a_delegate_whose_interval_runs_holds_up_no_other() {
    let stage = Stage::new().await;
    let (key, address) = stage.bench.delegate(1_000);
    stage.quote(10).await.paid();
    stage.quote_by(&key, 10).await.paid();
    let now = stage.bench.chain.now();
    stage.bench.chain.change_delegation(address, |account| account.delegation.signer.last_settled_at = now);
    assert_eq!(stage.service.settle(CHANNEL.into()).await.unwrap().paid, Amount::new(10));
    let early = stage.service.settle(CHANNEL.into()).await.unwrap_err();
    assert_eq!(early.code(), Some(Code::SettleEarly));
    stage.bench.chain.advance(60);
    assert_eq!(stage.service.settle(CHANNEL.into()).await.unwrap().paid, Amount::new(10));
}

#[tokio::test]
async fn what_a_revoked_delegate_owes_is_collected_at_once() {
    let stage = Stage::with(watching).await;
    let ((revoked, address), (live, other)) = (stage.bench.delegate(1_000), stage.bench.delegate(1_000));
    just_settled(&stage, &[address, other]);
    for key in [&revoked, &live] {
        stage.quote_by(key, 10).await.paid();
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(stage.bench.chain.sent(), 0, "no interval has passed");
    stage.bench.chain.change_delegation(address, |account| {
        account.delegation = account.delegation.revoke(unix_now()).unwrap();
    });
    let chain = stage.bench.chain.clone();
    eventually("it is settled", || chain.settled() == Amount::new(10)).await;
    assert_eq!(chain.delegation(address).delegation.signer.claimed, Amount::new(10));
    // what the service served before it noticed is collected as well
    let answer = stage.quote_by(&revoked, 20).await;
    if answer.status.is_success() {
        eventually("the rest is settled", || chain.settled() == Amount::new(20)).await;
    }
    let settled = chain.settled();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(chain.settled(), settled, "the live one waits for its interval");
}

#[tokio::test]
async fn what_an_expired_delegate_owes_is_collected_at_its_expiry_even_where_it_is_little() {
    let stage = Stage::with(|config| watching(config).min_settlement(Amount::new(500))).await;
    let (key, address) = stage.bench.delegate(1_000);
    just_settled(&stage, &[address]);
    let expires_at = unix_now() + 2;
    stage.bench.chain.change_delegation(address, |account| account.delegation.expires_at = expires_at);
    stage.quote_by(&key, 10).await.paid();
    let chain = stage.bench.chain.clone();
    eventually("it is settled", || chain.settled() == Amount::new(10)).await;
    assert!(unix_now() >= expires_at);
}

#[tokio::test]
async fn a_delegate_that_is_not_due_before_its_expiry_is_looked_at_then() {
    // the watch comes much later than the end
    let stage = Stage::with(|config| config.watch_interval(Duration::from_secs(30))).await;
    let (key, address) = stage.bench.delegate(1_000);
    just_settled(&stage, &[address]);
    stage.bench.chain.change_channel(|account| account.terms.rate_limit = 15);
    stage.bench.chain.change_delegation(address, |account| account.delegation.expires_at = unix_now() + 3);
    stage.quote_by(&key, 10).await.paid();
    // makes the worker look a second later
    assert_eq!(stage.quote_by(&key, 20).await.code(), (429, "AMP_RATE_EXCEEDED"));
    let chain = stage.bench.chain.clone();
    eventually("it is settled", || chain.settled() == Amount::new(10)).await;
    assert!(chain.delegation(address).delegation.has_ended(chain.now()));
}

#[tokio::test]
async fn after_its_grace_nothing_is_collected_and_nothing_was_served_since_its_end() {
    let stage = Stage::new().await;
    let (key, address) = stage.bench.delegate(1_000);
    stage.quote_by(&key, 10).await.paid();
    let grace = i64::from(stage.bench.account().terms.close_grace);
    let revoke_at =
        |at| move |account: &mut amp_protocol::account::DelegationAccount| account.delegation.revoked_at = at;
    stage.bench.chain.change_delegation(address, revoke_at(unix_now() - grace - 1));
    let settled = stage.service.settle(CHANNEL.into()).await.unwrap();
    assert_eq!((settled.paid, stage.bench.chain.sent()), (Amount::ZERO, 0));
    stage.bench.chain.change_delegation(address, revoke_at(unix_now() - grace + 30));
    // by this one, or by the worker's own a moment before
    stage.service.settle(CHANNEL.into()).await.unwrap();
    assert_eq!(stage.bench.chain.settled(), Amount::new(10));
}

#[tokio::test]
async fn what_was_owed_under_an_earlier_delegation_is_not_claimed_under_a_later_one() {
    let stage = Stage::new().await;
    let (key, address) = stage.bench.delegate(1_000);
    stage.quote_by(&key, 10).await.paid();
    stage.bench.chain.change_delegation(address, |account| account.created_slot += 7);
    let settled = stage.service.settle(CHANNEL.into()).await.unwrap();
    assert_eq!((settled.paid, stage.bench.chain.sent()), (Amount::ZERO, 0));
    // it is still owed: only the funder can pay it now, by the close statement
    let closed = stage.service.close(&stage.bench.credential(0).await).await.unwrap();
    assert_eq!(closed.close_statement.owed_total, Amount::new(10));
}

#[tokio::test]
async fn a_settlement_of_a_delegate_that_landed_unseen_is_a_success_and_a_lost_one_is_not() {
    let stage = Stage::new().await;
    let (key, _) = stage.bench.delegate(1_000);
    stage.quote_by(&key, 10).await.paid();
    stage.bench.chain.fate(Fate::Lost);
    assert_eq!(stage.service.settle(CHANNEL.into()).await.unwrap_err().code(), None);
    stage.bench.chain.fate(Fate::LandsUnseen);
    let settled = stage.service.settle(CHANNEL.into()).await.unwrap();
    assert_eq!((settled.paid, settled.transactions.len()), (Amount::new(10), 0));
    stage.bench.chain.fate(Fate::Lands);
    assert_eq!(stage.service.settle(CHANNEL.into()).await.unwrap().paid, Amount::ZERO);
}

#[tokio::test]
async fn what_a_delegate_spent_before_a_crash_is_collected_after_it() {
    let stage = Stage::new().await;
    let (key, _) = stage.bench.delegate(1_000);
    stage.quote_by(&key, 10).await.paid();
    let stage = stage.restart().await;
    // not a request since: the worker finds signer and delegation by itself
    assert_eq!(stage.service.settle(CHANNEL.into()).await.unwrap().paid, Amount::new(10));
}

#[tokio::test]
async fn a_closing_channel_is_settled_for_all_signers_at_once() {
    let stage = Stage::with(watching).await;
    let (key, address) = stage.bench.delegate(1_000);
    just_settled(&stage, &[address]);
    stage.quote(10).await.paid();
    stage.quote_by(&key, 10).await.paid();
    stage.bench.chain.change_channel(|account| (account.books.closing, account.closing_at) = (true, 1));
    let chain = stage.bench.chain.clone();
    eventually("both are settled", || chain.settled() == Amount::new(20)).await;
}

#[tokio::test]
async fn a_statement_that_waits_for_its_funder_does_not_let_a_grace_run_out() {
    // without the statement all of them would be due
    let stage = Stage::with(|config| watching(config).settle_every(60)).await;
    let (key, address) = stage.bench.delegate(1_000);
    let now = stage.bench.chain.now();
    stage.bench.chain.change_channel(|account| account.signer.last_settled_at = now);
    stage.bench.chain.change_delegation(address, |account| account.delegation.signer.last_settled_at = now);
    stage.quote(10).await.paid();
    stage.quote_by(&key, 10).await.paid();
    let closed = stage.service.close(&stage.bench.credential(11).await).await.unwrap();
    assert_eq!(closed.close_statement.owed_total, Amount::new(20));
    stage.bench.chain.advance(61);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(stage.bench.chain.sent(), 0, "the statement pays for all");
    stage.bench.chain.change_delegation(address, |account| {
        account.delegation = account.delegation.revoke(unix_now()).unwrap();
    });
    let chain = stage.bench.chain.clone();
    eventually("the delegate is settled", || chain.settled() == Amount::new(10)).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(chain.sent(), 1);
}

#[tokio::test]
async fn an_abandoned_channel_is_closed_only_after_every_signer_is_settled() {
    let config = |config| watching(config).close_deadline(Duration::from_secs(1));
    let stage = Stage::with(config).await;
    stage.bench.chain.put_refund_account();
    let ((one, _), (other, _)) = (stage.bench.delegate(1_000), stage.bench.delegate(1_000));
    stage.quote(10).await.paid();
    stage.quote_by(&one, 10).await.paid();
    stage.quote_by(&other, 10).await.paid();
    stage.service.close(&stage.bench.credential(11).await).await.unwrap();
    let chain = stage.bench.chain.clone();
    eventually("the channel is closed", || !chain.has(CHANNEL)).await;
    assert_eq!((chain.settled(), chain.sent()), (Amount::new(30), 2));
}

#[tokio::test]
async fn an_abandoned_channel_is_not_closed_while_a_node_does_not_show_a_delegation_that_owes() {
    let config = |config| watching(config).close_deadline(Duration::ZERO);
    let stage = Stage::with(config).await;
    stage.bench.chain.put_refund_account();
    let (key, address) = stage.bench.delegate(1_000);
    stage.quote_by(&key, 10).await.paid();
    let account = stage.bench.chain.delegation(address);
    stage.bench.chain.remove(address);
    stage.service.close(&stage.bench.credential(11).await).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(stage.bench.chain.has(CHANNEL) && stage.bench.chain.sent() == 0);
    stage.bench.chain.put_delegation(&account);
    let chain = stage.bench.chain.clone();
    eventually("the channel is closed", || !chain.has(CHANNEL)).await;
    assert_eq!(chain.settled(), Amount::new(10));
}

/// The records that the worker still looks for.
fn looked_for(stage: &Stage) -> usize {
    let books = stage.service.core.books.of(CHANNEL);
    books[0].ledger().uncollected(&stage.bench.chain.channel()).len()
}

#[tokio::test]
async fn what_a_delegate_owes_after_its_grace_is_given_up_once_no_clock_can_be_that_wrong() {
    let stage = Stage::new().await;
    let (key, address) = stage.bench.delegate(1_000);
    stage.quote_by(&key, 10).await.paid();
    let grace = i64::from(stage.bench.account().terms.close_grace);
    let over_since = |seconds: i64| {
        let end = stage.bench.chain.now() - grace - 1 - seconds;
        stage.bench.chain.change_delegation(address, |account| account.delegation.revoked_at = end);
    };
    over_since(590);
    stage.service.settle(CHANNEL.into()).await.unwrap();
    assert_eq!(looked_for(&stage), 1);
    over_since(600);
    stage.service.settle(CHANNEL.into()).await.unwrap();
    assert_eq!((looked_for(&stage), stage.bench.chain.sent()), (0, 0));
}

#[tokio::test]
async fn what_was_owed_under_a_delegation_that_is_gone_is_given_up_after_ten_minutes() {
    let stage = Stage::new().await;
    let (key, address) = stage.bench.delegate(1_000);
    stage.quote_by(&key, 10).await.paid();
    let account = stage.bench.chain.delegation(address);
    stage.bench.chain.remove(address);
    for seconds in [0, 590] {
        stage.bench.chain.advance(seconds);
        stage.service.settle(CHANNEL.into()).await.unwrap();
        assert_eq!(looked_for(&stage), 1, "a node may lag");
    }
    stage.bench.chain.advance(10);
    stage.service.settle(CHANNEL.into()).await.unwrap();
    assert_eq!(looked_for(&stage), 0);
    // who is served again is there after all
    stage.bench.chain.put_delegation(&account);
    stage.quote_by(&key, 20).await.paid();
    assert_eq!(stage.service.settle(CHANNEL.into()).await.unwrap().paid, Amount::new(20));
}
