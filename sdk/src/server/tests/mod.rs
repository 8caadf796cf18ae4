//! The service as a client sees it: a router behind the layer, a fake chain, a real store.

mod charging;
mod closing;
mod codes;
pub(crate) mod conformance;
mod delegates;
mod delegates_settled;
mod durability;
mod endpoints;
#[cfg(feature = "grpc")]
mod grpc;
mod metered;
mod metrics;
mod operations;
mod outage;
mod packing;
mod peers;
pub(crate) mod recorded;
mod repeating;
mod requests;
mod sending;
mod settling;
#[cfg(feature = "postgres")]
mod shared;
mod spans;
mod subscription;
mod watching;
mod worker;

use std::sync::Arc;

use amp_protocol::json::CredentialBody;
use amp_protocol::text::header;
use axum::body::{Body, to_bytes};
use axum::extract::Extension;
use axum::routing::get;
use axum::{Json, Router};
use http::{HeaderMap, Method, Request, StatusCode};
use serde_json::Value;
use tokio::sync::Notify;
use tower::ServiceExt;

use super::testing::{Bench, CHANNEL, Disk, Fate};
use super::{AmpLayer, AmpService, Payment};
use crate::signer::KeypairSigner;

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl Answer {
    /// The status and the `error` of the body.
    fn code(&self) -> (u16, &str) {
        (self.status.as_u16(), self.body["error"].as_str().unwrap_or("none"))
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// `AMP-Balance`, `AMP-Spent`, `AMP-Cost` of a 200.
    fn paid(&self) -> (&str, &str, &str) {
        assert_eq!(self.status, StatusCode::OK, "{}", self.body);
        (self.header(header::BALANCE), self.header(header::SPENT), self.header(header::COST))
    }
}

/// Lets `/slow` answer.
type Gate = Arc<Notify>;

/// `/quote` costs 10 and answers, `/fail` costs 10 and fails, `/slow` waits, `/free` is free.
fn router(service: &AmpService) -> (Router, Gate) {
    let gate = Gate::default();
    let waiting = gate.clone();
    let slow = move || async move {
        waiting.notified().await;
        Json("slow")
    };
    let quote = |Extension(payment): Extension<Payment>| async move {
        Json(format!("{} {} {}", payment.channel, payment.seq, payment.price))
    };
    let router = Router::new()
        .route("/quote", get(quote).post(|| async { Json("posted") }))
        .route("/fail", get(|| async { (StatusCode::INTERNAL_SERVER_ERROR, Json("failed")) }))
        .route("/slow", get(slow))
        .route("/free", get(|| async { Json("free") }))
        .layer(AmpLayer::new(service.clone()));
    (router, gate)
}

fn signed(request: http::request::Builder, credential: &CredentialBody) -> http::request::Builder {
    request
        .header(header::CHANNEL, credential.channel.to_string())
        .header(header::SEQ, credential.seq.to_string())
        .header(header::SIG, credential.sig.to_string())
}

async fn call(router: &Router, request: Request<Body>) -> Answer {
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    Answer { status: parts.status, headers: parts.headers, body }
}

async fn get_with(router: &Router, path: &str, credential: &CredentialBody) -> Answer {
    call(router, signed(Request::get(path), credential).body(Body::empty()).unwrap()).await
}

async fn post_with(router: &Router, path: &str, credential: &CredentialBody) -> Answer {
    call(router, signed(Request::post(path), credential).body(Body::empty()).unwrap()).await
}

async fn bare(router: &Router, method: Method, path: &str) -> Answer {
    call(router, Request::builder().method(method).uri(path).body(Body::empty()).unwrap()).await
}

/// A bench, its service with short waits, and the router before it.
struct Stage {
    bench: Bench,
    service: AmpService,
    router: Router,
    gate: Gate,
}

impl Stage {
    async fn new() -> Self {
        Self::over(Bench::new(), |config| config).await
    }

    async fn with(change: impl FnOnce(super::ServiceConfig) -> super::ServiceConfig) -> Self {
        Self::over(Bench::new(), change).await
    }

    async fn over(bench: Bench, change: impl FnOnce(super::ServiceConfig) -> super::ServiceConfig) -> Self {
        let config = change(bench.config().route("/free", amp_protocol::money::Amount::ZERO));
        let service = bench.service_with(config).await;
        let (router, gate) = router(&service);
        Self { bench, service, router, gate }
    }

    /// `/quote` paid with this seq.
    async fn quote(&self, seq: u64) -> Answer {
        get_with(&self.router, "/quote", &self.bench.credential(seq).await).await
    }

    /// `/quote` paid from another channel.
    async fn quote_on(&self, channel: [u8; 32], seq: u64) -> Answer {
        get_with(&self.router, "/quote", &self.bench.credential_on(channel, seq).await).await
    }

    /// `/quote` paid by a delegate with this seq.
    async fn quote_by(&self, key: &KeypairSigner, seq: u64) -> Answer {
        get_with(&self.router, "/quote", &self.bench.delegated(key, seq).await).await
    }

    /// Ends the service as a restart does, and starts it on the same store.
    async fn restart(self) -> Self {
        self.restart_after(|_| ()).await
    }

    async fn restart_after(self, meanwhile: impl FnOnce(&Bench)) -> Self {
        let Self { bench, service, router, .. } = self;
        service.shutdown().await;
        drop((service, router));
        drop(bench.store().await);
        meanwhile(&bench);
        let config = bench.config().route("/free", amp_protocol::money::Amount::ZERO);
        let service = bench.service_with(config).await;
        let (router, gate) = self::router(&service);
        Self { bench, service, router, gate }
    }
}

/// Lets time pass at once. Not by a clock that stands still otherwise: it runs on while the store writes.
async fn pass(time: std::time::Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

/// Waits for what another task does.
async fn eventually(what: &str, check: impl Fn() -> bool) {
    for _ in 0..100 {
        if check() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("never happened: {what}");
}
