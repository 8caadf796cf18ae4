//! Sockets that are paid for: what is signed for stays a little ahead of what was sent and received.
//!
//! ```no_run
//! # async fn feed(client: amp_sdk::client::Client) -> Result<(), Box<dyn std::error::Error>> {
//! let mut socket = client.connect("wss://api.example/feed").await?;
//! socket.send("subscribe SOL/USDC").await?;
//! while let Some(message) = socket.recv().await? {
//!     println!("{message:?}");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A task of its own carries a socket: it signs for what the service asks for, within the budget, and answers its
//! pings, whether or not the agent reads. What it has seen bounds what the service may say that it cost.

mod account;
mod connect;
mod open;
mod socket;
mod task;

pub use crate::websocket::Message;
pub use socket::{PaidSocket, SocketReceipt};
