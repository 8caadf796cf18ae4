use std::fmt::Display;

use amp_protocol::json::Pricing;
use amp_protocol::text::{AMP_VERSION, header};
use axum::body::Body;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use serde::Serialize;

use crate::server::admission::Receipt;
use crate::server::denial::{Denial, NameRefused};
use crate::server::service::AmpService;

/// Any other plain failure of the endpoints: 404, 405, 413.
#[derive(Serialize)]
struct Plain<'a> {
    error: &'static str,
    message: &'a str,
}

/// `value` as JSON.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response<Body> {
    let body = serde_json::to_vec(value).unwrap_or_else(|_| b"{}".to_vec());
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A failure that has no AMP code.
pub(super) fn plain(status: StatusCode, error: &'static str, message: &str) -> Response<Body> {
    json(status, &Plain { error, message })
}

/// 405 with the methods that would do.
pub(super) fn wrong_method(allowed: &'static str) -> Response<Body> {
    let message = format!("use {allowed}");
    let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", &message);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

/// A denial as its status, body and headers. Every 402 carries what a client needs to open a channel.
pub(crate) fn denied(service: &AmpService, pricing: &Pricing, denial: &Denial) -> Response<Body> {
    let mut response = json(status(denial), denial);
    if let Some(seconds) = denial.retry_after() {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if response.status() == StatusCode::PAYMENT_REQUIRED {
        offer(service, pricing, response.headers_mut());
    }
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn status(denial: &Denial) -> StatusCode {
    match denial {
        Denial::Refused(body) => {
            StatusCode::from_u16(body.error.http_status()).unwrap_or(StatusCode::BAD_REQUEST)
        }
        Denial::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
        Denial::Name(NameRefused::Malformed) => StatusCode::BAD_REQUEST,
        Denial::Name(NameRefused::InProgress) => StatusCode::CONFLICT,
        Denial::Name(NameRefused::OtherQuestion | NameRefused::Metered) => StatusCode::UNPROCESSABLE_ENTITY,
        Denial::Name(NameRefused::NotKept) => StatusCode::GONE,
    }
}

fn offer(service: &AmpService, pricing: &Pricing, headers: &mut HeaderMap) {
    let core = &service.core;
    set(headers, header::VERSION, AMP_VERSION);
    set(headers, header::PRICING, serde_json::to_string(pricing).unwrap_or_default());
    set(headers, header::RECIPIENT, core.recipient);
    set(headers, header::PROGRAM, core.program_id);
    set(headers, header::NETWORK, &core.config.network);
}

/// Adds what was charged to an answer. An inner service that names the same headers is overruled.
pub(crate) fn charged(headers: &mut HeaderMap, receipt: &Receipt) {
    let amounts =
        [(header::BALANCE, receipt.balance), (header::SPENT, receipt.spent), (header::COST, receipt.cost)];
    for (name, amount) in amounts {
        headers.insert(HeaderName::from_static(name), HeaderValue::from(amount.get()));
    }
}

/// Lets the answer leave whose charge is on disk: what can't be claimed does not.
pub(super) fn leave(
    service: &AmpService,
    pricing: &Pricing,
    mut response: Response<Body>,
    outcome: Result<Receipt, Denial>,
) -> Response<Body> {
    match outcome {
        Ok(receipt) => {
            charged(response.headers_mut(), &receipt);
            response
        }
        Err(denial) => denied(service, pricing, &denial),
    }
}

fn set(headers: &mut HeaderMap, name: &'static str, value: impl Display) {
    // only a network name that is no header text can fail here
    if let Ok(value) = HeaderValue::from_str(&value.to_string()) {
        headers.insert(HeaderName::from_static(name), value);
    }
}
