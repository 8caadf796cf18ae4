//! Collecting what is owed: each signer owes its own part ([`claim`]), deciding is pure ([`plan`]),
//! sending is thin ([`transaction`]), success is what the chain has booked ([`settler`]). A [`visit`] does
//! it for one channel; the [`worker`] begins visits, in the order of their [`lane`], and waits for none.

mod chain;
mod claim;
mod handle;
mod lane;
mod plan;
mod settler;
mod transaction;
mod visit;
mod worker;

pub use chain::{Chained, ChainingError, SubChannel};
pub(crate) use handle::{Noticing, Why, WorkerHandle};
pub use visit::Settled;
