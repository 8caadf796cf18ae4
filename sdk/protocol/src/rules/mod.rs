//! The program's rules as pure functions of state, input and time. The program runs these and no
//! others; the SDK runs the same ones to know beforehand what the program will say.

mod chain;
mod close;
mod delegation;
mod rate;
mod settlement;
mod terms;

pub use chain::chained_depth;
pub use close::{Close, Closer, closable_from, close};
pub use delegation::Delegation;
pub use rate::RateWindow;
pub use settlement::{Books, Settlement, SignerBooks, settle, settleable_from};
pub use terms::{MAX_CHAIN_DEPTH, MAX_CLOSE_GRACE, MAX_SETTLE_INTERVAL, MIN_SETTLE_INTERVAL, Terms};
