//! AMP in front of any HTTP API, which does not change: what `amp serve` runs.
//!
//! ```text
//! agent ──credential──▶ gateway ──AMP-Channel, AMP-Payer, AMP-Cost──▶ the API
//! ```
//!
//! [`Settings`] are read from a file and the command line, [`Gateway::start`] takes them up, [`Gateway::run`] serves
//! until it is told to stop, and settles then. The engine is the SDK's: [`AmpLayer`](amp_sdk::server::AmpLayer) and
//! [`AmpWebSocket`](amp_sdk::server::AmpWebSocket); here is what is before it (configuration, reloads) and behind it
//! (the proxy).
//!
//! What the API failed to answer is never charged: no answer, one that comes too late, a status of 500 or above.

mod config;
mod connections;
mod dry;
mod gateway;
mod operator;
mod proxy;
mod reload;
mod socket;
mod stop;

pub use config::{ConfigProblem, Overrides, Settings};
pub use dry::WouldCharge;
pub use gateway::{Gateway, GatewayError};
pub use stop::{Ended, stop_signal};
