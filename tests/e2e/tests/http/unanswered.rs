//! Calls whose answer never arrives.

use std::time::Duration;

use amp_e2e_tests::{Market, PRICE, eventually};
use amp_protocol::money::{Amount, Seq};
use amp_sdk::client::ClientError;

#[tokio::test]
async fn a_call_that_the_client_gave_up_on_is_not_charged_and_leaves_one_unit_of_exposure() {
    let market = Market::open().await;
    let agent = market.hire_with(|client| client.timeout(Duration::from_millis(300))).await;
    agent.buy(&market.url("/quote")).await;
    let lost = agent.client.get(&market.url("/slow")).await.unwrap_err();
    assert!(matches!(lost, ClientError::TimedOut { .. }), "{lost:?}");
    assert_eq!(market.reached_slow(), 1, "the handler had begun");
    eventually("the service notices that nobody waits", || market.left_slow() == 1).await;
    let paid = agent.buy(&market.url("/quote")).await;
    assert_eq!(paid.spent, Some(Amount::new(2 * PRICE)), "the lost call was not charged");
    assert_eq!(paid.seq, Seq::new(2 * PRICE + 1), "one unit above what was signed for the lost call");
    assert_eq!(market.served(), 2 * PRICE);
    market.settle_all().await;
    market.next_slot();
    agent.client.close(market.origin()).await.unwrap();
    assert_eq!(market.money().vaults, 0);
    market.end();
}

#[tokio::test]
async fn a_service_that_is_down_is_an_error_that_costs_nothing() {
    let mut market = Market::open().await;
    let agent = market.hire().await;
    let url = market.url("/quote");
    agent.buy(&url).await;
    let signed = agent.channel().await.ledger;
    market.stop().await;
    let error = agent.client.get(&url).await.unwrap_err();
    assert!(matches!(&error, ClientError::Http(error) if error.is_connect()), "{error:?}");
    let after = agent.channel().await.ledger;
    assert_eq!((after.agreed, after.in_flight), (signed.agreed, Amount::ZERO));
    assert_eq!(signed.agreed, Amount::new(PRICE));
    market.start().await;
    market.settle_all().await;
    market.end();
}
