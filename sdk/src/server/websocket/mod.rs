//! Sockets that are paid for: by the message, by the second, by the byte, or by what a handler reports.
//!
//! ```no_run
//! use amp_sdk::server::{AmpLayer, AmpService, AmpWebSocket, PaidSocket};
//! use axum::Router;
//! use axum::extract::State;
//! use axum::extract::ws::WebSocketUpgrade;
//! use axum::response::Response;
//! use axum::routing::{any, get};
//!
//! async fn feed(State(paid): State<AmpWebSocket>, upgrade: WebSocketUpgrade) -> Response {
//!     // the route as it is priced: not what the client asked for, which has many spellings
//!     paid.on_upgrade(upgrade, "/feed", |mut socket: PaidSocket| async move {
//!         while let Some(message) = socket.recv().await {
//!             if socket.send(message).await.is_err() {
//!                 break;
//!             }
//!         }
//!     })
//! }
//!
//! # fn app(service: AmpService) -> Router {
//! Router::new()
//!     .route("/quote", get(|| async { "42" }))
//!     .layer(AmpLayer::new(service.clone()))
//!     // after the layer: the first message pays, not the request that opens the socket
//!     .route("/feed", any(feed))
//!     .with_state(AmpWebSocket::new(service))
//! # }
//! ```
//!
//! A task for each socket runs the handler beside what reads, pings and counts. Nothing is handed to the
//! connection, or to the handler, that is not paid for and on disk; what was, is counted at that moment, under
//! the lock that says whether the connection still takes it. So what is charged is what was delivered, whichever
//! side goes away, and whenever.
//!
//! The frames are in docs/transports/websocket.md.

mod bind;
mod clock;
mod limits;
mod liveness;
mod read;
mod refusal;
mod session;
mod socket;
#[cfg(test)]
mod tests;
mod till;
mod upgrade;
mod wire;

pub use crate::websocket::Message;
pub use limits::SocketLimits;
pub use socket::{PaidSender, PaidSocket, SocketClosed};
pub use upgrade::AmpWebSocket;
