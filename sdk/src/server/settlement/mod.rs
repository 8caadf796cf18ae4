//! Collecting what is owed: each signer owes its own part ([`claim`]), deciding is pure ([`plan`]),
//! sending is thin ([`transaction`]), success is what the chain has booked ([`settler`]). A [`visit`] does
//! it for one channel; the [`worker`] begins visits, in the order of their [`lane`], and waits for none.

mod chain;
mod claim;
mod handle;
mod lane;
mod noted;
mod observed;
mod plan;
mod settler;
mod transaction;
mod visit;
mod worker;

pub use chain::{Chained, ChainingError, SubChannel};
pub(crate) use handle::{Why, WorkerHandle};
pub(crate) use noted::Noted;
pub use visit::Settled;
