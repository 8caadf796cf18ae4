use std::collections::BTreeMap;

use amp_protocol::json::PricingMode;
use amp_protocol::json::RouteRate;
use amp_protocol::rate::{Per, Rate};
use proptest::prelude::*;

use super::*;
use crate::server::testing::Bench;

fn config() -> ServiceConfig {
    Bench::new().config()
}

#[test]
fn no_spelling_of_a_path_is_cheaper_than_another() {
    let config = config().route("/", Amount::ZERO).route("/v1", Amount::new(7));
    let rate = |path: &str| config.price_list().for_request(path).unwrap().pricing.rate.get();
    assert_eq!(rate("/free"), 0);
    for path in [
        "/v1",
        "/v1/",
        "/%76%31",
        "/v%31/x",
        "//v1",
        "/./v1",
        "/free/../v1",
        "/free/%2e%2e/v1",
        "/free%2f..%2fv1",
        "/free/..;/v1",
        "/free\\..\\v1",
        "/free/%252e%252e/v1",
        "/v1;x=1/y",
        "/V1",
        "/%561/x",
    ] {
        assert_eq!(rate(path), 7, "{path}");
    }
    assert_eq!(rate("/v1/%2e%2e/free"), 7, "the raw reading counts too");
}

#[test]
fn no_spelling_of_a_path_is_charged_for_less_than_another() {
    let config = config().route_charges_on("/v1/dear", ChargeOn::Always);
    let on = |path: &str| config.price_list().for_request(path).unwrap().charge_on;
    for path in ["/", "/v1", "/v1/dearest", "/free/../v1"] {
        assert_eq!(on(path), ChargeOn::Success, "{path}");
    }
    for path in [
        "/v1/dear",
        "/v1/dear/",
        "/v1/dear/x",
        "/v1/%64ear",
        "/v1%2fdear",
        "//v1//dear",
        "/./v1/dear",
        "/v1/free/../dear",
        "/v1/free/%2e%2e/dear",
        "/v1/dear/%2e%2e/free",
    ] {
        assert_eq!(on(path), ChargeOn::Always, "{path}");
    }
}

#[test]
fn a_route_may_charge_less_than_the_service_but_not_under_another_spelling() {
    let config = config()
        .charge_on(ChargeOn::Always)
        .route_charges_on("/lenient", ChargeOn::Success)
        .route_charges_on("/lenient/not", ChargeOn::Always);
    let on = |path: &str| config.price_list().for_request(path).unwrap().charge_on;
    assert_eq!(on("/lenient/x"), ChargeOn::Success);
    for path in ["/lenient/not", "/lenient/n%6ft", "/lenient/../v1", "/v1/../lenient", "/%6cenient"] {
        assert_eq!(on(path), ChargeOn::Always, "{path}");
    }
}

#[test]
fn a_path_whose_readings_count_different_things_has_no_price() {
    let config = config().metered_route("/bytes", PricingMode::PerByte, Rate::each(Amount::new(1)));
    assert_eq!(config.price_list().for_request("/x/../bytes"), None);
    assert!(config.price_list().for_request("/bytes").is_some());
}

#[test]
fn of_two_treatments_the_stricter_is_the_one_that_charges_for_more() {
    use ChargeOn::{Always, Success};
    assert_eq!(Success.stricter(Success), Success);
    for (one, other) in [(Success, Always), (Always, Success), (Always, Always)] {
        assert_eq!(one.stricter(other), Always);
    }
}

#[tokio::test]
async fn new_prices_are_charged_and_published_from_the_next_request_on() {
    let bench = Bench::new();
    let service = bench.service_with(bench.config().route("/old", Amount::new(3))).await;
    let before = service.prices();
    let under_way =
        service.authorize(&bench.credential(10).await, service.pricing("/old").rate).await.unwrap();
    let next = bench
        .config()
        .default_rate(PricingMode::PerByte, Rate { amount: Amount::new(2), per: Per::new(5).unwrap() })
        .route("/new", Amount::new(4));
    service.reprice(&next).unwrap();
    assert_eq!(
        (service.pricing("/old").rate, service.pricing("/new").rate),
        (Amount::new(2), Amount::new(4))
    );
    assert_eq!(service.pricing("/old").mode, PricingMode::PerByte);
    let published = service.discovery().pricing;
    assert_eq!(&published, service.prices().table());
    assert!(published.routes.contains_key("/new") && !published.routes.contains_key("/old"));
    // what began before costs what it began with
    assert_eq!(before.table().for_route("/old").rate, Amount::new(3));
    assert_eq!(under_way.charge(Amount::MAX).await.unwrap().cost, Amount::new(3));
}

#[tokio::test]
async fn prices_that_cannot_be_served_change_nothing() {
    let bench = Bench::new();
    let service = bench.service_with(bench.config()).await;
    let mut bad = bench.config().route("/new", Amount::new(4)).tool("draw", Amount::new(1));
    bad = bad.route("relative", Amount::new(1));
    assert_eq!(service.reprice(&bad), Err(ConfigError::Route("relative".into())));
    assert_eq!(service.pricing("/new").rate, Amount::new(10));
    assert!(service.discovery().pricing.routes.is_empty());
}

#[tokio::test]
async fn whom_a_service_serves_does_not_change_with_its_prices() {
    let bench = Bench::new();
    let service = bench.service_with(bench.config().min_deposit(Amount::new(50))).await;
    let before = service.discovery().pricing.default;
    let next = bench.config().min_deposit(Amount::new(70)).settle_interval(60);
    service.reprice(&next).unwrap();
    assert_eq!(service.discovery().pricing.default, before);
}

/// A price list in which every prefix that charges always costs 1.
fn priced(routes: &BTreeMap<String, ChargeOn>) -> PriceList {
    let rate = |on: &ChargeOn| RouteRate::per_call(Amount::new(u64::from(*on == ChargeOn::Always)));
    let mut list = config().price_list().clone();
    list.table.default.rate = Amount::ZERO;
    list.table.routes = routes.iter().map(|(prefix, on)| (prefix.clone(), rate(on))).collect();
    list.routes = routes.clone();
    list
}

proptest! {
    /// One rule for prices and for this: an operator writes both with the same prefixes.
    #[test]
    fn a_prefix_covers_the_paths_that_a_price_with_it_does(
        routes in prop::collection::btree_map("(/[ab]?){1,3}", any::<bool>(), 0..6),
        path in "(/[ab]{0,2}){1,4}",
    ) {
        let on = |always: bool| if always { ChargeOn::Always } else { ChargeOn::Success };
        let list = priced(&routes.into_iter().map(|(at, always)| (at, on(always))).collect());
        let by_price = list.table.for_route(&path).rate == Amount::new(1);
        prop_assert_eq!(list.charges_on(&path) == ChargeOn::Always, by_price);
    }
}
