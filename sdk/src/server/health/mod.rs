//! Whether a service works, for whoever restarts it and whoever sends it requests.
//!
//! A service that is not **live** is to be restarted: nothing is settled any more. One that is not
//! **ready** is to be left alone until it is: what it was sent it would refuse, or could not collect.

mod examination;
mod limits;
mod report;
#[cfg(test)]
mod tests;
mod vitals;

pub(crate) use limits::HealthLimits;
pub use report::{Finding, Health, Reason, Verdict};
pub(crate) use vitals::Vitals;
