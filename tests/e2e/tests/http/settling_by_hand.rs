//! A recipient without a service, who kept a credential.

use amp_e2e_tests::{INTERVAL, Market, PRICE};
use amp_protocol::json::Base58;
use amp_protocol::money::{Amount, Seq};
use amp_protocol::rejection::Rejection;
use amp_sdk::chain::{PROGRAM_ID, PriorityFee, Settleable, UnsettleableError};
use amp_sdk::signer::{KeypairSigner, Signer as _};

async fn check(
    market: &Market,
    credential: &amp_protocol::json::CredentialBody,
    owed: u64,
) -> Result<Settleable, UnsettleableError> {
    let recipient = market.recipient.public_key();
    let owed = Amount::new(owed);
    Settleable::check(&market.chain, &PROGRAM_ID, &recipient, credential, owed, PriorityFee::default()).await
}

#[tokio::test]
async fn a_credential_is_claimed_without_a_service_and_not_twice() {
    let market = Market::open().await;
    let agent = market.hire().await;
    agent.buy(&market.url("/quote")).await;
    let credential = agent.credential(&market, PRICE).await;
    market.chain.advance_seconds(INTERVAL);
    let ready = check(&market, &credential, PRICE).await.unwrap();
    assert_eq!((ready.payout, ready.signer), (Amount::new(PRICE), agent.hot_key.public_key()));
    ready.send(&market.chain, &market.recipient).await.unwrap();
    assert_eq!(market.chain.tokens(&ready.payout_token), Amount::new(PRICE));
    market.chain.advance_seconds(INTERVAL);
    let again = check(&market, &credential, PRICE).await.unwrap_err();
    assert!(matches!(again, UnsettleableError::Refused(Rejection::OwedNotAboveClaimed)), "{again}");
    // of two signatures: the recipient's, and the credential
    market.tolerate_a_refused_transaction();
    market.tolerate_a_refused_transaction();
    // the same transaction, or another with the same claim, is refused by the program itself
    let sent = ready.send(&market.chain, &market.recipient).await.unwrap_err();
    assert_eq!(sent.rejection(), Some(Rejection::OwedNotAboveClaimed));
    market.end();
}

#[tokio::test]
async fn what_can_not_be_settled_is_told_apart_before_anything_is_sent() {
    let market = Market::open().await;
    let agent = market.hire().await;
    agent.buy(&market.url("/quote")).await;
    let good = agent.credential(&market, PRICE).await;
    let early = check(&market, &good, PRICE).await.unwrap_err();
    let opened = market.chain.clock_now().unix_timestamp;
    assert!(
        matches!(early, UnsettleableError::TooEarly { from } if from == opened + i64::from(INTERVAL)),
        "{early}"
    );
    market.chain.advance_seconds(INTERVAL);

    let above = check(&market, &good, PRICE + 1).await.unwrap_err();
    assert!(matches!(above, UnsettleableError::Refused(Rejection::OwedAboveCeiling)), "{above}");
    let channel = agent.channel().await;
    let stranger = KeypairSigner::generate();
    let forged = market.sign(&stranger, &channel.channel, channel.opened_slot, Seq::new(PRICE)).await;
    let forged = check(&market, &forged, PRICE).await.unwrap_err();
    assert!(matches!(forged, UnsettleableError::NobodysSignature(_)), "{forged}");
    let mut elsewhere = good;
    elsewhere.channel = Base58([9; 32]);
    let elsewhere = check(&market, &elsewhere, PRICE).await.unwrap_err();
    assert!(matches!(elsewhere, UnsettleableError::NoChannel(_)), "{elsewhere}");
    let (own, owed) = (stranger.public_key(), Amount::new(PRICE));
    let other =
        Settleable::check(&market.chain, &PROGRAM_ID, &own, &good, owed, PriorityFee::default()).await;
    assert!(matches!(other.unwrap_err(), UnsettleableError::WrongRecipient { .. }));
    market.settle_all().await;
    market.end();
}

#[tokio::test]
async fn a_delegates_credential_is_settled_within_its_limit() {
    let market = Market::open().await;
    let agent = market.hire().await;
    let channel = agent.client.prepare(&market.url("/quote")).await.unwrap();
    let key = KeypairSigner::generate();
    let made =
        agent.client.delegate(market.origin(), &key.public_key(), Amount::new(PRICE), None).await.unwrap();
    let credential = market.sign(&key, &channel.channel, made.created_slot, Seq::new(2 * PRICE)).await;
    market.chain.advance_seconds(INTERVAL);
    let above = check(&market, &credential, PRICE + 1).await.unwrap_err();
    assert!(matches!(above, UnsettleableError::Refused(Rejection::OwedAboveLimit)), "{above}");
    let ready = check(&market, &credential, PRICE).await.unwrap();
    assert_eq!(ready.signer, key.public_key());
    ready.send(&market.chain, &market.recipient).await.unwrap();
    agent.client.close(market.origin()).await.unwrap();
    market.end_having_earned(PRICE);
}
