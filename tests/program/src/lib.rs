//! A world for bytecode tests: a chain, a mint, the people of a channel, and words for what they do.
//!
//! Helpers panic on failure: they are test code, and say what failed.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::arithmetic_side_effects, missing_docs)]

mod balances;
mod chaining;
mod channel;
mod delegation;
mod refusal;
mod world;

pub use balances::Balances;
pub use channel::{OpenedChannel, settleable, signed};
pub use delegation::Delegated;
pub use refusal::{assert_foreign, assert_refused, foreign};
pub use world::{DEPOSIT, FUNDER_TOKENS, GRACE, INTERVAL, TERMS, World, chain};
