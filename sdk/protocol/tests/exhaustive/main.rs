//! The small arithmetic, tried on every value of a small domain and on every combination of edges, and held
//! against formulations that count units and seconds one by one. Each test says how many states it tried.
#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects)]

mod ceiling;
mod chaining;
mod close;
mod delegation;
mod delegation_histories;
mod domain;
mod rate;
mod settlement;
