//! Sells prices of a pair: while somebody listens, and by the second.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use amp_sdk::chain::Chain;
use amp_sdk::protocol::json::PricingMode;
use amp_sdk::protocol::money::Amount;
use amp_sdk::protocol::rate::Rate;
use amp_sdk::server::{AmpLayer, AmpService, AmpWebSocket, Message, PaidSocket, ServiceConfig, SqliteStore};
use amp_sdk::signer::KeypairSigner;
use axum::Router;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::response::Response;
use axum::routing::{any, get};
use solana_address::Address;
use tokio::time::interval;

/// Starts the service, at 20 base units a second; returns where it is.
pub(crate) async fn start(
    key: KeypairSigner,
    mint: Address,
    chain: Arc<dyn Chain>,
    folder: &Path,
) -> anyhow::Result<(AmpService, String)> {
    let price = Amount::new(20);
    let config = ServiceConfig::new(Arc::new(key), mint, price);
    let config = config.metered_route("/prices", PricingMode::PerSecond, Rate::each(price));
    let service = AmpService::start(config, chain, SqliteStore::open(folder.join("service.db"))?).await?;
    let app = Router::new()
        .route("/pairs", get(|| async { "SOL/USDC" }))
        .layer(AmpLayer::new(service.clone()))
        .route("/prices", any(prices).with_state(AmpWebSocket::new(service.clone())));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok((service, format!("ws://{address}/prices")))
}

async fn prices(State(paid): State<AmpWebSocket>, upgrade: WebSocketUpgrade) -> Response {
    paid.on_upgrade(upgrade, "/prices", |mut socket: PaidSocket| async move {
        let Some(Message::Text(pair)) = socket.recv().await else { return };
        let mut ticks = interval(Duration::from_millis(100));
        for price in 15_000_u32.. {
            tokio::select! {
                _ = ticks.tick() => {}
                message = socket.recv() => if message.is_none() { break },
            }
            let quote = serde_json::json!({ "pair": pair, "cents": price });
            if socket.send(quote.to_string()).await.is_err() {
                break;
            }
        }
    })
}
