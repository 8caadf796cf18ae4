//! Collecting what is owed: deciding is pure ([`plan`]), sending is thin ([`transaction`]), success
//! is what the chain has booked ([`settler`]), and one task does it all in order ([`worker`]).

mod plan;
mod settler;
mod transaction;
mod worker;

pub use settler::Settled;
pub(crate) use worker::WorkerHandle;
