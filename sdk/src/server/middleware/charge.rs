use http::StatusCode;

use crate::server::config::ChargeOn;

/// Whether an answer with this status is paid for.
pub(super) fn is_charged(charge_on: ChargeOn, status: StatusCode) -> bool {
    match charge_on {
        ChargeOn::Success => status.as_u16() < 400,
        ChargeOn::Always => true,
    }
}
