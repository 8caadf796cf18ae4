//! Collecting what is owed: each signer owes its own part ([`claim`]), deciding is pure ([`plan`]), and so is
//! what goes into one transaction ([`pack`]); sending is thin ([`transaction`]), success is what the chain
//! has booked ([`settler`]).
//!
//! The [`watch`] reads all channels, many at once, and finds those that are worth a look. A look ([`visit`])
//! reads, and finds those that are due. Those are visited, several at once ([`joint`]), each a [`part`] of the
//! visit. The [`worker`] begins all of it, each a [`task`], in the order of their [`lane`], and waits for none.

mod chain;
mod claim;
mod handle;
mod joint;
mod lane;
mod noted;
mod observed;
mod pack;
mod part;
mod plan;
mod settler;
mod task;
mod transaction;
mod visit;
mod watch;
mod worker;

pub use chain::{Chained, ChainingError, SubChannel};
pub(crate) use handle::{Noticing, Why, WorkerHandle};
pub(crate) use noted::Noted;
pub use visit::Settled;
#[cfg(test)]
pub(crate) use {joint::settle_together, plan::Urgency};
