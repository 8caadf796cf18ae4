//! The `amp` command as a person and a script meet it: the real binary, a real axum service, and a node in front of
//! the embedded chain with the real bytecode. Each command is run for what it prints, for what it prints as JSON,
//! and for what it says when something is wrong.
#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, missing_docs)]

mod bench;
mod calling;
mod closing;
mod confirming;
mod decoding;
mod delegating;
mod doctoring;
// it runs every command
#[cfg(feature = "demo")]
mod guide;
mod offline;
mod opening;
mod receipts;
mod settling;
mod showing;
mod streaming;
mod town;
mod watching;
