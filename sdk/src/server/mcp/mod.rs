//! AMP over the Model Context Protocol: tools that are paid for by the call, by the second of their work, by the byte
//! of their result, or by what they report.
//!
//! A paid tool is an ordinary tool of an rmcp [`ServerHandler`](rmcp::ServerHandler), and its price is in the
//! service's configuration. [`PaidTools`] goes around the handler:
//!
//! ```no_run
//! use amp_sdk::protocol::money::Amount;
//! use amp_sdk::server::mcp::{PaidTools, stdio};
//! use amp_sdk::server::{AmpService, Payment, ServiceConfig, SqliteStore};
//! use rmcp::model::{CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock};
//! use rmcp::service::{RequestContext, RoleServer, ServiceExt as _};
//! use rmcp::{ErrorData, ServerHandler};
//! # use std::sync::Arc;
//! # use amp_sdk::{chain::Chain, signer::Signer};
//!
//! struct Forecast;
//!
//! impl ServerHandler for Forecast {
//!     async fn call_tool(
//!         &self,
//!         _: CallToolRequestParams,
//!         context: RequestContext<RoleServer>,
//!     ) -> Result<CallToolResponse, ErrorData> {
//!         // who pays, if anybody
//!         let payment = context.extensions.get::<Payment>();
//!         println!("{payment:?}");
//!         Ok(CallToolResult::success(vec![ContentBlock::text("sunny")]).into())
//!     }
//! }
//!
//! # async fn run(signer: Arc<dyn Signer>, mint: solana_address::Address, chain: Arc<dyn Chain>) -> Result<(), Box<dyn std::error::Error>> {
//! let config = ServiceConfig::new(signer, mint, Amount::ZERO).tool("forecast", Amount::new(250));
//! let service = AmpService::start(config, chain, SqliteStore::open("service.db")?).await?;
//! PaidTools::new(service, Forecast).serve(stdio()).await?.waiting().await?;
//! # Ok(())
//! # }
//! ```
//!
//! Over streamable HTTP it is made anew for each session, and [`AmpFields`] goes around rmcp's service
//! (examples/mcp is a whole server):
//!
//! ```ignore
//! let make = move || Ok(PaidTools::new(service.clone(), Forecast));
//! let tools = StreamableHttpService::new(make, sessions, StreamableHttpServerConfig::default());
//! let app = Router::new().route_service("/mcp", AmpFields::new(tools));
//! ```
//!
//! | piece | what it does |
//! | --- | --- |
//! | [`PaidTools`] | asks for a credential in `_meta.amp`, charges, and puts the receipt into `_meta.amp` of the result |
//! | [`stdio`], [`wire`], [`AmpFields`] | the same for clients that say `_amp` in `params` and look for it in the result |
//!
//! rmcp keeps what is in `_meta` and nothing else that it does not know, so `_amp` is moved where its bytes
//! come in and go out; without these pieces `_meta.amp` works all the same.
//!
//! The methods `amp/pricing`, `amp/credential`, `amp/channel` and `amp/close` are what HTTP has below
//! `/.well-known/amp`. docs/transports/mcp.md has the shapes.

mod call;
mod credential;
mod metered;
mod operations;
mod refusal;
#[cfg(test)]
mod tests;
mod tools;
mod wire;

pub use tools::PaidTools;
pub use wire::{AmpFields, AmpFieldsLayer, AmpReader, AmpWriter, stdio, wire};
