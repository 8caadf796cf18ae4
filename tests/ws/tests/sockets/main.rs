//! A client against a service, end to end.
#![allow(clippy::arithmetic_side_effects, clippy::unwrap_used, reason = "whatever fails, fails the test")]

mod drops;
mod lies;
mod modes;
mod tls;
