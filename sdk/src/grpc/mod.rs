//! What client and service share of AMP over gRPC: the messages of `proto/amp/v1/payments.proto`, and how a refusal
//! travels. `docs/transports/grpc.md` is the page of the binding.

mod convert;
mod refusal;
#[cfg(feature = "client")]
mod tally;

pub use convert::Unreadable;
#[cfg(feature = "client")]
pub(crate) use refusal::refusal_in;
#[cfg(any(feature = "client", feature = "server"))]
pub(crate) use refusal::status_in;
pub use refusal::{ERROR, error_body, status_code};
#[cfg(feature = "client")]
pub(crate) use tally::Tally;

/// The Rust of `proto/amp/v1/payments.proto`.
pub mod proto {
    include!("generated/amp.v1.rs");
}

/// Where the layer answers itself: all methods of `amp.v1.Payments`.
pub const PAYMENTS: &str = "/amp.v1.Payments/";
