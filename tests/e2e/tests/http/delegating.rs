//! Agents that pay with a delegated key, over the real program and the real service.

use std::sync::Arc;

use amp_e2e_tests::{Agent, DEPOSIT, GRACE, INTERVAL, Market, PRICE};
use amp_protocol::code::Code;
use amp_protocol::money::Amount;
use amp_sdk::client::{Client, ClientError, CloseOutcome, DelegationRecord, Expiry, Undelegated};
use amp_sdk::signer::{KeypairSigner, Signer};
use tempfile::TempDir;

/// A key without tokens and without SOL, and a client that pays with it.
struct Deputy {
    key: KeypairSigner,
    client: Client,
    _folder: TempDir,
}

impl Deputy {
    async fn of(market: &Market, key: KeypairSigner) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let builder = Client::builder().delegate(key.clone()).chain(Arc::new(market.chain.clone()));
        let builder = builder.allow_mint(market.mint.address).store(folder.path().join("deputy.db"));
        Self { client: builder.build().await.unwrap(), key, _folder: folder }
    }

    async fn buy(&self, url: &str) {
        let answer = self.client.get(url).await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.payment().unwrap().cost, Some(Amount::new(PRICE)));
    }
}

/// Lets a deputy spend for `calls`.
async fn delegate(market: &Market, funder: &Agent, key: &KeypairSigner, calls: u64) -> DelegationRecord {
    let (key, limit) = (key.public_key(), Amount::new(calls * PRICE));
    let made = funder.client.delegate(market.origin(), &key, limit, Expiry::NEVER).await;
    market.chain.advance_slots(1);
    made.unwrap_or_else(|error| panic!("{error}"))
}

async fn deputy(market: &Market, funder: &Agent, calls: u64) -> (Deputy, DelegationRecord) {
    let deputy = Deputy::of(market, KeypairSigner::generate()).await;
    let made = delegate(market, funder, &deputy.key, calls).await;
    deputy.client.use_channel(market.origin(), made.channel).await.unwrap();
    (deputy, made)
}

#[tokio::test]
async fn several_deputies_and_the_funder_spend_apart_and_are_settled_each_by_its_own_signature() {
    let market = Market::open().await;
    let funder = market.hire().await;
    let url = market.url("/quote");
    funder.buy(&url).await;
    let (first, made) = deputy(&market, &funder, 5).await;
    let (second, _) = deputy(&market, &funder, 5).await;
    for _ in 0..3 {
        first.buy(&url).await;
        second.buy(&url).await;
        funder.buy(&url).await;
    }
    assert_eq!(market.chain.lamports(&first.key.public_key()), 0, "it needs no SOL");
    market.chain.advance_seconds(INTERVAL);
    let paid = market.service().settle(made.channel).await.unwrap();
    assert_eq!(paid.paid, Amount::new(10 * PRICE));
    assert_eq!(paid.transactions.len(), 1, "a settlement for each signer, in one transaction");
    for record in funder.client.delegations(market.origin()).await.unwrap() {
        assert_eq!(record.claimed, Amount::new(3 * PRICE));
    }
    market.chain.advance_slots(1);
    let CloseOutcome::Closed { refund, .. } = funder.client.close(market.origin()).await.unwrap() else {
        panic!("the service agrees to a close")
    };
    assert_eq!(refund, Amount::new(DEPOSIT - 10 * PRICE));
    market.end();
}

#[tokio::test]
async fn a_deputy_is_stopped_at_its_limit_and_goes_on_when_that_is_raised() {
    let market = Market::open().await;
    let funder = market.hire().await;
    let url = market.url("/quote");
    funder.buy(&url).await;
    let (deputy, made) = deputy(&market, &funder, 2).await;
    deputy.buy(&url).await;
    deputy.buy(&url).await;
    let refused = deputy.client.get(&url).await.unwrap_err();
    assert_eq!(refused.code(), Some(Code::Underfunded), "{refused}");
    let raised = delegate(&market, &funder, &deputy.key, 3).await;
    assert_eq!(raised.created_slot, made.created_slot);
    deputy.buy(&url).await;
    funder.buy(&url).await;
    finish(market, &funder).await;
}

#[tokio::test]
async fn a_revoked_deputy_is_served_no_more_and_what_it_signed_is_collected() {
    let market = Market::open().await;
    let funder = market.hire().await;
    let url = market.url("/quote");
    funder.buy(&url).await;
    let (deputy, made) = deputy(&market, &funder, 9).await;
    deputy.buy(&url).await;
    funder.client.revoke_delegate(market.origin(), &deputy.key.public_key()).await.unwrap();
    // the view may be this old
    tokio::time::sleep(std::time::Duration::from_millis(60)).await;
    let refused = deputy.client.get(&url).await.unwrap_err();
    let ClientError::NotDelegated { reason: Undelegated::Revoked { .. }, .. } = refused else {
        panic!("{refused}")
    };
    // no interval is waited for: the grace runs
    assert_eq!(market.service().settle(made.channel).await.unwrap().paid, Amount::new(PRICE));
    market.chain.advance_seconds(GRACE + 1);
    funder.client.close_delegation(&made.channel, &deputy.key.public_key()).await.unwrap();
    market.chain.advance_slots(1);
    let again = delegate(&market, &funder, &deputy.key, 1).await;
    assert_ne!(again.created_slot, made.created_slot, "a new epoch");
    deputy.buy(&url).await;
    finish(market, &funder).await;
}

/// Anyone may close it first: then what was meant as "so much more" would be so much from nothing.
#[tokio::test]
async fn a_delegation_that_is_over_is_not_extended_but_closed_and_made_anew() {
    let market = Market::open().await;
    let funder = market.hire().await;
    funder.buy(&market.url("/quote")).await;
    let (key, limit) = (KeypairSigner::generate().public_key(), Amount::new(PRICE));
    let expiry = |seconds| Expiry::from(market.chain.clock_now().unix_timestamp + seconds);
    let made = funder.client.delegate(market.origin(), &key, limit, expiry(10)).await.unwrap();
    market.chain.advance_seconds(11 + GRACE);
    let refused = funder.client.delegate(market.origin(), &key, limit, expiry(1_000)).await.unwrap_err();
    assert!(matches!(refused, ClientError::DelegationOver { .. }), "{refused}");
    funder.client.close_delegation(&made.channel, &key).await.unwrap();
    market.chain.advance_slots(1);
    funder.client.delegate(market.origin(), &key, limit, expiry(1_000)).await.unwrap();
    finish(market, &funder).await;
}

#[tokio::test]
async fn a_deputy_that_lost_its_state_goes_on_where_it_was() {
    let market = Market::open().await;
    let funder = market.hire().await;
    let url = market.url("/quote");
    funder.buy(&url).await;
    let (deputy, made) = deputy(&market, &funder, 3).await;
    deputy.buy(&url).await;
    deputy.buy(&url).await;
    let again = Deputy::of(&market, deputy.key).await;
    again.client.use_channel(market.origin(), made.channel).await.unwrap();
    again.buy(&url).await;
    let refused = again.client.get(&url).await.unwrap_err();
    assert_eq!(refused.code(), Some(Code::Underfunded), "{refused}");
    finish(market, &funder).await;
}

#[tokio::test]
async fn a_deputy_can_neither_open_nor_top_up_nor_close() {
    let market = Market::open().await;
    let funder = market.hire().await;
    funder.buy(&market.url("/quote")).await;
    let (deputy, _) = deputy(&market, &funder, 3).await;
    for refused in [
        deputy.client.close(market.origin()).await.err(),
        deputy.client.top_up(market.origin(), Amount::new(1)).await.err(),
    ] {
        let refused = refused.expect("refused");
        assert!(matches!(refused, ClientError::NotFunder { .. }), "{refused}");
    }
    finish(market, &funder).await;
}

/// Closes and holds the books of everybody against each other.
async fn finish(market: Market, funder: &Agent) {
    market.chain.advance_slots(1);
    let outcome = funder.client.close(market.origin()).await.unwrap();
    assert!(matches!(outcome, CloseOutcome::Closed { .. }), "{outcome:?}");
    market.end();
}
