use amp_sdk::server::NotKept;
use axum::body::Body;
use axum::response::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use serde_json::json;

/// An answer that is not paid for, whatever its route says: the API's failure.
#[derive(Debug)]
pub(crate) struct NotCharged(pub(crate) Box<Response>);

/// Why there is no answer of the API's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// It can't be connected to, or broke off.
    Unreachable,
    /// It took too long.
    TooLate,
    /// The client's: its request did not come whole in time, and the API waited for the rest.
    Unfinished,
    /// The client's: it broke its request off.
    BrokenOff,
}

impl Failure {
    pub(super) fn response(self) -> Response {
        let (status, error, message) = match self {
            Self::Unreachable => (
                StatusCode::BAD_GATEWAY,
                "UPSTREAM_UNREACHABLE",
                "the API does not answer; nothing was charged",
            ),
            Self::TooLate => (
                StatusCode::GATEWAY_TIMEOUT,
                "UPSTREAM_TIMEOUT",
                "the API did not answer in time; nothing was charged",
            ),
            // no word of what it costs: that is the route's to say
            Self::Unfinished => (
                StatusCode::REQUEST_TIMEOUT,
                "REQUEST_TIMEOUT",
                "the request did not come whole in time, and the API did not answer before",
            ),
            Self::BrokenOff => (StatusCode::BAD_REQUEST, "REQUEST_BROKEN", "the request's body broke off"),
        };
        let mut response = plain(status, error, message);
        // what the client did not send is told to it once, and not for ever under its key
        if matches!(self, Self::Unfinished | Self::BrokenOff) {
            response.extensions_mut().insert(NotKept);
        }
        response
    }
}

/// A failure of the gateway's own, in the shape of the protocol's.
pub(crate) fn plain(status: StatusCode, error: &str, message: &str) -> Response {
    let mut response = Response::new(Body::from(json!({"error": error, "message": message}).to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
