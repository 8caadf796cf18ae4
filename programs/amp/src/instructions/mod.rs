//! One file an instruction: its accounts, its checks, its effect, in that order.

pub mod chain_channel;
pub mod close_channel;
pub mod close_delegation;
pub mod open_channel;
pub mod request_close;
pub mod revoke_delegate;
pub mod set_delegate;
pub mod settle;
pub mod top_up;

pub use chain_channel::*;
pub use close_channel::*;
pub use close_delegation::*;
pub use open_channel::*;
pub use request_close::*;
pub use revoke_delegate::*;
pub use set_delegate::*;
pub use settle::*;
pub use top_up::*;
