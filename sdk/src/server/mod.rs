//! The side that is paid: admit, meter, settle.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use amp_sdk::protocol::money::Amount;
//! use amp_sdk::server::{AmpLayer, AmpService, ServiceConfig, SqliteStore};
//! use axum::{Router, routing::get};
//! # use amp_sdk::{chain::Chain, signer::Signer};
//! # use solana_address::Address;
//!
//! # async fn run(signer: Arc<dyn Signer>, mint: Address, chain: Arc<dyn Chain>) -> Result<(), Box<dyn std::error::Error>> {
//! let config = ServiceConfig::new(signer, mint, Amount::new(100))
//!     .route("/health", Amount::ZERO)
//!     .min_deposit(Amount::new(10_000));
//! let service = AmpService::start(config, chain, SqliteStore::open("service.db")?).await?;
//! let app: Router = Router::new()
//!     .route("/quote", get(|| async { "42" }))
//!     .route("/health", get(|| async { "ok" }))
//!     .layer(AmpLayer::new(service.clone()));
//! // so that the layer knows who asks
//! let app = app.into_make_service_with_connect_info::<std::net::SocketAddr>();
//! // axum::serve(listener, app).await?;
//! service.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! | piece | what it does |
//! | --- | --- |
//! | [`ServiceConfig`] | prices, whom to serve, how long things may take |
//! | [`AmpService`] | the engine, for any transport: authorize, charge, status, close, settle |
//! | [`AmpService::chain`] | pays a supplier out of what a channel owes |
//! | [`AmpLayer`] | the engine in front of an HTTP service |
//! | [`AmpService::operations`] | metrics and health, for a port of the operator's |
//! | [`AmpService::overview`], [`AmpService::session`] | channels as their operator sees them |
//! | [`AmpService::reprice`] | new prices while it runs |
//! | [`Store`], [`SqliteStore`] | what must survive a crash, and in which order |
//! | [`SharedStore`], `PostgresStore` | the same for several processes behind a balancer (feature `postgres`) |
//! | `AmpWebSocket` | the engine behind WebSockets (feature `ws`) |
//! | [`AmpService::authorize_once`] | requests that must not be done twice |
//! | `mcp` | tools of the Model Context Protocol (feature `mcp`) |
//!
//! A settlement worker runs beside it: it collects what is owed before the funder can take it back,
//! and closes channels whose funder asked for a close statement and did not use it.
//!
//! Requests may be signed by delegates of a channel as well: whose key it was, the service finds out.
//! Each signer's spending, seqs and receipts are its own; the deposit and the rate window are shared.

mod admission;
mod bookkeeping;
mod books;
mod caretaker;
mod channels;
mod clock;
mod closing;
mod config;
mod delegates;
mod denial;
mod events;
mod finishing;
#[cfg(feature = "grpc")]
mod grpc;
mod health;
mod ledger;
#[cfg(feature = "mcp")]
pub mod mcp;
mod metering;
mod metrics;
mod middleware;
mod moment;
mod once;
mod operations;
mod outage;
mod peers;
mod policy;
mod prices;
mod readings;
mod service;
mod sessions;
mod settlement;
mod status;
mod store;
mod subscription;
mod taken_format;
#[cfg(test)]
mod testing;
#[cfg(test)]
pub(crate) mod tests;
mod turns;
mod verification;
mod views;
#[cfg(feature = "ws")]
mod websocket;

pub use admission::{Admission, Payment, Receipt};
pub use config::{ChargeOn, ConfigError, ServiceConfig};
pub use denial::{Denial, NameRefused};
pub use events::{MoneyEvent, MoneyKind};
#[cfg(feature = "grpc")]
pub use grpc::{AmpGrpcLayer, AmpGrpcMiddleware};
pub use health::{Finding, Health, Reason, Verdict};
pub use ledger::{ReplayWindow, SignerRecord};
pub use metering::{Meter, Need};
pub use middleware::{AmpLayer, AmpMiddleware, NotKept, credential_from_headers};
pub use once::{Authorized, Once};
pub use peers::network as peer_network;
pub use prices::{PriceList, Terms};
pub use readings::is_plain;
pub use service::{AmpService, StartError};
pub use sessions::{Overview, Session, SessionOnChain, SessionSigner, SessionState};
pub use settlement::{Chained, ChainingError, Settled, SubChannel};
#[cfg(feature = "postgres")]
pub use store::PostgresStore;
pub use store::{
    ALIVE_EVERY, AnswerId, AnswerKey, Change, DEAD_AFTER, Exchanged, Hold, Incarnation, KeptAnswer,
    SharedChannel, SharedStore, SqliteStore, Stamp, Store, StoreError, StoreIdentity, StoredChannel,
};
#[cfg(feature = "ws")]
pub use websocket::{AmpWebSocket, Message, PaidSender, PaidSocket, SocketClosed, SocketLimits};
