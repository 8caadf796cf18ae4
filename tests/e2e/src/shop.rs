//! A service that runs, on a runtime of its own: so it can be stopped, and crashed.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use amp_sdk::server::{AmpLayer, AmpService, Payment};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post};
use tokio::runtime::Runtime;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use crate::calls::{self, Tricks};
use crate::streams;

/// What the handlers saw, whatever the layer before them says.
#[derive(Clone, Default)]
pub(crate) struct Counter {
    /// Prices of all calls that were answered with success.
    pub(crate) served: Arc<AtomicU64>,
    /// Calls that wait at `/slow`.
    pub(crate) waiting: Arc<AtomicU64>,
    /// Calls that are not there any more, answered or not.
    pub(crate) left: Arc<AtomicU64>,
    /// Bytes of metered answers that were handed to the transport.
    pub(crate) left_bytes: Arc<AtomicU64>,
    /// What those cost, each answer by itself.
    pub(crate) left_cost: Arc<AtomicU64>,
    /// Lets them go.
    pub(crate) gate: Arc<Notify>,
}

pub(crate) struct Shop {
    pub(crate) service: AmpService,
    pub(crate) grpc_origin: String,
    pub(crate) tricks: Tricks,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
    runtime: Option<Runtime>,
}

impl Shop {
    /// Starts a service and serves it on `listener`.
    pub(crate) async fn open(
        listener: TcpListener,
        counter: Counter,
        start: impl Future<Output = AmpService> + Send + 'static,
    ) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let (stop, stopped) = oneshot::channel::<()>();
        // the settlement worker lives on the runtime that it is started on
        let service = runtime.spawn(start).await.expect("the service starts");
        let routes = router(counter.clone()).nest("/stream", streams::router());
        // outside of the layer: what is counted there has left it
        let app = routes
            .layer(AmpLayer::new(service.clone()))
            .layer(from_fn_with_state(counter, streams::count_bytes));
        let serving = runtime.spawn(async move {
            listener.set_nonblocking(true).expect("a listener");
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            let until = async { drop(stopped.await) };
            axum::serve(listener, app).with_graceful_shutdown(until).await.expect("served");
        });
        let (grpc, tricks) = (TcpListener::bind("127.0.0.1:0").expect("a free port"), Tricks::default());
        let grpc_origin = format!("http://{}", grpc.local_addr().expect("an address"));
        runtime.spawn(calls::serve(grpc, service.clone(), tricks.clone()));
        Self { service, grpc_origin, tricks, stop, serving, runtime: Some(runtime) }
    }

    /// Ends as a deployment ends it: answers what is under way, and finishes settlements.
    pub(crate) async fn stop(mut self) {
        let (stop, serving) = (std::mem::replace(&mut self.stop, oneshot::channel().0), &mut self.serving);
        stop.send(()).expect("it was serving");
        serving.await.expect("it served to the end");
        self.service.shutdown().await;
    }
}

/// As `kill -9` does: every task is gone where it stands.
impl Drop for Shop {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Counts even where the client went away and the handler was dropped.
struct Leaves(Arc<AtomicU64>);

impl Drop for Leaves {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn router(counter: Counter) -> Router {
    let slow = |State(counter): State<Counter>| async move {
        let _leaves = Leaves(counter.left.clone());
        let gone = counter.gate.notified();
        counter.waiting.fetch_add(1, Ordering::SeqCst);
        gone.await;
        "slow"
    };
    Router::new()
        .route("/quote", get(|| async { "42" }).post(|body: String| async { body }))
        .route("/v1/chat", post(|| async { "hello" }).get(|| async { "hello" }))
        .route("/health", get(|| async { "ok" }))
        .route("/slow", get(slow))
        .route("/fail", get(|| async { (StatusCode::INTERNAL_SERVER_ERROR, "failed") }))
        .route("/missing", get(|| async { (StatusCode::NOT_FOUND, "no such thing") }))
        .layer(from_fn_with_state(counter.clone(), count))
        .with_state(counter)
}

async fn count(State(counter): State<Counter>, request: Request, next: Next) -> Response {
    let is_metered = request.uri().path().starts_with("/stream/");
    let price = request.extensions().get::<Payment>().map_or(0, |payment| payment.price.get());
    let response = next.run(request).await;
    if response.status().as_u16() < 400 && !is_metered {
        counter.served.fetch_add(price, Ordering::SeqCst);
    }
    response
}
