use amp_protocol::json::{Pricing, SocketError, SocketFault, SocketFrameError, SocketTrouble};
use http::StatusCode;

use crate::server::denial::Denial;

/// A denial as it travels. With a 402 goes the price, as with every other transport's.
pub(super) fn of_denial(denial: &Denial, pricing: &Pricing) -> SocketError {
    match denial {
        Denial::Refused(body) => {
            let mut body = (**body).clone();
            if body.error.http_status() == StatusCode::PAYMENT_REQUIRED {
                body.amp_pricing = Some(pricing.clone());
            }
            SocketError::Amp(body)
        }
        Denial::Unavailable { message, retry_after } => SocketError::Other(SocketTrouble {
            error: SocketFault::Unavailable.as_str().to_owned(),
            message: (*message).to_owned(),
            retry_after: Some(*retry_after),
        }),
        // messages have no names
        Denial::Name(refused) => SocketError::fault(SocketFault::Internal, refused.to_string()),
    }
}

/// What a frame of the client's is refused with.
pub(super) fn of_frame(error: SocketFrameError) -> Denial {
    Denial::new(error.code(), None, error.to_string())
}
