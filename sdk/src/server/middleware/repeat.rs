//! `Idempotency-Key` over HTTP: what makes two requests the same, and an answer as it is kept.

use amp_protocol::text::header;
use axum::body::{Body, Bytes};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use serde::{Deserialize, Serialize};

use super::respond::charged;
use crate::server::admission::Receipt;
use crate::server::denial::{Denial, NameRefused};
use crate::server::once::Once;

const KEY: &str = "idempotency-key";
/// On an answer that was kept.
const REPLAYED: &str = "idempotent-replayed";
/// Headers that are about one answer on one connection.
const OF_ITS_CONNECTION: [&str; 8] =
    ["connection", "date", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"];
const LONGEST_KEY: usize = 255;

/// Whether the request has a name, good or not.
pub(super) fn is_named(request: &Request<Body>) -> bool {
    request.headers().contains_key(KEY)
}

/// The request's name, if it has one. Two requests are the same one with the same method and the same path and
/// query: the body may be a stream, and is not looked at.
pub(super) fn named(request: &Request<Body>) -> Result<Option<Once>, Denial> {
    let mut values = request.headers().get_all(KEY).iter();
    let Some(name) = values.next() else { return Ok(None) };
    let is_good = values.next().is_none() && (1..=LONGEST_KEY).contains(&name.len());
    if !is_good {
        return Err(Denial::Name(NameRefused::Malformed));
    }
    let path = request.uri().path_and_query().map_or("", |path| path.as_str());
    Ok(Some(Once::new(name.as_bytes(), &[request.method().as_str().as_bytes(), path.as_bytes()])))
}

/// An answer in the store.
#[derive(Serialize, Deserialize)]
struct Kept {
    status: u16,
    /// Names, and values in base64: they need not be text.
    headers: Vec<(String, String)>,
    /// In base64; none: it was too large.
    body: Option<String>,
}

/// The answer in its stored form; without its body where that is `None`.
pub(super) fn encode(status: StatusCode, headers: &HeaderMap, body: Option<&Bytes>) -> Vec<u8> {
    let kept = headers.iter().filter(|(name, _)| !OF_ITS_CONNECTION.contains(&name.as_str()));
    let headers = kept.map(|(name, value)| (name.to_string(), STANDARD.encode(value))).collect();
    let kept = Kept { status: status.as_u16(), headers, body: body.map(|body| STANDARD.encode(body)) };
    serde_json::to_vec(&kept).unwrap_or_default()
}

/// The answer that was kept, with what the books say now.
pub(super) fn replay(answer: &[u8], receipt: &Receipt) -> Result<Response<Body>, Denial> {
    let unreadable = || Denial::store(&"an answer that was kept can't be read");
    let kept: Kept = serde_json::from_slice(answer).map_err(|_| unreadable())?;
    let body = kept.body.ok_or(Denial::Name(NameRefused::NotKept))?;
    let body = STANDARD.decode(body).map_err(|_| unreadable())?;
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(kept.status).map_err(|_| unreadable())?;
    for (name, value) in kept.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unreadable())?;
        let value = STANDARD.decode(value).map_err(|_| unreadable())?;
        response.headers_mut().append(name, HeaderValue::from_bytes(&value).map_err(|_| unreadable())?);
    }
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    charged(response.headers_mut(), receipt);
    debug_assert!(response.headers().contains_key(header::COST));
    Ok(response)
}
