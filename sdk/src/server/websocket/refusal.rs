use amp_protocol::json::{Pricing, SocketError, SocketFrameError, SocketTrouble};
use http::StatusCode;

use crate::server::denial::Denial;

/// A denial as it travels. With a 402 goes the price, as with every other transport's.
pub(super) fn of_denial(denial: &Denial, pricing: &Pricing) -> SocketError {
    match denial {
        Denial::Refused(body) => {
            let mut body = body.clone();
            if body.error.http_status() == StatusCode::PAYMENT_REQUIRED {
                body.amp_pricing = Some(pricing.clone());
            }
            SocketError::Amp(body)
        }
        Denial::Unavailable { message, .. } => trouble(denial, (*message).to_owned()),
        Denial::Name(refused) => trouble(denial, refused.to_string()),
    }
}

/// What has none of the nine codes.
fn trouble(denial: &Denial, message: String) -> SocketError {
    let (error, retry_after) = (denial.name().to_owned(), denial.retry_after());
    SocketError::Other(SocketTrouble { error, message, retry_after })
}

/// What a frame of the client's is refused with.
pub(super) fn of_frame(error: SocketFrameError) -> Denial {
    Denial::new(error.code(), None, error.to_string())
}
