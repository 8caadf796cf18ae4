//! Everything over real HTTP: one file per subject, see `amp_e2e_tests::Market`.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::arithmetic_side_effects, missing_docs)]

mod chaining;
mod closing;
mod codes;
mod codes_closed;
mod delegates;
mod delegating;
mod grpc;
mod grpc_python;
mod hostile;
mod life;
mod limits;
mod many;
mod payout;
mod pinned;
mod prices;
mod restarts;
mod settling_by_hand;
mod streams;
mod unanswered;
