//! What a call costs.

use amp_e2e_tests::{CHAT_PRICE, DEPOSIT, Market, PRICE};
use amp_protocol::code::Code;
use amp_protocol::json::Pricing;
use amp_protocol::money::{Amount, Seq};
use amp_protocol::text::header;
use amp_sdk::server::ChargeOn;

#[tokio::test]
async fn a_failed_handler_costs_nothing_and_uses_its_seq_up() {
    let market = Market::open().await;
    let agent = market.hire().await;
    agent.buy(&market.url("/quote")).await;
    let mut last = PRICE;
    for (path, status) in [("/fail", 500), ("/missing", 404), ("/no/such/route", 404)] {
        let answer = agent.client.get(&market.url(path)).await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
        let payment = *answer.payment().expect("the handler was reached with a credential");
        assert_eq!(payment.cost, Some(Amount::ZERO));
        assert_eq!(payment.spent, Some(Amount::new(PRICE)));
        assert_eq!(payment.balance, Some(Amount::new(DEPOSIT - PRICE)));
        // the ceiling that the failed call raised is there already: one unit more will do
        assert!(payment.seq.get() == 2 * PRICE || payment.seq.get() == last + 1, "{}", payment.seq);
        last = payment.seq.get();
        let again = agent.credential(&market, last).await;
        let refused = market.get_with("/quote", &again).await.refused(Code::InvalidSeq);
        assert_eq!(refused.last_seq, Some(payment.seq));
    }
    let paid = agent.buy(&market.url("/quote")).await;
    assert_eq!((paid.cost, paid.spent), (Some(Amount::new(PRICE)), Some(Amount::new(2 * PRICE))));
    assert_eq!(paid.seq, Seq::new(2 * PRICE + 3));
    let proof = agent.client.status(market.origin()).await.unwrap().metering_proof.unwrap();
    assert_eq!(proof.calls, 2, "calls that cost nothing are none");
    market.settle_all().await;
    assert_eq!(market.earned(), 2 * PRICE);
    market.end();
}

#[tokio::test]
async fn a_failed_handler_over_raw_http_says_that_it_cost_nothing() {
    let market = Market::open().await;
    let agent = market.hire().await;
    agent.buy(&market.url("/quote")).await;
    let credential = agent.credential(&market, 2 * PRICE).await;
    let failed = market.get_with("/fail", &credential).await;
    assert_eq!((failed.status, failed.text()), (500, "failed".to_owned()));
    assert_eq!(failed.paid(), [DEPOSIT - PRICE, PRICE, 0]);
    market.get_with("/fail", &credential).await.refused(Code::InvalidSeq);
    market.settle_all().await;
    market.end();
}

#[tokio::test]
async fn a_service_that_charges_always_charges_for_failures_too() {
    let market = Market::builder().service(|config| config.charge_on(ChargeOn::Always)).open().await;
    let agent = market.hire().await;
    let answer = agent.client.get(&market.url("/fail")).await.unwrap();
    assert_eq!(answer.status(), 500);
    assert_eq!(answer.payment().unwrap().cost, Some(Amount::new(PRICE)));
    assert_eq!(market.served(), 0);
    market.settle_all().await;
    market.end_having_earned(PRICE);
}

#[tokio::test]
async fn free_routes_need_no_credential_and_have_no_payment() {
    let market = Market::open().await;
    let agent = market.hire().await;
    let raw = market.get("/health").await;
    assert_eq!((raw.status, raw.text()), (200, "ok".to_owned()));
    assert!(!raw.headers.keys().any(|name| name.as_str().starts_with("amp-")), "{:?}", raw.headers);
    // before the client knows the service, and after
    for _ in 0..2 {
        let answer = agent.client.get(&market.url("/health")).await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.payment()), (200, None));
        agent.buy(&market.url("/quote")).await;
    }
    assert_eq!(market.served(), 2 * PRICE);
    market.settle_all().await;
    market.end();
}

#[tokio::test]
async fn each_route_charges_its_own_price() {
    let market = Market::open().await;
    let agent = market.hire().await;
    let mut spent = 0;
    for (path, price) in [
        ("/quote", PRICE),
        ("/v1/chat", CHAT_PRICE),
        ("/quote?q=/v1/chat", PRICE),
        ("/v1/chat?x", CHAT_PRICE),
    ] {
        let asked: Pricing =
            serde_json::from_str(market.get(path).await.header(header::PRICING)).expect("a price");
        assert_eq!(asked.rate, Amount::new(price), "{path}");
        let payment = agent.buy(&market.url(path)).await;
        spent += price;
        assert_eq!((payment.cost, payment.spent), (Some(Amount::new(price)), Some(Amount::new(spent))));
        assert_eq!(payment.seq, Seq::new(spent));
    }
    let posted = agent.client.post(&market.url("/v1/chat"), "hi").await.unwrap();
    assert_eq!(posted.payment().unwrap().cost, Some(Amount::new(CHAT_PRICE)));
    let echoed = agent.client.post(&market.url("/quote"), "a body of mine").await.unwrap();
    assert_eq!(echoed.payment().unwrap().cost, Some(Amount::new(PRICE)));
    assert_eq!(echoed.text().await.unwrap(), "a body of mine", "the body is sent with the payment");
    market.settle_all().await;
    assert_eq!(market.earned(), 3 * PRICE + 3 * CHAT_PRICE);
    market.end();
}

#[tokio::test]
async fn a_price_that_rose_is_paid_only_within_the_policy() {
    let mut market = Market::builder()
        .service(|config| {
            // the second start finds the store of the first: that is when the price rises
            static STARTS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
            let rise = STARTS.fetch_add(1, std::sync::atomic::Ordering::SeqCst) * PRICE;
            config.route("/quote", Amount::new(PRICE + rise))
        })
        .open()
        .await;
    let agent = market.hire_with(|client| client.max_price_per_call(Amount::new(2 * PRICE))).await;
    let url = market.url("/quote");
    agent.buy(&url).await;
    market.restart().await;
    // the client learns of it by a refusal, and agrees
    let payment = agent.buy(&url).await;
    assert_eq!((payment.cost, payment.spent), (Some(Amount::new(500)), Some(Amount::new(750))));
    market.restart().await;
    let refused = agent.client.get(&url).await.unwrap_err();
    let policy = amp_sdk::client::PolicyError::Price { price: Amount::new(750), max: Amount::new(500) };
    assert!(
        matches!(&refused, amp_sdk::client::ClientError::Policy(found) if *found == policy),
        "{refused:?}"
    );
    market.settle_all().await;
    assert_eq!(market.earned(), 3 * PRICE);
    market.end();
}
