//! gRPC calls that are paid for, unary ones and streams.
//!
//! ```no_run
//! use amp_sdk::client::Client;
//! use amp_sdk::client::grpc::PaidChannel;
//! use tonic::transport::Channel;
//!
//! # async fn agent(client: Client) -> Result<(), Box<dyn std::error::Error>> {
//! let url = "http://files.example:50051";
//! let connection = Channel::from_static("http://files.example:50051").connect().await?;
//! let paid: PaidChannel = client.grpc(url, connection)?;
//! // hand it to the client that tonic generated: `FilesClient::new(paid)`
//! # drop(paid);
//! client.close(url).await?;
//! # Ok(())
//! # }
//! ```
//!
//! Before the first call the service is asked for its prices by `amp.v1.Payments/Discovery`, since many gRPC servers
//! serve nothing else; one that does not know that method is called without paying. A stream is signed for a little
//! ahead of what has come of it, within the policy's budget for one call, by `amp.v1.Payments/Raise` on the same
//! connection.
//!
//! A refusal that has no remedy is the call's [`Status`](tonic::Status), with the service's own code and metadata
//! ([`crate::grpc::error_body`]); what this side finds out or refuses is a status whose source is a
//! [`ClientError`](crate::client::ClientError).
//!
//! Operations on the channel (`status`, `close`, `recover`) ask over gRPC once [`Client::grpc`](super::Client::grpc)
//! has told the connection: tell it again after a restart, before closing.

mod answer;
mod carry;
mod channel;
mod operations;
mod repeat;

pub use channel::PaidChannel;
pub(super) use operations::{ask, discover};
