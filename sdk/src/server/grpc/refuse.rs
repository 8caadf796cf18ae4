//! A denial as a gRPC status.

use amp_protocol::code::Code;
use amp_protocol::json::{ErrorBody, Pricing};
use http::{HeaderMap, Response};
use tonic::body::Body;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code as StatusCode, Status};

use crate::grpc::{ERROR, status_code};
use crate::server::denial::Denial;

/// For handlers: the refusal that a [`Meter`](crate::server::Meter) gave them, as what they return.
impl From<Denial> for Status {
    fn from(denial: Denial) -> Self {
        status(&denial, None)
    }
}

/// The status of a denial. A client that has no channel, or too small a one, is told the price.
pub(super) fn status(denial: &Denial, pricing: Option<&Pricing>) -> Status {
    let body = match denial {
        Denial::Refused(body) if matches!(body.error, Code::NoChannel | Code::Underfunded) => {
            let amp_pricing = pricing.cloned().or_else(|| body.amp_pricing.clone());
            serde_json::to_vec(&ErrorBody { amp_pricing, ..(**body).clone() })
        }
        denial => serde_json::to_vec(denial),
    };
    let code = match denial {
        Denial::Refused(body) => status_code(body.error),
        // nothing is wrong with the request: it may be sent again as it is
        Denial::Unavailable { .. } => StatusCode::Unavailable,
        Denial::Name(_) => StatusCode::InvalidArgument,
    };
    let mut metadata = MetadataMap::new();
    metadata.insert_bin(ERROR, MetadataValue::from_bytes(&body.unwrap_or_default()));
    Status::with_metadata(code, denial.to_string(), metadata)
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
