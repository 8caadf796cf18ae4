//! Whether a service that is killed at any instant can claim all that it served, charges nothing twice, and
//! takes no seq twice.
//!
//! The service is a process of its own over its SQLite store, with the SDK's RPC client to a node that outlives
//! it. Clients pay it over HTTP on many channels, and write down what they saw. It is killed with SIGKILL
//! at random instants, also while it starts, and begins again over the same file. In the end all is settled,
//! and the chain is held against the clients' books.
//!
//! One of the channels is paid from by a delegate; two are closed by their clients and others opened, all the time; of
//! two, streams are read that are paid by the byte.
//! Or there are two processes on one PostgreSQL database, behind a client that goes to each in turn: one of them
//! is killed, and now and then the database crashes.
//!
//! What SIGKILL can't show is what the disk had not written yet: that is the store's own contract, and tested
//! in the SDK on a disk that forgets.
#![allow(clippy::arithmetic_side_effects)]

mod book;
mod forgetful;
mod market;
mod mortal;
mod payer;
pub mod service;
mod streamer;
mod trial;
mod victim;

pub use book::{Book, Violation};
pub use trial::{Books, Report, Trial};

/// Base units of a call.
pub const PRICE: u64 = 10;
