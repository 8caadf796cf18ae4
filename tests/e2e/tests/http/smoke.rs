use amp_e2e_tests::{Market, PRICE};

#[tokio::test]
async fn a_paid_call_is_settled() {
    let market = Market::open().await;
    let agent = market.hire().await;
    let paid = agent.buy(&market.url("/quote")).await;
    assert_eq!(paid.seq.get(), PRICE);
    market.settle_all().await;
    market.end();
}
