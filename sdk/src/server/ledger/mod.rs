//! What a service knows of a channel, as pure state: no I/O, no clock, no lock.
//!
//! A credential is admitted (its price reserved), its request served, what was used charged, and the
//! charge committed to the store. Only what is committed is claimed on chain or signed for.

mod account;
mod admit;
mod meter;
#[cfg(test)]
mod model_tests;
mod replay;

pub use account::SignerRecord;
pub(crate) use account::{ChannelLedger, SignerId};
pub(crate) use admit::{Refusal, Remedy, Request, Reservation};
pub use replay::ReplayWindow;
