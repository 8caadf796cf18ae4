//! What client and service share of AMP over gRPC: the messages of `proto/amp/v1/payments.proto`, and how a refusal
//! travels. `docs/transports/grpc.md` is the page of the binding.

mod convert;
mod refusal;

pub use convert::Unreadable;
pub use refusal::{ERROR, error_body, status_code};

/// The Rust of `proto/amp/v1/payments.proto`.
pub mod proto {
    include!("generated/amp.v1.rs");
}

/// Where the layer answers itself: all methods of `amp.v1.Payments`.
pub const PAYMENTS: &str = "/amp.v1.Payments/";
