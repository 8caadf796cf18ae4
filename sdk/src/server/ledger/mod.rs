//! What a service knows of a channel, as pure state: no I/O, no clock, no lock.
//!
//! A credential is admitted (its price reserved), its request served, what was used charged, and the
//! charge committed to the store. Only what is committed is claimed on chain or signed for.

mod account;
mod admit;
#[cfg(test)]
mod admit_tests;
mod advance;
mod authority;
mod claims;
mod meter;
#[cfg(test)]
mod model_tests;
mod owing;
mod rate;
mod replay;
mod shared;
mod signers;
mod stake;

pub(crate) use account::ChannelLedger;
pub use account::SignerRecord;
pub(crate) use admit::{Limits, Refusal, Remedy, Request, Reservation};
pub(crate) use advance::{Advance, Halt};
pub(crate) use authority::{Authority, SignerId};
pub(crate) use meter::NotCharged;
pub use replay::ReplayWindow;
