//! The program's accounts: layout and invariants.

mod access;
mod channel;
mod delegation;

pub use access::{read, read_mut, write_new};
pub use channel::Channel;
pub use delegation::Delegation;
