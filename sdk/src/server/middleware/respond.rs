use std::fmt::Display;

use amp_protocol::json::{ErrorBody, Pricing};
use amp_protocol::text::{AMP_VERSION, header};
use axum::body::Body;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use serde::Serialize;

use crate::server::admission::Receipt;
use crate::server::denial::{Denial, NameRefused};
use crate::server::service::AmpService;

/// The body of a 503: not one of the nine codes, as nothing is wrong with the request.
#[derive(Serialize)]
struct Unavailable<'a> {
    error: &'static str,
    message: &'a str,
    retry_after: u64,
}

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
    let mut response = match denial {
        Denial::Refused(body) => refused(body),
        Denial::Unavailable { message, retry_after } => {
            let body = Unavailable { error: "UNAVAILABLE", message, retry_after: *retry_after };
            let mut response = json(StatusCode::SERVICE_UNAVAILABLE, &body);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(*retry_after));
            response
        }
        Denial::Name(refused) => name_refused(*refused),
    };
    if response.status() == StatusCode::PAYMENT_REQUIRED {
        offer(service, pricing, response.headers_mut());
    }
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn refused(body: &ErrorBody) -> Response<Body> {
    let status = StatusCode::from_u16(body.error.http_status()).unwrap_or(StatusCode::BAD_REQUEST);
    let mut response = json(status, body);
    if let Some(seconds) = body.retry_after {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn name_refused(refused: NameRefused) -> Response<Body> {
    let (status, error) = match refused {
        NameRefused::Malformed => (StatusCode::BAD_REQUEST, "IDEMPOTENCY_KEY_MALFORMED"),
        NameRefused::InProgress => (StatusCode::CONFLICT, "IDEMPOTENCY_IN_PROGRESS"),
        NameRefused::OtherQuestion => (StatusCode::UNPROCESSABLE_ENTITY, "IDEMPOTENCY_KEY_REUSED"),
        NameRefused::NotKept => (StatusCode::GONE, "IDEMPOTENCY_ANSWER_NOT_KEPT"),
    };
    let mut response = plain(status, error, &refused.to_string());
    if refused == NameRefused::InProgress {
        set(response.headers_mut(), RETRY_AFTER.as_str(), 1);
    }
    response
}

fn offer(service: &AmpService, pricing: &Pricing, headers: &mut HeaderMap) {
    let core = &service.core;
    set(headers, header::VERSION, AMP_VERSION);
    set(headers, header::PRICING, serde_json::to_string(pricing).unwrap_or_default());
    set(headers, header::RECIPIENT, core.recipient);
    set(headers, header::PROGRAM, core.config.program_id);
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

fn set(headers: &mut HeaderMap, name: &'static str, value: impl Display) {
    // only a network name that is no header text can fail here
    if let Ok(value) = HeaderValue::from_str(&value.to_string()) {
        headers.insert(HeaderName::from_static(name), value);
    }
}
