//! The gateway between a real API and the real client: real sockets, the real bytecode on the embedded chain. Time
//! on the chain stands still until a test moves it.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::arithmetic_side_effects, missing_docs)]

mod api;
mod browser;
mod charging;
mod connections;
mod dry;
mod ending;
mod operator;
mod page;
mod passing;
mod reloading;
mod sockets;
mod stage;
mod trailers;
mod uploads;
