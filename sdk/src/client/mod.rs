//! An agent that pays: it discovers a service, opens a channel once, and pays each request with a
//! signature, within the limits it was given.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use amp_sdk::{chain::Chain, client::{Client, ClientError}, signer::KeypairSigner};
//! # use amp_sdk::protocol::money::Amount;
//! # async fn agent(chain: Arc<dyn Chain>, usdc: solana_address::Address) -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::builder()
//!     .funder(KeypairSigner::from_file("agent.json")?)
//!     .chain(chain)
//!     .allow_mint(usdc)
//!     .max_price_per_call(Amount::new(1_000))
//!     .build()
//!     .await?;
//! let answer = client.get("https://api.example/v1/quote").await?;
//! println!("{:?}", answer.payment());
//! println!("{}", answer.text().await?);
//! client.close("https://api.example").await?;
//! # Ok(())
//! # }
//! ```
//!
//! | what | where |
//! | --- | --- |
//! | limits | [`Policy`]; nothing is signed, opened or topped up outside it |
//! | requests | [`Client::get`], [`Client::post`], [`Client::execute`]; [`Client::authorize`] for other transports |
//! | gRPC | `Client::grpc` (feature `grpc`) |
//! | WebSockets | `Client::connect` (feature `ws`) |
//! | MCP tools | `Client::mcp` (feature `mcp`) |
//! | channels | [`Client::quote`], [`Client::prepare`], [`Client::top_up`], [`Client::status`], [`Client::channels`] |
//! | the end | [`Client::close`], [`Client::close_all`]; by address, without the service: [`Client::request_close`], [`Client::close_by_address`] |
//! | after a lost store | [`Client::recover`] |
//! | money that services chained on | [`Client::chained_channels`], [`Client::reclaim`] |
//! | other keys that spend | [`Client::delegate`], [`Client::revoke_delegate`], [`Client::delegations`], [`Client::close_delegation`] |
//! | spending as such a key | [`ClientBuilder::delegate`], [`Client::use_channel`] |
//!
//! **Delegation.** A funder lets another key spend from its open channel, up to a limit and for a time.
//! That key's client needs neither tokens nor lamports: it signs, and asks the funder for the rest.
//!
//! ```no_run
//! # use std::{sync::Arc, time::Duration};
//! # use amp_sdk::{chain::Chain, client::{Client, Expiry}, signer::{KeypairSigner, Signer as _}};
//! # use amp_sdk::protocol::money::Amount;
//! # async fn both(funder: Client, chain: Arc<dyn Chain>, usdc: solana_address::Address) -> Result<(), Box<dyn std::error::Error>> {
//! let service = "https://api.example";
//! // the funder, for the agent's public key: at most 50,000 base units, for a day
//! let agent_key = KeypairSigner::from_file("agent.json")?;
//! let expiry = Expiry::after(Duration::from_secs(86_400));
//! let delegation = funder.delegate(service, &agent_key.public_key(), Amount::new(50_000), expiry).await?;
//!
//! // the agent, wherever it runs: told the channel's address once
//! let agent = Client::builder().delegate(agent_key).chain(chain).allow_mint(usdc).build().await?;
//! agent.use_channel(service, delegation.channel).await?;
//! let answer = agent.get("https://api.example/v1/quote").await?;
//! # Ok(())
//! # }
//! ```
//!
//! **What a service can take.** At most what was signed for: `seq * unit_price`. The client signs no
//! further than what the service has acknowledged, plus the prices of the calls in flight, plus the
//! policy's prepay. A call that got lost leaves one unit of exposure. A service that says it charged
//! more than the sum of the prices gets no further credential ([`ClientError::Overcharged`]).
//!
//! **What survives a crash.** The store has each seq before it is sent and each opening before its
//! transaction is: a new client over the same store goes on with the same channels.

mod body;
mod call;
mod close;
mod close_all;
mod cluster;
mod config;
mod delegate;
mod delegated;
mod discovery;
mod error;
mod events;
#[cfg(feature = "grpc")]
pub mod grpc;
mod http;
#[cfg(feature = "mcp")]
mod keeping_up;
mod ledger;
#[cfg(feature = "mcp")]
pub mod mcp;
mod open;
mod operation;
mod pay;
mod policy;
mod quote;
mod reclaim;
mod recover;
mod response;
mod retry;
mod service;
mod status;
mod store;
mod streaming;
mod tab;
#[cfg(test)]
mod tests;
mod ticket;
mod top_up;
#[cfg(feature = "ws")]
mod websocket;

pub use close::CloseOutcome;
pub use config::ClientBuilder;
pub use delegate::{DelegationRecord, Expiry};
pub use delegated::Undelegated;
pub use discovery::service_origin;
pub use error::{ClientError, DiscoveryFailure, Elsewhere, ProofFailure};
pub use http::Client;
pub use ledger::{Ledger, LedgerError, Overcharge};
pub use policy::{Policy, PolicyError};
pub use quote::Quote;
pub use reclaim::Reclaimed;
pub use response::{Payment, Response};
pub use store::{ChannelRecord, ChannelState, HeldDelegation};
pub use tab::Tab;
pub use ticket::Ticket;
#[cfg(feature = "ws")]
pub use websocket::{Message, PaidSocket, SocketReceipt};
