//! Delegates as the service and the real program see them; their credentials are signed by hand.

use std::time::Duration;

use amp_e2e_tests::{Answer, DEPOSIT, GRACE, INTERVAL, Market, Opening, PRICE, eventually};
use amp_protocol::code::Code;
use amp_protocol::json::{CloseResponse, Shortage};
use amp_protocol::money::{Amount, Seq};
use amp_protocol::rejection::Rejection;
use amp_protocol::text::path;
use amp_sdk::chain::ChainError;
use amp_sdk::signer::{KeypairSigner, Signer};
use solana_address::Address;

/// A channel that its funder signs for, and keys that may spend from it.
struct Family {
    funder: KeypairSigner,
    channel: Address,
    opened_slot: u64,
}

impl Family {
    async fn open(market: &Market) -> Self {
        let funder = market.person();
        let channel = market.open_channel(&funder, Opening::default()).await;
        let opened_slot = market.account(&channel).await.unwrap().opened_slot;
        Self { funder, channel, opened_slot }
    }

    /// A new delegate; a slot passes.
    async fn delegate(&self, market: &Market, limit: u64, expires_at: i64) -> KeypairSigner {
        let key = KeypairSigner::generate();
        market.delegate(&self.funder, &self.channel, &key, limit, expires_at).await;
        market.next_slot();
        key
    }

    async fn quote_by(&self, market: &Market, key: &KeypairSigner, seq: u64) -> Answer {
        let delegation = market.delegation(&self.channel, &key.public_key()).await.unwrap();
        let epoch = delegation.created_slot;
        market.get_with("/quote", &market.sign(key, &self.channel, epoch, Seq::new(seq)).await).await
    }

    async fn quote(&self, market: &Market, seq: u64) -> Answer {
        let credential = market.sign(&self.funder, &self.channel, self.opened_slot, Seq::new(seq)).await;
        market.get_with("/quote", &credential).await
    }

    /// Closes by the service's statement over `owed`, and gets back the rent of the delegations.
    async fn end(&self, market: &Market, owed: u64, delegates: &[&KeypairSigner]) {
        let newest = market.sign(&self.funder, &self.channel, self.opened_slot, Seq::new(DEPOSIT)).await;
        let closed: CloseResponse = market.post_with(path::CLOSE, &newest).await.json();
        assert_eq!(closed.close_statement.owed_total, Amount::new(owed));
        market.request_close(&self.funder, &self.channel).await;
        market.chain.advance_seconds(GRACE);
        market.close_as(&self.funder, &self.channel).await.unwrap();
        for delegate in delegates {
            market.close_delegation(&self.funder, &self.channel, delegate).await.unwrap();
        }
    }
}

fn now(market: &Market) -> i64 {
    market.chain.clock_now().unix_timestamp
}

/// A service that looks at its channels all the time.
async fn watchful() -> Market {
    Market::builder().service(|config| config.watch_interval(Duration::from_millis(50))).open().await
}

#[tokio::test]
async fn delegates_pay_beside_the_funder_and_each_is_settled_on_its_own_credential() {
    let market = Market::open().await;
    let family = Family::open(&market).await;
    let one = family.delegate(&market, 10 * PRICE, 0).await;
    let other = family.delegate(&market, 10 * PRICE, 0).await;
    assert_eq!(family.quote(&market, PRICE).await.paid(), [DEPOSIT - PRICE, PRICE, PRICE]);
    for calls in 1..=3 {
        let left = (10 - calls) * PRICE;
        assert_eq!(family.quote_by(&market, &one, calls * PRICE).await.paid(), [left, calls * PRICE, PRICE]);
        assert_eq!(family.quote_by(&market, &other, calls * PRICE).await.status, 200);
    }
    assert_eq!(market.settle_all().await, [(family.channel, 7 * PRICE)]);
    assert_eq!(market.count_of("Settle"), 3);
    for key in [&one, &other] {
        let delegation = market.delegation(&family.channel, &key.public_key()).await.unwrap().delegation;
        assert_eq!(delegation.signer.claimed, Amount::new(3 * PRICE));
    }
    assert_eq!(market.account(&family.channel).await.unwrap().books.claimed, Amount::new(7 * PRICE));
    family.end(&market, 7 * PRICE, &[&one, &other]).await;
    market.end();
}

#[tokio::test]
async fn a_delegate_is_served_to_its_limit_and_no_further_and_all_of_it_is_collected() {
    let market = Market::open().await;
    let family = Family::open(&market).await;
    let key = family.delegate(&market, 2 * PRICE + 1, 0).await;
    for calls in 1..=2 {
        assert_eq!(family.quote_by(&market, &key, calls * PRICE).await.status, 200);
    }
    let refused = family.quote_by(&market, &key, DEPOSIT).await.refused(Code::Underfunded);
    assert_eq!((refused.shortage, refused.balance), (Some(Shortage::DelegateLimit), Some(Amount::new(1))));
    assert_eq!(market.settle_all().await, [(family.channel, 2 * PRICE)]);
    market.delegate(&family.funder, &family.channel, &key, 3 * PRICE, 0).await;
    assert_eq!(family.quote_by(&market, &key, DEPOSIT).await.paid(), [0, 3 * PRICE, PRICE]);
    assert_eq!(market.settle_all().await, [(family.channel, PRICE)]);
    family.end(&market, 3 * PRICE, &[&key]).await;
    market.end();
}

#[tokio::test]
async fn what_a_revoked_delegate_owes_is_collected_in_its_grace_and_it_spends_nothing_more() {
    let market = watchful().await;
    let family = Family::open(&market).await;
    let key = family.delegate(&market, 10 * PRICE, 0).await;
    for calls in 1..=3 {
        assert_eq!(family.quote_by(&market, &key, calls * PRICE).await.status, 200);
    }
    assert_eq!(market.count_of("Settle"), 0, "the interval has not passed");
    market.revoke(&family.funder, &family.channel, &key).await;
    eventually("the service settles what it is owed", || market.earned() == 3 * PRICE).await;
    tokio::time::sleep(Duration::from_millis(60)).await;
    let refused = family.quote_by(&market, &key, 4 * PRICE).await.refused(Code::InvalidSig);
    assert!(refused.message.contains("revoked"), "{}", refused.message);

    market.chain.advance_seconds(GRACE);
    let stranger = market.person();
    let early = market.close_delegation(&stranger, &family.channel, &key).await.unwrap_err();
    assert!(matches!(early, ChainError::Rejected(Rejection::DelegationNotOver)), "{early:?}");
    market.chain.advance_seconds(1);
    market.close_delegation(&stranger, &family.channel, &key).await.unwrap();
    family.end(&market, 3 * PRICE, &[]).await;
    market.end();
}

#[tokio::test]
async fn what_an_expired_delegate_owes_is_collected_before_its_interval_has_passed() {
    let market = watchful().await;
    let family = Family::open(&market).await;
    let expires_at = now(&market) + i64::from(INTERVAL / 2);
    let key = family.delegate(&market, 10 * PRICE, expires_at).await;
    assert_eq!(family.quote_by(&market, &key, PRICE).await.status, 200);
    market.chain.advance_seconds(INTERVAL / 2);
    eventually("the service settles what it is owed", || market.earned() == PRICE).await;
    let refused = family.quote_by(&market, &key, 2 * PRICE).await.refused(Code::InvalidSig);
    assert!(refused.message.contains("expired"), "{}", refused.message);
    family.end(&market, PRICE, &[&key]).await;
    market.end();
}

#[tokio::test]
async fn a_delegate_can_not_stop_the_channel_for_the_others() {
    let market = Market::open().await;
    let family = Family::open(&market).await;
    let key = family.delegate(&market, 10 * PRICE, 0).await;
    let epoch = market.delegation(&family.channel, &key.public_key()).await.unwrap().created_slot;
    let credential = market.sign(&key, &family.channel, epoch, Seq::new(DEPOSIT)).await;
    market.post_with(path::CLOSE, &credential).await.refused(Code::InvalidSig);
    assert_eq!(family.quote(&market, PRICE).await.status, 200);
    assert_eq!(market.settle_all().await, [(family.channel, PRICE)]);
    family.end(&market, PRICE, &[&key]).await;
    market.end();
}

#[tokio::test]
async fn after_a_crash_and_after_a_lost_store_every_signer_goes_on_from_what_it_has_paid() {
    let mut market = Market::open().await;
    let family = Family::open(&market).await;
    let key = family.delegate(&market, 10 * PRICE, 0).await;
    assert_eq!(family.quote_by(&market, &key, PRICE).await.status, 200);
    assert_eq!(family.quote(&market, PRICE).await.status, 200);
    market.crash_and_restart().await;
    family.quote_by(&market, &key, PRICE).await.refused(Code::InvalidSeq);
    assert_eq!(family.quote_by(&market, &key, 2 * PRICE).await.paid(), [8 * PRICE, 2 * PRICE, PRICE]);
    assert_eq!(market.settle_all().await, [(family.channel, 3 * PRICE)]);
    market.restart_without_store().await;
    // what the delegate has paid is not there any more, whoever asks first
    assert_eq!(family.quote(&market, 2 * PRICE).await.paid(), [DEPOSIT - 4 * PRICE, 2 * PRICE, PRICE]);
    family.quote_by(&market, &key, 2 * PRICE).await.refused(Code::InvalidSeq);
    assert_eq!(family.quote_by(&market, &key, 3 * PRICE).await.paid(), [7 * PRICE, 3 * PRICE, PRICE]);
    assert_eq!(market.settle_all().await, [(family.channel, 2 * PRICE)]);
    family.end(&market, 5 * PRICE, &[&key]).await;
    market.end();
}
