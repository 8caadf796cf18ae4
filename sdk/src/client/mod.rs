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
//! | channels | [`Client::prepare`], [`Client::top_up`], [`Client::status`], [`Client::channels`] |
//! | the end | [`Client::close`], [`Client::close_all`] |
//!
//! **What a service can take.** At most what was signed for: `seq * unit_price`. The client signs no
//! further than what the service has acknowledged, plus the prices of the calls in flight, plus the
//! policy's prepay. A call that got lost leaves one unit of exposure. A service that says it charged
//! more than the sum of the prices gets no further credential ([`ClientError::Overcharged`]).
//!
//! **What survives a crash.** The store has each seq before it is sent and each opening before its
//! transaction is: a new client over the same store goes on with the same channels.

mod body;
mod close;
mod config;
mod discovery;
mod error;
mod http;
mod ledger;
mod open;
mod pay;
mod policy;
mod recover;
mod response;
mod retry;
mod service;
mod status;
mod store;
#[cfg(test)]
mod tests;
mod ticket;
mod top_up;

pub use close::CloseOutcome;
pub use config::ClientBuilder;
pub use error::{ClientError, DiscoveryFailure, ProofFailure};
pub use http::Client;
pub use ledger::{Ledger, LedgerError, Overcharge};
pub use policy::{Policy, PolicyError};
pub use response::{Payment, Response};
pub use store::{ChannelRecord, ChannelState};
pub use ticket::Ticket;
