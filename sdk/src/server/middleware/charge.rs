use http::StatusCode;

use crate::server::config::ChargeOn;

/// Among an answer's extensions: this answer is charged, but a repetition under its `Idempotency-Key` is a new
/// request. For answers that say nothing but that their own request failed, above all one that its client broke off:
/// kept, they would be all that the client ever gets under its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotKept;

/// Whether an answer with this status is paid for.
pub(super) fn is_charged(charge_on: ChargeOn, status: StatusCode) -> bool {
    match charge_on {
        ChargeOn::Success => status.as_u16() < 400,
        ChargeOn::Always => true,
    }
}
