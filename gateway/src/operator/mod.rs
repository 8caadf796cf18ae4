//! What the operator sees, on the second port: a page, and the same as JSON under `/api`, for whoever has the token.
//!
//! | path | answers with |
//! | --- | --- |
//! | `GET /api/summary` | what is owed, at risk, closing; totals; whom and what it is about |
//! | `GET /api/sessions?state=&offset=&limit=` | channels |
//! | `GET /api/sessions/{channel}` | one of them, with its reconciliation, charges and transfers |
//! | `GET /api/charges?channel=&before=&limit=` | single charges, the newest first |
//! | `GET /api/charges/stream` | charges and transfers as they happen: server-sent events |
//! | `GET /api/transfers?channel=&before=&limit=` | settlements and chainings |
//! | `GET /api/analytics?period=hour\|day&from=&to=` | charged, calls and settled, by period |
//! | `GET /api/reconciliation?offset=&limit=` | per channel: whether it adds up, and which equation does not |
//! | `POST /api/receipts/verify` | whether a metering proof or close statement is this service's |
//!
//! Amounts are base units as decimal strings; `decimals` is in the summary.

mod api;
mod history;
mod page;
mod recall;
mod reconciliation;
mod sampling;
mod stream;
#[cfg(test)]
mod tests;
mod token;

use std::sync::Arc;

use amp_sdk::server::AmpService;
use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use solana_address::Address;

pub(crate) use history::History;
pub(crate) use sampling::{gather, sample};
pub(crate) use token::Token;

/// What the operator's endpoints are about.
#[derive(Clone)]
pub(crate) struct Operator(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) service: AmpService,
    pub(crate) history: History,
    pub(crate) token: Token,
    pub(crate) recipient: Address,
    pub(crate) mint: Address,
    pub(crate) decimals: u8,
    pub(crate) rpc: String,
}

impl Operator {
    pub(crate) fn new(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    pub(crate) fn token(&self) -> &str {
        self.0.token.as_str()
    }

    /// Metrics and health for everybody on the port, the rest for whoever has the token.
    pub(crate) fn router(&self) -> Router {
        let api = Router::new()
            .route("/api/summary", get(api::summary))
            .route("/api/sessions", get(api::sessions))
            .route("/api/sessions/{channel}", get(api::session))
            .route("/api/charges", get(api::charges))
            .route("/api/charges/stream", get(stream::charges))
            .route("/api/transfers", get(api::transfers))
            .route("/api/analytics", get(api::analytics))
            .route("/api/reconciliation", get(api::reconciliation))
            .route("/api/receipts/verify", post(api::verify))
            .route_layer(from_fn_with_state(self.0.token.clone(), token::check))
            .with_state(self.clone());
        self.0.service.operations().merge(api).merge(page::router())
    }
}
