//! Routes that are metered.

use std::convert::Infallible;
use std::sync::atomic::Ordering;
use std::time::Duration;

use amp_protocol::json::PricingMode;
use amp_protocol::money::Amount;
use amp_protocol::rate::{Per, Rate};
use amp_sdk::server::{Meter, ServiceConfig};
use axum::body::{Body, Bytes};
use axum::extract::{Extension, Path, Request, State};
use axum::middleware::Next;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Router, http};
use futures::stream::{self, StreamExt as _};
use http_body_util::BodyExt as _;
use tokio::time::sleep;

use crate::shop::Counter;
use crate::{BYTES, SECOND_PRICE, TOKEN_PRICE};

/// What they cost.
pub(crate) fn price(config: ServiceConfig) -> ServiceConfig {
    let bytes = Rate { amount: Amount::new(1), per: Per::new(BYTES).expect("some") };
    config
        .metered_route("/stream/bytes", PricingMode::PerByte, bytes)
        .metered_route("/stream/clock", PricingMode::PerSecond, Rate::each(Amount::new(SECOND_PRICE)))
        .metered_route("/stream/tokens", PricingMode::PerCompute, Rate::each(Amount::new(TOKEN_PRICE)))
}

pub(crate) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/bytes/{count}", get(bytes))
        .route("/clock", get(clock))
        .route("/tokens/{count}", get(tokens))
}

/// So many bytes, in pieces.
async fn bytes(Path(count): Path<usize>) -> Body {
    const PIECE: usize = 16 * 1024;
    let pieces = (0..count).step_by(PIECE).map(move |at| Bytes::from(vec![b'x'; PIECE.min(count - at)]));
    Body::from_stream(stream::iter(pieces.map(Ok::<_, Infallible>)))
}

/// A tick every fifth of a second, for ever.
async fn clock() -> Body {
    let ticks = stream::unfold((), async |()| {
        sleep(Duration::from_millis(200)).await;
        Some((Ok::<_, Infallible>(Bytes::from_static(b"tick")), ()))
    });
    Body::from_stream(ticks)
}

/// So many tokens, as a model has them: each is reported before it is sent.
async fn tokens(Path(count): Path<u64>, Extension(meter): Extension<Meter>) -> impl IntoResponse {
    let tokens = stream::unfold(0, move |n| {
        let meter = meter.clone();
        async move {
            (n < count && meter.spend(1).await.is_ok())
                .then_some((Event::default().data(format!("token {n}")), n + 1))
        }
    });
    Sse::new(tokens.map(Ok::<_, Infallible>))
}

/// What has left of one answer.
struct Left {
    bytes: u64,
    counter: Counter,
}

impl Left {
    fn count(&mut self, bytes: u64) {
        self.bytes += bytes;
    }
}

impl Drop for Left {
    fn drop(&mut self) {
        self.counter.left_bytes.fetch_add(self.bytes, Ordering::SeqCst);
        self.counter.left_cost.fetch_add(self.bytes.div_ceil(BYTES), Ordering::SeqCst);
    }
}

/// Counts what leaves of answers that are metered by the byte.
pub(crate) async fn count_bytes(State(counter): State<Counter>, request: Request, next: Next) -> Response {
    let is_metered = request.uri().path().starts_with("/stream/bytes");
    let response = next.run(request).await;
    if !is_metered || response.status() != http::StatusCode::OK {
        return response;
    }
    let mut left = Left { bytes: 0, counter };
    response.map(|body| {
        Body::new(body.map_frame(move |frame| {
            left.count(frame.data_ref().map_or(0, |data| data.len() as u64));
            frame
        }))
    })
}
