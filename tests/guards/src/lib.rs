//! The guards of the on-chain program as a table (`table/*.toml`), and what is needed to prove it: for each
//! row, take the guard out of a copy of the sources, build the bytecode, and see the row's tests fail for the
//! row's reason.
//!
//! `cargo test -p amp-guards` holds the table against the sources, without building anything. The program
//! `amp-guards` proves it (`make guards`) and runs the mutation check (`make mutants`).

pub mod coverage;
pub mod named_test;
pub mod page;
pub mod sources;
pub mod table;

pub mod bench;
pub mod ledger;
pub mod mutant;
pub mod parallel;
pub mod prove;
pub mod suite;

use std::path::PathBuf;

/// The workspace's root.
pub fn workspace() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}
