//! A client against a service, end to end.
#![allow(clippy::arithmetic_side_effects, reason = "an overflow fails the test, as it should")]

mod drops;
mod lies;
mod modes;
