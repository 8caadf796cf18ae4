//! Connections of clients: how many there may be, and how long one is kept that nothing comes of.
//!
//! | bound | what is beyond it |
//! | --- | --- |
//! | all connections | waits in the listen backlog: a burst is served later, and not refused |
//! | those of one address | is closed: it must not take the places of others |
//! | time without a request | ends: whoever sends a head byte by byte, keeps quiet from the beginning, or is done |
//! | time in which a client takes nothing of what is sent | ends; of HTTP/2's streams that one alone |
//! | requests at once on a connection | waits with its client (HTTP/2) |
//!
//! axum's own server has none of these; this one is hyper-util's, with the same graceful end.

mod busy;
mod client;
mod counted;
mod places;
mod streams;

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tower::Service as _;

use busy::{Busy, Patience};
use client::Client;
use counted::Counted;
use places::{Place, Places};
use streams::Streams;

/// How often an HTTP/2 client is asked whether it is there, and how long it may take to say so.
const PING: Duration = Duration::from_secs(20);

/// Requests at once on a connection of HTTP/2. Each may hold a connection to the API, so that a client's share is this
/// often its share of connections.
const STREAMS: u32 = 32;

/// How long a connection that ends for it was idle may take to do that in good order.
const GOODBYE: Duration = Duration::from_secs(5);

/// How long no connection is taken when none can be: the process has as many files open as it may, most likely.
const NONE_CAN_BE_TAKEN: Duration = Duration::from_secs(1);

/// What clients may take of the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Connections at once, WebSockets among them.
    pub(crate) connections: usize,
    /// Those of one address, or of one network of 64 bits.
    pub(crate) per_address: usize,
    /// Whom that does not hold for: they stand before many.
    pub(crate) trusted_proxies: Vec<IpAddr>,
    /// Until a whole head has come: from the connection's beginning, or from where it began to come.
    pub(crate) head_timeout: Duration,
    /// From the end of an answer until the next head begins to come.
    pub(crate) keep_alive: Duration,
    /// While the client takes nothing of what is sent to it.
    pub(crate) idle_timeout: Duration,
}

/// Serves until `stop` is done, and returns when no connection is left. Those that became another protocol's are
/// nobody's then, and go on. All others end when this is dropped.
pub(crate) async fn serve(
    listener: TcpListener,
    app: Router,
    limits: Limits,
    stop: impl Future<Output = ()>,
) {
    let places = Places::new(&limits);
    let (stopping, stopped) = watch::channel(());
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        let taken = async {
            // before a connection is taken: until there is a place, clients wait where they hold nothing of ours
            let free = places.free().await;
            let (stream, peer) = accept(&listener).await;
            (places.seat(free, peer.ip()), stream, peer)
        };
        let (place, stream, peer) = tokio::select! {
            biased;
            () = &mut stop => break,
            taken = taken => taken,
        };
        let Some(place) = place else { continue };
        let connection =
            Connection { app: app.clone(), peer, limits: limits.clone(), stopped: stopped.clone() };
        connections.spawn(connection.serve(stream, place));
        // of those that have ended nothing is kept
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    let _ = stopping.send(());
    while connections.join_next().await.is_some() {}
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            // that one's own: the next may be fine
            Err(error) if matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) => {
            }
            Err(error) => {
                tracing::error!(%error, "no connection can be taken");
                sleep(NONE_CAN_BE_TAKEN).await;
            }
        }
    }
}

struct Connection {
    app: Router,
    peer: SocketAddr,
    limits: Limits,
    stopped: watch::Receiver<()>,
}

impl Connection {
    async fn serve(self, stream: TcpStream, place: Place) {
        let Self { app, peer, limits, mut stopped } = self;
        let busy = Arc::new(Busy::default());
        let stream = Client::new(stream, limits.idle_timeout, busy.clone(), place);
        let requests = busy.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let under_way = requests.begin(request.version());
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            let answering = app.clone().call(request);
            async move {
                let answer = answering.await?;
                Ok::<_, Infallible>(answer.map(|body| Counted::new(body, under_way)))
            }
        });
        let mut http = Builder::new(Streams { idle: limits.idle_timeout });
        http.http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING)
            .max_concurrent_streams(STREAMS);
        // hyper's own timer for heads is not used: it runs while the end of an answer still leaves, and would cut that
        // off for a client that is slow but honest
        let mut connection = pin!(http.serve_connection_with_upgrades(TokioIo::new(stream), service));
        let patience = Patience { head: limits.head_timeout, next: limits.keep_alive };
        let (mut told, mut goodbye) = (false, Duration::ZERO);
        loop {
            tokio::select! {
                served = connection.as_mut() => {
                    if let Err(error) = served {
                        tracing::debug!(%peer, error, "a connection broke off");
                    }
                    return;
                }
                _ = stopped.changed(), if !told => told = true,
                () = busy.idle_for(patience, goodbye) => {
                    if !goodbye.is_zero() {
                        return tracing::debug!(%peer, "a connection was idle, and did not end by itself");
                    }
                    goodbye = GOODBYE;
                }
            }
            connection.as_mut().graceful_shutdown();
        }
    }
}
