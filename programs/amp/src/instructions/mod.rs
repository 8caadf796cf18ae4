//! One file an instruction: its accounts, its checks, its effect, in that order.

pub mod close_channel;
pub mod open_channel;
pub mod request_close;
pub mod settle;
pub mod top_up;

pub use close_channel::*;
pub use open_channel::*;
pub use request_close::*;
pub use settle::*;
pub use top_up::*;
