//! AMP for agents and services: open a channel once, pay every request with a signature.
//!
//! | module | who needs it |
//! | --- | --- |
//! | [`client`] (feature `client`) | an agent: [`Client`](client::Client) discovers, opens, pays, tops up, closes |
//! | [`server`] (feature `server`) | a service: [`AmpLayer`](server::AmpLayer) for axum admits, meters, settles |
//! | [`chain`] | both: the [`Chain`](chain::Chain) trait, instructions, transactions |
//! | [`signer`], [`signed`] | both: who signs, and the signed messages |
//! | [`token`] | both: mints that have a name, amounts as people type them |
//!
//! What both sides and the program must agree on is `amp-protocol`, re-exported as [`protocol`].
#![forbid(unsafe_code)]

pub use amp_protocol as protocol;

pub mod chain;
#[cfg(feature = "client")]
pub mod client;
#[cfg(any(feature = "client", feature = "server"))]
pub mod durable;
#[cfg(feature = "grpc")]
pub mod grpc;
#[cfg(all(feature = "mcp", any(feature = "client", feature = "server")))]
mod mcp;
#[cfg(feature = "server")]
pub mod server;
pub mod signed;
pub mod signer;
pub mod token;
#[cfg(all(feature = "ws", any(feature = "client", feature = "server")))]
mod websocket;
