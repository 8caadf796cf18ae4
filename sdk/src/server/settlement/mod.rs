//! Collecting what is owed: each signer owes its own part ([`claim`]), deciding is pure ([`plan`]),
//! sending is thin ([`transaction`]), success is what the chain has booked ([`settler`]), and one task
//! does it all in order ([`worker`]).

mod chain;
mod claim;
mod plan;
mod settler;
mod transaction;
mod worker;

pub use chain::{Chained, ChainingError, SubChannel};
pub use settler::Settled;
pub(crate) use worker::WorkerHandle;
