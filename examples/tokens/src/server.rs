//! The side that is paid.

use std::net::SocketAddr;
use std::sync::Arc;

use amp_sdk::chain::Chain;
use amp_sdk::protocol::json::PricingMode;
use amp_sdk::protocol::money::Amount;
use amp_sdk::protocol::rate::Rate;
use amp_sdk::server::{AmpLayer, AmpService, Meter, ServiceConfig, SqliteStore};
use axum::extract::Extension;
use axum::response::IntoResponse;
use axum::response::sse::{Event, Sse};
use axum::{Router, routing::post};
use futures::stream::{self, StreamExt as _};

/// Base units of a token.
pub(crate) const PRICE: u64 = 7;

/// A model that says what it was told, backwards: a token for each word.
async fn complete(Extension(meter): Extension<Meter>, prompt: String) -> impl IntoResponse {
    let words: Vec<String> = prompt.split_whitespace().rev().map(str::to_owned).collect();
    let tokens = stream::iter(words).then(move |word| {
        let meter = meter.clone();
        // waits until the token is paid for: a model works for nobody who has not signed for it
        async move { meter.spend(1).await.map(|()| Event::default().data(word)) }
    });
    Sse::new(tokens.take_while(|token| std::future::ready(token.is_ok())))
}

/// Serves, and says where.
pub(crate) async fn serve(
    config: ServiceConfig,
    chain: Arc<dyn Chain>,
    store: SqliteStore,
) -> anyhow::Result<(String, AmpService)> {
    let price = Rate::each(Amount::new(PRICE));
    let config = config.metered_route("/complete", PricingMode::PerCompute, price);
    let service = AmpService::start(config, chain, store).await?;
    let app = Router::new().route("/complete", post(complete)).layer(AmpLayer::new(service.clone()));
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    let url = format!("http://{}/complete", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok((url, service))
}
