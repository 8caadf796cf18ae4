//! AMP over HTTP as a tower layer.
//!
//! It answers the discovery document and `/.well-known/amp/*` itself, lets free routes through, and
//! asks every other request for a credential: no credential, 402 with the price; a good one, the
//! inner service runs and its answer leaves once the charge is on disk.
//!
//! A handler that wants to know who pays takes the request's [`Payment`](super::Payment) extension; which of its answers
//! are paid for, [`ChargeOn`](super::ChargeOn). An error of the inner service is no answer: it is never charged.

mod charge;
mod credential;
mod endpoints;
mod layer;
mod metered;
mod peer;
mod repeat;
mod respond;
mod service;

pub use charge::NotKept;
pub use credential::from_headers as credential_from_headers;
pub use layer::AmpLayer;
#[cfg(feature = "grpc")]
pub(crate) use metered::begin as begin_metered;
#[cfg(any(feature = "grpc", feature = "mcp"))]
pub(crate) use peer::PeerRule;
#[cfg(feature = "grpc")]
pub(crate) use respond::charged as say_what_was_charged;
#[cfg(test)]
pub(crate) use respond::denied as response_of;
pub use service::AmpMiddleware;
#[cfg(any(feature = "grpc", feature = "mcp"))]
pub(crate) use service::take_ready;
