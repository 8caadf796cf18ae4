//! What operators and their tools ask of a service, on a port of its own: the figures are nobody else's
//! business.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::get;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};

use super::health::Verdict;
use super::service::AmpService;

/// OpenMetrics 1.0, as Prometheus asks for it.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

impl AmpService {
    /// A router with `/metrics`, `/health/live` and `/health/ready`, to be served on a port that clients do
    /// not reach. Health answers 200 or 503 with the [`Verdict`] in JSON.
    ///
    /// It holds the service as any clone of it does.
    pub fn operations(&self) -> Router {
        Router::new()
            .route("/metrics", get(metrics))
            .route("/health/live", get(live))
            .route("/health/ready", get(ready))
            .with_state(self.clone())
    }
}

async fn metrics(State(service): State<AmpService>) -> Response<Body> {
    answer(StatusCode::OK, OPEN_METRICS, service.metrics().await.into())
}

async fn live(State(service): State<AmpService>) -> Response<Body> {
    verdict(&service.health().await.live)
}

async fn ready(State(service): State<AmpService>) -> Response<Body> {
    verdict(&service.health().await.ready)
}

fn verdict(verdict: &Verdict) -> Response<Body> {
    let status = if verdict.ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = serde_json::to_vec(verdict).unwrap_or_default();
    answer(status, "application/json", body.into())
}

fn answer(status: StatusCode, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
