//! An API that knows nothing of AMP.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use futures::{StreamExt as _, stream};
use http_body::Frame;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// What the API saw.
#[derive(Clone, Default)]
pub(crate) struct Seen {
    pub(crate) requests: Arc<AtomicU64>,
    pub(crate) messages: Arc<AtomicU64>,
    /// Lets streams go on.
    pub(crate) gate: Arc<Notify>,
    /// Pieces of a body that is still being sent.
    pub(crate) pieces: Arc<AtomicU64>,
    /// Endless answers that somebody stopped.
    pub(crate) floods_ended: Arc<AtomicU64>,
}

pub(crate) struct Api {
    pub(crate) address: SocketAddr,
    pub(crate) seen: Seen,
    serving: JoinHandle<()>,
}

/// Bytes of `/bytes`.
pub(crate) const BYTES: usize = 100_000;

impl Api {
    pub(crate) async fn start() -> Self {
        let seen = Seen::default();
        let app = Router::new()
            .route("/quote", any(|| async { "42" }))
            .route("/echo", any(echo))
            .route("/fail", get(|| async { (StatusCode::INTERNAL_SERVER_ERROR, "failed") }))
            .route("/missing", get(|| async { (StatusCode::NOT_FOUND, "no such thing") }))
            .route("/slow", get(slow))
            .route("/bytes", get(|| async { vec![7_u8; BYTES] }))
            .route("/units", get(|| async { ([("amp-units", "5")], "five units") }))
            .route("/forged", get(|| async { ([("amp-cost", "999"), ("amp_spent", "1")], "forged") }))
            .route("/events", get(events))
            .route("/breaks", get(breaks))
            .route("/upload", post(upload))
            .route("/flood", get(flood))
            .route("/trailers", get(trailers))
            .route("/ws", any(socket))
            .route("/free/echo", any(echo))
            .route("/free/collect", post(collect))
            .route("/free/ws", any(socket))
            .layer(axum::middleware::from_fn_with_state(seen.clone(), count))
            .with_state(seen.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { address, seen, serving }
    }

    pub(crate) fn requests(&self) -> u64 {
        self.seen.requests.load(Ordering::SeqCst)
    }

    /// Nobody listens any more.
    pub(crate) async fn go_down(&mut self) {
        self.serving.abort();
        let _ = (&mut self.serving).await;
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn count(
    State(seen): State<Seen>,
    request: axum::extract::Request,
    next: axum::middleware::Next,
) -> Response {
    seen.requests.fetch_add(1, Ordering::SeqCst);
    next.run(request).await
}

/// What arrived: the path, the headers, the body.
async fn echo(uri: Uri, headers: HeaderMap, body: Bytes) -> Json<BTreeMap<String, String>> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut said: BTreeMap<String, String> =
        headers.iter().map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect();
    said.insert("(uri)".into(), uri.to_string());
    said.insert("(body)".into(), text(&body));
    Json(said)
}

async fn slow() -> &'static str {
    tokio::time::sleep(Duration::from_secs(5)).await;
    "late"
}

/// The first event at once, the second when the gate opens.
async fn events(State(seen): State<Seen>) -> impl IntoResponse {
    let pieces = stream::iter(["first", "second"]).then(move |text| {
        let seen = seen.clone();
        async move {
            if text == "second" {
                seen.gate.notified().await;
            }
            Ok::<_, Infallible>(Event::default().data(text))
        }
    });
    Sse::new(pieces)
}

/// A body that breaks off in the middle.
async fn breaks() -> Body {
    let pieces = stream::iter([Ok(Bytes::from_static(b"half")), Err(std::io::Error::other("broken"))]);
    // the first half has left before
    let pieces = pieces.then(async |piece| {
        tokio::time::sleep(Duration::from_millis(100)).await;
        piece
    });
    Body::from_stream(pieces.boxed())
}

/// As much as anybody takes.
async fn flood(State(seen): State<Seen>) -> Body {
    struct Ended(Seen);
    impl Drop for Ended {
        fn drop(&mut self) {
            self.0.floods_ended.fetch_add(1, Ordering::SeqCst);
        }
    }
    let piece = Bytes::from(vec![7; 100_000]);
    Body::from_stream(
        stream::repeat((piece, Arc::new(Ended(seen)))).map(|(piece, _)| Ok::<_, Infallible>(piece)),
    )
}

/// A body, and then headers.
struct Trailing(std::collections::VecDeque<Frame<Bytes>>);

impl http_body::Body for Trailing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(Ok))
    }
}

async fn trailers() -> impl IntoResponse {
    let mut last = HeaderMap::new();
    for (name, value) in [("x-sum", "7"), ("amp-cost", "999"), ("amp_spent", "1")] {
        last.insert(name, value.parse().unwrap());
    }
    let frames = [Frame::data(Bytes::from_static(b"body")), Frame::trailers(last)];
    ([("trailer", "x-sum, amp-cost, amp_spent")], Body::new(Trailing(frames.into())))
}

/// The trailers that arrived.
async fn collect(mut body: Body) -> Json<BTreeMap<String, String>> {
    let mut said = BTreeMap::new();
    while let Some(frame) = poll_fn(|context| http_body::Body::poll_frame(Pin::new(&mut body), context)).await
    {
        let Ok(trailers) = frame.unwrap().into_trailers() else { continue };
        said.extend(
            trailers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())),
        );
    }
    Json(said)
}

/// Counts pieces as they come.
async fn upload(State(seen): State<Seen>, body: Body) -> String {
    let mut pieces = body.into_data_stream();
    let mut bytes = 0;
    while let Some(Ok(piece)) = pieces.next().await {
        seen.pieces.fetch_add(1, Ordering::SeqCst);
        bytes += piece.len();
    }
    bytes.to_string()
}

/// Answers each message with itself, and `who` with who pays.
async fn socket(State(seen): State<Seen>, headers: HeaderMap, upgrade: WebSocketUpgrade) -> Response {
    let payer =
        headers.get("amp-payer").map_or("nobody".to_owned(), |payer| payer.to_str().unwrap().to_owned());
    upgrade.on_upgrade(move |mut socket: WebSocket| async move {
        while let Some(Ok(message)) = socket.recv().await {
            let answer = match &message {
                Message::Text(text) if text.as_str() == "who" => Message::text(payer.clone()),
                Message::Text(_) | Message::Binary(_) => message,
                _ => continue,
            };
            seen.messages.fetch_add(1, Ordering::SeqCst);
            if socket.send(answer).await.is_err() {
                return;
            }
        }
    })
}
