//! The whole on-chain protocol twice: a plain model of it, and the real bytecode, done the same random
//! sequences of operations to, honest and hostile, and held against each other after every step.
//!
//! [`model`] is the protocol, [`operation`] what people do, [`resolve`] what that means in a given state,
//! [`trial`] runs both sides, [`search`] looks for differences and shortens what it finds. What was found is kept
//! in `regressions/`, and every run begins with it.
//!
//! The model is written from `docs/protocol.md` alone. Of `amp_protocol` it uses names (the rejections) and bytes
//! (messages, instructions, accounts), never `rules`: the program runs those, and what is wrong in them must show.
//! Where the two disagree, one of page, program and model is wrong, and that is to be found out, not smoothed over.
//!
//! Not held against each other here: events, compute units, clocks that go backwards (no cluster's does).
#![allow(
    clippy::expect_used,
    clippy::arithmetic_side_effects,
    reason = "test code: a panic is a finding, and overflows do panic"
)]

pub mod cast;
pub mod generate;
pub mod model;
pub mod operation;
pub mod place;
pub mod regressions;
pub mod resolve;
pub mod search;
mod sequence;
mod shrink;
pub mod soak;
pub mod tally;
pub mod transaction;
pub mod trial;

pub use sequence::Sequence;
