//! WebSockets. A priced one speaks AMP's frames with the client and plain ones with the API: each message that passes
//! is counted by the engine. A free one is the API's own, byte for byte.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use amp_protocol::json::PricingMode;
use amp_sdk::server::{AmpService, AmpWebSocket, Message, PaidSocket, Payment, SocketLimits};
use axum::extract::ConnectInfo;
use axum::extract::FromRequestParts as _;
use axum::extract::ws::WebSocketUpgrade;
use axum::response::{IntoResponse as _, Response};
use futures::{SinkExt as _, StreamExt as _};
use http::request::Parts;
use http::{HeaderMap, Request, StatusCode};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message as Frame};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config};

use crate::proxy::{Proxy, plain, tls};

type Theirs = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Sockets that are paid for.
#[derive(Clone)]
pub(crate) struct Sockets {
    service: AmpService,
    proxy: Proxy,
    tls: Arc<rustls::ClientConfig>,
    max_message: usize,
}

impl Sockets {
    pub(crate) fn new(service: AmpService, proxy: Proxy, max_message: usize) -> std::io::Result<Self> {
        Ok(Self { service, proxy, tls: tls()?, max_message })
    }

    /// Opens a socket whose path is priced by `mode`.
    pub(crate) async fn open(&self, mut parts: Parts, mode: PricingMode) -> Response {
        if mode == PricingMode::PerCompute {
            let message = "this path is priced by the unit, which an API can't report on a WebSocket";
            return plain(StatusCode::NOT_IMPLEMENTED, "NOT_METERED", message);
        }
        let path = parts.uri.path().to_owned();
        // a socket is priced by the path as it is: other spellings of it have no socket
        if path.contains('%') || path.contains("//") || path.contains("/.") {
            let message = "this path can be read in several ways; send it in its plain form";
            return plain(StatusCode::BAD_REQUEST, "AMBIGUOUS_PATH", message);
        }
        let upgrade = match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
            Ok(upgrade) => upgrade,
            Err(refused) => return refused.into_response(),
        };
        let mut service = self.service.clone();
        if let Some(ConnectInfo(peer)) = parts.extensions.get::<ConnectInfo<SocketAddr>>() {
            service = service.for_peer(self.proxy.peer(&parts.headers, peer.ip()));
        }
        let limits = SocketLimits { max_message: self.max_message, ..SocketLimits::default() };
        let sockets = self.clone();
        // the API is told who pays, and nothing is charged before it has taken the socket
        let connect = move |payment: Option<Payment>| async move {
            sockets.connect(payment.as_ref(), &parts).await.map_err(|error| {
                tracing::warn!(%error, path = parts.uri.path(), "the API takes no WebSocket");
                "the API takes no WebSocket here, or not now; nothing was charged".to_owned()
            })
        };
        AmpWebSocket::new(service).limits(limits).on_upgrade_after(upgrade, &path, connect, pass)
    }

    async fn connect(&self, payment: Option<&Payment>, parts: &Parts) -> Result<Theirs, Error> {
        let secure = self.proxy.settings().url.scheme_str() == Some("https");
        let target = self.proxy.target(&parts.uri, Some(if secure { "wss" } else { "ws" }));
        let mut request = target.unwrap_or_default().into_client_request()?;
        let mut asked = Request::from_parts(parts.clone(), ());
        self.proxy.prepare(&mut asked, payment);
        let handshake = std::mem::take(request.headers_mut());
        *request.headers_mut() = without_handshake(asked.headers().clone());
        request.headers_mut().extend(handshake);
        let config = WebSocketConfig::default()
            .max_message_size(Some(self.max_message))
            .max_frame_size(Some(self.max_message));
        let connector = Some(Connector::Rustls(self.tls.clone()));
        let connecting = connect_async_tls_with_config(request, Some(config), true, connector);
        match timeout(self.proxy.settings().answer_timeout, connecting).await {
            Ok(connected) => connected.map(|(theirs, _)| theirs),
            Err(_) => Err(Error::ConnectionClosed),
        }
    }
}

/// The handshake with the API is the gateway's own.
fn without_handshake(mut headers: HeaderMap) -> HeaderMap {
    let names: Vec<_> =
        headers.keys().filter(|name| name.as_str().starts_with("sec-websocket-")).cloned().collect();
    for name in names {
        headers.remove(name);
    }
    headers
}

/// How long a side may take to end in good order.
const GOODBYE: Duration = Duration::from_secs(5);

/// Passes messages until either side ends. A slow side holds up the other: nothing is gathered here.
async fn pass(mut socket: PaidSocket, theirs: Theirs) {
    let (mut to_api, mut from_api) = theirs.split();
    let to_client = socket.sender();
    let there = async {
        while let Some(message) = socket.recv().await {
            let frame = match message {
                Message::Text(text) => Frame::text(text),
                Message::Binary(bytes) => Frame::binary(bytes),
            };
            if to_api.send(frame).await.is_err() {
                break;
            }
        }
        let _ = timeout(GOODBYE, to_api.close()).await;
    };
    let back = async {
        while let Some(Ok(frame)) = from_api.next().await {
            let message = match frame {
                Frame::Text(text) => Message::text(text.as_str()),
                Frame::Binary(bytes) => Message::Binary(bytes.to_vec()),
                Frame::Close(_) => break,
                Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_) => continue,
            };
            if let Err(error) = to_client.send(message).await {
                tracing::debug!(%error, "a message of the API's was not sent");
                break;
            }
        }
    };
    // what the API still sends after the client has ended is not paid for
    tokio::select! {
        () = there => {}
        () = back => {}
    }
}
