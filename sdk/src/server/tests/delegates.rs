//! Delegates spend: whose signature it is, what each may spend, and what none may do.

#![allow(clippy::arithmetic_side_effects, reason = "an overflow fails the test, as it should")]

use super::*;
use std::time::Duration;

use amp_protocol::account::DelegationAccount;
use amp_protocol::code::Code;
use amp_protocol::json::ChannelStatus;
use amp_protocol::money::Amount;
use amp_protocol::text::path;
use futures::future::join_all;

use crate::chain::{AccountSnapshot, PROGRAM_ID, delegation_address};
use crate::server::clock::unix_now;
use crate::server::testing::delegation_account;
use crate::signer::Signer;

async fn status(stage: &Stage, credential: &CredentialBody) -> ChannelStatus {
    let answer = get_with(&stage.router, path::CHANNEL, credential).await;
    assert_eq!(answer.status.as_u16(), 200, "{}", answer.body);
    serde_json::from_value(answer.body).unwrap()
}

#[tokio::test]
async fn several_delegates_pay_at_once_each_with_its_own_seqs_and_account() {
    let stage = Stage::new().await;
    let keys: Vec<KeypairSigner> = (0..5).map(|_| stage.bench.delegate(1_000).0).collect();
    let by_delegates = keys.iter().flat_map(|key| (1..=6).map(|n| stage.quote_by(key, n * 10)));
    let by_owner = (1..=6).map(|n| stage.quote(n * 10));
    let (delegated, owned) = tokio::join!(join_all(by_delegates), join_all(by_owner));
    assert!(delegated.iter().chain(&owned).all(|answer| answer.status.is_success()));
    for key in &keys {
        let status = status(&stage, &stage.bench.delegated(key, 0).await).await;
        assert_eq!((status.spent.get(), status.last_seq.get(), status.balance.get()), (60, 60, 940));
        let proof = status.metering_proof.unwrap();
        assert_eq!((proof.signer.0, proof.calls), (key.public_key().to_bytes(), 6));
        assert_eq!(proof.epoch, delegation_account([0; 32], 1).created_slot);
        let service = stage.bench.recipient.public_key().to_bytes();
        assert!(crate::signed::verify_metering_proof(&proof, &service));
    }
    let status = status(&stage, &stage.bench.credential(0).await).await;
    assert_eq!((status.spent.get(), status.balance.get()), (60, 10_000 - 6 * 60));
    assert!(stage.bench.chain.searches() <= 2, "{}", stage.bench.chain.searches());
}

#[tokio::test]
async fn the_handler_learns_which_delegate_pays() {
    let stage = Stage::new().await;
    let (key, _) = stage.bench.delegate(1_000);
    let credential = stage.bench.delegated(&key, 10).await;
    let admission = stage.service.authorize(&credential, Amount::new(10)).await.unwrap();
    assert_eq!(admission.payment().signer, key.public_key());
}

#[tokio::test]
async fn the_authorized_signer_brings_about_no_search() {
    let stage = Stage::new().await;
    stage.bench.delegate(1_000);
    stage.quote(10).await.paid();
    stage.quote(10).await;
    stage.quote(25).await.paid();
    assert_eq!(stage.bench.chain.searches(), 0);
}

#[tokio::test]
async fn a_new_delegate_is_served_at_its_first_request() {
    let stage = Stage::new().await;
    let (early, _) = stage.bench.delegate(1_000);
    stage.quote_by(&early, 10).await.paid();
    let (late, _) = stage.bench.delegate(1_000);
    assert_eq!(stage.quote_by(&late, 10).await.paid(), ("990", "10", "10"));
}

#[tokio::test]
async fn at_its_limit_a_delegate_is_refused_until_the_limit_is_raised() {
    let stage = Stage::new().await;
    let (key, address) = stage.bench.delegate(25);
    assert_eq!(stage.quote_by(&key, 10).await.paid(), ("15", "10", "10"));
    stage.quote_by(&key, 20).await.paid();
    // what the credential authorizes is not what the funder does
    let answer = stage.quote_by(&key, 9_000).await;
    assert_eq!(answer.code(), (402, "AMP_UNDERFUNDED"));
    let field = |name: &str| answer.body[name].as_str().unwrap_or("none").to_owned();
    assert_eq!(
        ["shortage", "price", "balance", "required_seq"].map(field),
        ["delegate_limit", "10", "5", "30"]
    );
    assert!(!answer.header(header::PRICING).is_empty());
    stage.quote(10).await.paid();
    stage.bench.chain.change_delegation(address, |account| account.delegation.limit = Amount::new(30));
    assert_eq!(stage.quote_by(&key, 9_000).await.paid(), ("0", "30", "10"), "nothing was used up");
}

#[tokio::test]
async fn a_delegate_can_not_spend_what_the_channel_has_not() {
    let stage = Stage::new().await;
    let (key, _) = stage.bench.delegate(50_000);
    let answer = stage.quote_by(&key, 10_001).await;
    assert_eq!((answer.code(), &answer.body["shortage"]), ((402, "AMP_UNDERFUNDED"), &"balance".into()));
    assert_eq!(stage.quote_by(&key, 10_000).await.paid(), ("9990", "10", "10"));
}

#[tokio::test]
async fn a_replayed_seq_of_a_delegate_is_refused_and_another_delegates_is_not() {
    let stage = Stage::new().await;
    let ((one, _), (other, _)) = (stage.bench.delegate(1_000), stage.bench.delegate(1_000));
    stage.quote_by(&one, 30).await.paid();
    let answer = stage.quote_by(&one, 30).await;
    assert_eq!((answer.code(), &answer.body["last_seq"]), ((400, "AMP_INVALID_SEQ"), &"30".into()));
    stage.quote_by(&other, 30).await.paid();
    let stage = stage.restart().await;
    for key in [&one, &other] {
        assert_eq!(stage.quote_by(key, 30).await.code(), (400, "AMP_INVALID_SEQ"));
        assert_eq!(stage.quote_by(key, 31).await.header(header::SPENT), "20");
    }
}

#[tokio::test]
async fn a_revoked_delegate_is_refused_and_told_so_while_others_go_on() {
    let short = |config: crate::server::ServiceConfig| config.channel_max_age(Duration::from_millis(50));
    let stage = Stage::with(short).await;
    let ((revoked, address), (other, _)) = (stage.bench.delegate(1_000), stage.bench.delegate(1_000));
    stage.quote_by(&revoked, 10).await.paid();
    let at = unix_now();
    stage.bench.chain.change_delegation(address, |account| {
        account.delegation = account.delegation.revoke(at).unwrap();
    });
    tokio::time::sleep(Duration::from_millis(60)).await;
    let answer = stage.quote_by(&revoked, 20).await;
    assert_eq!(answer.code(), (401, "AMP_INVALID_SIG"));
    let message = answer.body["message"].as_str().unwrap();
    assert!(message.contains(&format!("revoked at {at}")) && message.contains("another"), "{message}");
    let raised =
        post_with(&stage.router, path::CREDENTIAL, &stage.bench.delegated(&revoked, 900).await).await;
    assert_eq!(raised.code(), (401, "AMP_INVALID_SIG"));
    stage.quote_by(&other, 10).await.paid();
    // its account is still shown to it, and nothing is left to spend
    let status = status(&stage, &stage.bench.delegated(&revoked, 0).await).await;
    assert_eq!((status.spent.get(), status.last_seq.get(), status.balance.get()), (10, 10, 0));
}

#[tokio::test]
async fn an_expiry_counts_to_the_second_however_old_the_view_is_and_a_later_one_is_noticed() {
    let stage = Stage::with(|config| {
        config.channel_max_age(Duration::from_secs(40)).watch_interval(Duration::from_secs(1))
    })
    .await;
    let (key, address) = stage.bench.delegate(1_000);
    let expires_at = unix_now() + 2;
    stage.bench.chain.change_delegation(address, |account| account.delegation.expires_at = expires_at);
    stage.quote_by(&key, 10).await.paid();
    while unix_now() < expires_at {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let answer = stage.quote_by(&key, 20).await;
    assert_eq!(answer.code(), (401, "AMP_INVALID_SIG"));
    let message = answer.body["message"].as_str().unwrap();
    assert!(message.contains(&format!("expired at {expires_at}")), "{message}");
    stage.bench.chain.change_delegation(address, |account| account.delegation.expires_at = expires_at + 600);
    assert_eq!(stage.quote_by(&key, 20).await.header(header::SPENT), "20");
}

#[tokio::test]
async fn a_delegation_of_an_earlier_incarnation_of_the_channel_is_worthless() {
    let stage = Stage::new().await;
    let (key, _) = stage.bench.delegate(1_000);
    stage.quote_by(&key, 10).await.paid();
    stage.bench.chain.change_channel(|account| account.opened_slot += 5);
    tokio::time::sleep(Duration::from_millis(1_050)).await;
    // the owner's request shows the service the new incarnation
    let opened_slot = stage.bench.chain.channel().opened_slot;
    let owner = stage.bench.credential_in(opened_slot, 10).await;
    get_with(&stage.router, "/quote", &owner).await.paid();
    assert_eq!(stage.quote_by(&key, 20).await.code(), (401, "AMP_INVALID_SIG"));
}

#[tokio::test]
async fn accounts_that_only_look_like_a_delegation_are_worthless() {
    let stage = Stage::new().await;
    let key = KeypairSigner::generate();
    let account = delegation_account(key.public_key().to_bytes(), 1_000);
    let home = delegation_address(&PROGRAM_ID, &CHANNEL.into(), &key.public_key()).to_bytes();
    let put = |address, owner, account: &DelegationAccount| {
        stage
            .bench
            .chain
            .put(address, AccountSnapshot { owner, lamports: 1, data: account.encode().to_vec() });
    };
    // as if there had been a delegation
    stage.bench.chain.change_channel(|channel| channel.delegated_slot = account.created_slot + 1);
    // another program's, at the right place; the program's, at a wrong place; another channel's
    put(home, [66; 32].into(), &account);
    put([77; 32], PROGRAM_ID, &account);
    assert_eq!(stage.quote_by(&key, 10).await.code(), (401, "AMP_INVALID_SIG"));
    put(home, PROGRAM_ID, &DelegationAccount { channel: [9; 32], ..account.clone() });
    assert_eq!(stage.quote_by(&key, 10).await.code(), (401, "AMP_INVALID_SIG"));
    put(home, PROGRAM_ID, &account);
    stage.quote_by(&key, 10).await.paid();
}

#[tokio::test]
async fn a_delegation_made_anew_begins_new_books_and_old_credentials_die() {
    let stage = Stage::with(|config| config.channel_max_age(Duration::from_millis(50))).await;
    let (key, address) = stage.bench.delegate(15);
    stage.quote_by(&key, 10).await.paid();
    let epoch = stage.bench.chain.delegation(address).created_slot + 7;
    stage.bench.chain.change_delegation(address, |account| account.created_slot = epoch);
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert_eq!(stage.quote_by(&key, 15).await.code(), (401, "AMP_INVALID_SIG"));
    let anew = stage.bench.signed_by(&key, epoch, 10).await;
    assert_eq!(get_with(&stage.router, "/quote", &anew).await.paid(), ("5", "10", "10"));
    let stage = stage.restart().await;
    let used = stage.bench.signed_by(&key, epoch, 10).await;
    assert_eq!(get_with(&stage.router, "/quote", &used).await.code(), (400, "AMP_INVALID_SEQ"));
    let owner = status(&stage, &stage.bench.credential(0).await).await;
    assert_eq!(owner.balance.get(), 9_980, "both were spent");
}

#[tokio::test]
async fn only_the_authorized_signer_may_stop_a_channel() {
    let stage = Stage::new().await;
    let (key, address) = stage.bench.delegate(1_000);
    stage.quote_by(&key, 10).await.paid();
    let close = async |key: &KeypairSigner| {
        post_with(&stage.router, path::CLOSE, &stage.bench.delegated(key, 900).await).await
    };
    let refused = close(&key).await;
    assert_eq!(refused.code(), (401, "AMP_INVALID_SIG"));
    assert!(refused.body["message"].as_str().unwrap().contains("only the channel's authorized signer"));
    stage.bench.chain.change_delegation(address, |account| account.delegation.revoked_at = 1);
    assert_eq!(close(&key).await.code(), (401, "AMP_INVALID_SIG"));
    stage.quote(10).await.paid();
}

#[tokio::test]
async fn a_close_states_what_all_signers_owe() {
    let stage = Stage::new().await;
    let ((one, _), (other, _)) = (stage.bench.delegate(1_000), stage.bench.delegate(1_000));
    stage.quote(10).await.paid();
    for (key, seqs) in [(&one, [10, 20]), (&other, [30, 40])] {
        for seq in seqs {
            stage.quote_by(key, seq).await.paid();
        }
    }
    let closed = stage.service.close(&stage.bench.credential(11).await).await.unwrap();
    assert_eq!(closed.close_statement.owed_total, Amount::new(50));
    assert_eq!(stage.quote_by(&one, 50).await.code(), (410, "AMP_CLOSED"));
}

#[tokio::test]
async fn the_rate_window_is_shared() {
    let stage = Stage::new().await;
    stage.bench.chain.change_channel(|account| account.terms.rate_limit = 25);
    let ((one, _), (other, _)) = (stage.bench.delegate(1_000), stage.bench.delegate(1_000));
    stage.quote_by(&one, 10).await.paid();
    stage.quote(10).await.paid();
    let answer = stage.quote_by(&other, 10).await;
    assert_eq!(answer.code(), (429, "AMP_RATE_EXCEEDED"));
    assert!(!answer.header("retry-after").is_empty());
    // it made the worker collect from both signers, within what the window allows
    let chain = stage.bench.chain.clone();
    eventually("both are settled", || chain.settled() == Amount::new(20)).await;
    stage.bench.chain.advance(60);
    tokio::time::sleep(Duration::from_millis(1_050)).await;
    stage.quote_by(&other, 10).await.paid();
}

#[tokio::test]
async fn a_raised_ceiling_of_a_delegate_pays_for_its_lower_seqs() {
    let stage = Stage::new().await;
    let (key, _) = stage.bench.delegate(15);
    let raised = post_with(&stage.router, path::CREDENTIAL, &stage.bench.delegated(&key, 500).await).await;
    assert_eq!(raised.paid(), ("15", "0", "0"));
    stage.quote_by(&key, 1).await.paid();
    assert_eq!(stage.quote_by(&key, 2).await.body["shortage"], "delegate_limit");
}

#[tokio::test]
async fn a_flood_of_bad_signatures_is_one_look_a_second_and_hardly_a_search() {
    let stage = Stage::new().await;
    let (key, _) = stage.bench.delegate(1_000);
    stage.quote_by(&key, 10).await.paid();
    let mut forged = stage.bench.delegated(&key, 20).await;
    forged.sig.0[1] ^= 1;
    let flooded = async || {
        let answers = join_all((0..60).map(|_| get_with(&stage.router, "/quote", &forged))).await;
        assert!(answers.iter().all(|answer| answer.code() == (401, "AMP_INVALID_SIG")));
    };
    // the delegation is seen to be older than a slot
    flooded().await;
    flooded().await;
    let (reads, searches) = (stage.bench.chain.reads(), stage.bench.chain.searches());
    let begun = tokio::time::Instant::now();
    let is_over = std::cell::Cell::new(false);
    let flood = async {
        for _ in 0..3 {
            flooded().await;
        }
        is_over.set(true);
    };
    let honest = async {
        let mut meanwhile = 0;
        for n in 2..40 {
            stage.quote_by(&key, n * 10).await.paid();
            meanwhile += usize::from(!is_over.get());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        meanwhile
    };
    let ((), meanwhile) = tokio::join!(flood, honest);
    let most = begun.elapsed().as_secs() as usize + 2;
    let (reads, searches) = (stage.bench.chain.reads() - reads, stage.bench.chain.searches() - searches);
    assert!(reads <= most && searches == 0, "{reads} reads and {searches} searches in {most} s");
    assert!(reads >= 2, "each is answered by a new look");
    // the flood waits for looks, a second each
    assert!(meanwhile >= 5, "others are held up: {meanwhile} were answered meanwhile");
}

#[tokio::test]
async fn a_flood_on_a_channel_with_too_many_delegates_is_one_search_a_second() {
    let stage = Stage::with(|config| config.max_delegates(1)).await;
    stage.bench.delegate(1_000);
    stage.bench.delegate(1_000);
    let stranger = KeypairSigner::generate();
    let begun = tokio::time::Instant::now();
    for _ in 0..3 {
        let answers = join_all((0..60).map(|_| stage.quote_by(&stranger, 10))).await;
        assert!(answers.iter().all(|answer| answer.code() == (401, "AMP_INVALID_SIG")));
    }
    let (searches, most) = (stage.bench.chain.searches(), begun.elapsed().as_secs() as usize + 2);
    assert!((2..=most).contains(&searches), "{searches} searches in {most} s");
}

#[tokio::test]
async fn a_flood_on_a_channel_without_delegates_brings_about_no_search() {
    let stage = Stage::new().await;
    let stranger = KeypairSigner::generate();
    let answers = join_all((0..60).map(|_| stage.quote_by(&stranger, 10))).await;
    assert!(answers.iter().all(|answer| answer.code() == (401, "AMP_INVALID_SIG")));
    assert_eq!(stage.bench.chain.searches(), 0);
}

#[tokio::test]
async fn while_delegations_can_not_be_searched_for_the_authorized_signer_is_served() {
    let stage = Stage::new().await;
    let (key, _) = stage.bench.delegate(1_000);
    stage.bench.chain.fail_searches(true);
    stage.quote(10).await.paid();
    assert_eq!(stage.quote_by(&key, 10).await.code(), (503, "UNAVAILABLE"));
    stage.bench.chain.fail_searches(false);
    stage.quote_by(&key, 10).await.paid();
}

#[tokio::test]
async fn a_service_that_takes_no_delegates_refuses_them_without_a_search() {
    let stage = Stage::with(|config| config.max_delegates(0)).await;
    let (key, _) = stage.bench.delegate(1_000);
    assert_eq!(stage.quote_by(&key, 10).await.code(), (401, "AMP_INVALID_SIG"));
    assert_eq!(stage.bench.chain.searches(), 0);
}

#[tokio::test]
async fn of_more_delegates_than_are_tried_the_oldest_are_served_until_one_ends() {
    let stage = Stage::with(|config| config.max_delegates(2)).await;
    let delegates: Vec<_> = (0..3).map(|_| stage.bench.delegate(1_000)).collect();
    for (at, (_, address)) in delegates.iter().enumerate() {
        stage.bench.chain.change_delegation(*address, |account| account.created_slot += at as u64);
    }
    let quote = async |at: usize, seq| {
        let (key, address) = &delegates[at];
        let epoch = stage.bench.chain.delegation(*address).created_slot;
        get_with(&stage.router, "/quote", &stage.bench.signed_by(key, epoch, seq).await).await
    };
    quote(0, 10).await.paid();
    quote(1, 10).await.paid();
    assert_eq!(quote(2, 10).await.code(), (401, "AMP_INVALID_SIG"));
    quote(0, 20).await.paid();
    stage.bench.chain.change_delegation(delegates[0].1, |account| account.delegation.revoked_at = 1);
    quote(2, 10).await.paid();
}

#[tokio::test]
async fn a_lost_store_goes_on_from_what_the_chain_has_paid_for_each_signer() {
    let stage = Stage::new().await;
    let ((one, _), (other, _)) = (stage.bench.delegate(100), stage.bench.delegate(5_000));
    stage.quote_by(&one, 50).await.paid();
    stage.quote_by(&other, 5_000).await.paid();
    stage.bench.chain.advance(60);
    assert_eq!(stage.service.settle(CHANNEL.into()).await.unwrap().paid, Amount::new(20));
    let stage = stage.restart_after(Bench::lose_store).await;
    // whoever asks first: what the others have paid is not there any more
    let owner = status(&stage, &stage.bench.credential(0).await).await;
    assert_eq!((owner.spent.get(), owner.balance.get()), (0, 9_980));
    assert_eq!(stage.quote(10).await.paid(), ("9970", "10", "10"));
    assert_eq!(stage.quote_by(&one, 10).await.code(), (400, "AMP_INVALID_SEQ"));
    assert_eq!(stage.quote_by(&one, 20).await.paid(), ("80", "20", "10"));
    assert_eq!(stage.service.settle(CHANNEL.into()).await.unwrap().paid, Amount::new(10), "the owner's");
    let code = stage.service.settle(CHANNEL.into()).await.unwrap_err().code();
    assert_eq!(code, Some(Code::SettleEarly), "the delegate's interval runs");
}

#[tokio::test]
async fn the_delegates_of_a_closed_channel_learn_that_it_is_closed() {
    let stage = Stage::with(|config| config.channel_max_age(Duration::from_millis(1))).await;
    let (key, _) = stage.bench.delegate(1_000);
    stage.quote_by(&key, 10).await.paid();
    stage.bench.chain.remove(CHANNEL);
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(stage.quote_by(&key, 20).await.code(), (410, "AMP_CLOSED"));
    let stranger = KeypairSigner::generate();
    assert_eq!(stage.quote_by(&stranger, 20).await.code(), (402, "AMP_NO_CHANNEL"));
}
