use http::StatusCode;

use super::price::other_readings;
use crate::server::config::ChargeOn;
use crate::server::service::AmpService;

/// Which answers of a path are paid for: all of them, where one of its readings says so. Otherwise a
/// spelling of a route that charges always would have its failures, and what is abandoned, for free.
pub(super) fn on_path(service: &AmpService, path: &str) -> ChargeOn {
    let others = other_readings(path).map(|reading| service.charges_on(&reading));
    others.fold(service.charges_on(path), ChargeOn::stricter)
}

/// Whether an answer with this status is paid for.
pub(super) fn is_charged(charge_on: ChargeOn, status: StatusCode) -> bool {
    match charge_on {
        ChargeOn::Success => status.as_u16() < 400,
        ChargeOn::Always => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::testing::Bench;

    #[tokio::test]
    async fn no_spelling_of_a_path_is_charged_for_less_than_another() {
        let bench = Bench::new();
        let config = bench.config().route_charges_on("/v1/dear", ChargeOn::Always);
        let service = bench.service_with(config).await;
        for path in ["/", "/v1", "/v1/dearest", "/free/../v1"] {
            assert_eq!(on_path(&service, path), ChargeOn::Success, "{path}");
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
            assert_eq!(on_path(&service, path), ChargeOn::Always, "{path}");
        }
    }

    #[tokio::test]
    async fn a_route_may_charge_less_than_the_service_but_not_under_another_spelling() {
        let bench = Bench::new();
        let config = bench
            .config()
            .charge_on(ChargeOn::Always)
            .route_charges_on("/lenient", ChargeOn::Success)
            .route_charges_on("/lenient/not", ChargeOn::Always);
        let service = bench.service_with(config).await;
        assert_eq!(on_path(&service, "/lenient/x"), ChargeOn::Success);
        for path in ["/lenient/not", "/lenient/n%6ft", "/lenient/../v1", "/v1/../lenient", "/%6cenient"] {
            assert_eq!(on_path(&service, path), ChargeOn::Always, "{path}");
        }
    }
}
