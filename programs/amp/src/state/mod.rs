//! The program's accounts: layout and invariants.

mod channel;

pub use channel::Channel;
