//! A market for end-to-end tests: an embedded chain with the real `amp.so`, a mint, agents with the
//! real client, and a service behind the real layer on a loopback port.
//!
//! Whatever a test does, [`Market::end`] holds the money against what the handlers served: it must be
//! called, and a market that is dropped without it fails its test. Helpers panic: they are test code.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::arithmetic_side_effects, missing_docs)]

mod acts;
mod agent;
mod calls;
mod market;
mod money;
mod raw;
mod shop;
mod streams;

pub use acts::Opening;
pub use agent::Agent;
pub use calls::{Calls, MarketClient, Order, PAGE_PRICE, Trick};
pub use market::{Market, MarketBuilder};
pub use money::Money;
pub use raw::Answer;

/// Base units of a call to `/quote`.
pub const PRICE: u64 = 250;
/// Base units of a call to `/v1/chat`.
pub const CHAT_PRICE: u64 = 700;
/// Base units that an agent deposits: a hundred calls.
pub const DEPOSIT: u64 = 100 * PRICE;
/// How many bytes of `/stream/bytes` cost a base unit.
pub const BYTES: u64 = 1_000;
/// Base units of a second of `/stream/clock`.
pub const SECOND_PRICE: u64 = 40;
/// Base units of a token of `/stream/tokens`.
pub const TOKEN_PRICE: u64 = 3;
/// Seconds between settlements.
pub const INTERVAL: u32 = 3_600;
/// Seconds of close grace.
pub const GRACE: u32 = 3_600;

/// Waits for what another task does.
pub async fn eventually(what: &str, check: impl Fn() -> bool) {
    for _ in 0..400 {
        if check() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    panic!("never happened: {what}");
}
