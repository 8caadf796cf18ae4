//! A denial as a JSON-RPC error.

use amp_protocol::json::{ErrorBody, Pricing};
use rmcp::ErrorData;
use rmcp::model::ErrorCode;

use crate::server::denial::Denial;

/// Invalid params with the code as the message, and the body, prices included, as the data. What is wrong
/// with the service and not with the request is an internal error: it may be sent again as it is.
pub(super) fn refused(denial: &Denial, pricing: &Pricing) -> ErrorData {
    match denial {
        Denial::Refused(body) => {
            let body = ErrorBody { amp_pricing: Some(pricing.clone()), ..(**body).clone() };
            Denial::Refused(Box::new(body)).into()
        }
        denial => denial.clone().into(),
    }
}

/// For tools: the refusal that their [`Meter`](crate::server::Meter) gave them, as what they return.
impl From<Denial> for ErrorData {
    fn from(denial: Denial) -> Self {
        let code = match denial {
            Denial::Refused(_) | Denial::Name(_) => ErrorCode::INVALID_PARAMS,
            Denial::Unavailable { .. } => ErrorCode::INTERNAL_ERROR,
        };
        Self::new(code, denial.name(), serde_json::to_value(&denial).ok())
    }
}
