//! A denial as a gRPC status.

use amp_protocol::code::Code;
use amp_protocol::json::{ErrorBody, Pricing};
use http::{HeaderMap, Response};
use serde::Serialize;
use tonic::body::Body;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code as StatusCode, Status};

use crate::grpc::{ERROR, status_code};
use crate::server::denial::Denial;

/// What is none of the nine codes: nothing is wrong with the request.
#[derive(Serialize)]
struct Unavailable<'a> {
    error: &'static str,
    message: &'a str,
    retry_after: u64,
}

/// For handlers: the refusal that a [`Meter`](crate::server::Meter) gave them, as what they return.
impl From<Denial> for Status {
    fn from(denial: Denial) -> Self {
        status(&denial, None)
    }
}

/// The status of a denial. A client that has no channel, or too small a one, is told the price.
pub(super) fn status(denial: &Denial, pricing: Option<&Pricing>) -> Status {
    match denial {
        Denial::Refused(body) => {
            let is_told = matches!(body.error, Code::NoChannel | Code::Underfunded);
            let pricing = pricing.filter(|_| is_told).cloned();
            let body = ErrorBody { amp_pricing: pricing.or(body.amp_pricing.clone()), ..(**body).clone() };
            with(status_code(body.error), format!("{}: {}", body.error, body.message), &body)
        }
        Denial::Unavailable { message, retry_after } => {
            let body = Unavailable { error: "UNAVAILABLE", message, retry_after: *retry_after };
            with(StatusCode::Unavailable, (*message).to_owned(), &body)
        }
        // names are HTTP's
        Denial::Name(refused) => Status::invalid_argument(refused.to_string()),
    }
}

fn with(code: StatusCode, message: String, body: &impl Serialize) -> Status {
    let mut metadata = MetadataMap::new();
    let bytes = serde_json::to_vec(body).unwrap_or_default();
    metadata.insert_bin(ERROR, MetadataValue::from_bytes(&bytes));
    Status::with_metadata(code, message, metadata)
}

/// The whole answer to a call that is not served.
pub(super) fn response(denial: &Denial, pricing: &Pricing) -> Response<Body> {
    status(denial, Some(pricing)).into_http()
}

/// How an answer ends that does not go on.
pub(super) fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    // only a message that is no header text could fail, and those are encoded
    let _ = status.add_header(&mut trailers);
    trailers
}

/// No credential at all.
pub(super) fn missing() -> Denial {
    let message = "payment required: open a channel to the recipient that amp.v1.Payments/Discovery names, and send amp-channel, amp-seq and amp-sig in the metadata of every call";
    Denial::new(Code::NoChannel, None, message)
}
