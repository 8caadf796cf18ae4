//! Sockets as a client sees them, frame by frame: a real connection to an axum server, a fake chain, a real store.

#![allow(clippy::arithmetic_side_effects, reason = "an overflow fails the test, as it should")]

mod binding;
mod bounds;
mod conformance;
mod drops;
mod ending;
mod metering;
mod preparing;
mod recorded;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use amp_protocol::code::Code;
use amp_protocol::json::{
    CredentialBody, DiscoveryDocument, ErrorBody, PricingMode, RouteRate, SocketAck, SocketBinary,
    SocketBind, SocketControl, SocketEnd, SocketError, SocketPaid,
};
use amp_protocol::money::Amount;
use amp_protocol::rate::{Per, Rate};
use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::routing::any;
use futures::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::{AmpWebSocket, Message, PaidSocket, SocketLimits};
use crate::server::testing::{Bench, CHANNEL};
use crate::server::{AmpService, ServiceConfig};

const CALL: u64 = 10;
const SECOND: u64 = 5;
/// 3 base units for every 4 bytes.
const BYTE: Rate = Rate { amount: Amount::new(3), per: Per::new(4).unwrap() };
const UNIT: u64 = 2;

/// What handlers delivered, as they saw it.
#[derive(Default)]
struct Seen {
    /// Messages that were taken.
    taken: AtomicU64,
    /// Messages that were sent.
    sent: AtomicU64,
    /// Bytes of both.
    bytes: AtomicU64,
    /// Handlers that have returned.
    returned: AtomicU64,
}

impl Seen {
    fn note(counter: &AtomicU64, by: u64) {
        counter.fetch_add(by, Ordering::SeqCst);
    }

    fn get(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::SeqCst)
    }

    async fn send(&self, socket: &PaidSocket, message: impl Into<Message>) -> bool {
        let message = message.into();
        let size = message.size();
        let sent = socket.send(message).await.is_ok();
        if sent {
            Self::note(&self.sent, 1);
            Self::note(&self.bytes, size);
        }
        sent
    }

    async fn recv(&self, socket: &mut PaidSocket) -> Option<Message> {
        let message = socket.recv().await?;
        Self::note(&self.taken, 1);
        Self::note(&self.bytes, message.size());
        Some(message)
    }
}

/// Answers every message with itself.
async fn echo(seen: Arc<Seen>, mut socket: PaidSocket) {
    while let Some(message) = seen.recv(&mut socket).await {
        match message {
            Message::Text(text) if text == "panic" => panic!("told to"),
            Message::Text(text) if text == "return" => break,
            message => {
                if !seen.send(&socket, message).await {
                    break;
                }
            }
        }
    }
}

/// Does as much work as a message says, and answers how much that was.
async fn work(seen: Arc<Seen>, mut socket: PaidSocket) {
    while let Some(Message::Text(units)) = seen.recv(&mut socket).await {
        let meter = socket.meter().unwrap().clone();
        if meter.spend(units.parse().unwrap()).await.is_err() {
            break;
        }
        seen.send(&socket, format!("{units} done")).await;
    }
}

/// Sends as fast as it can.
async fn flood(seen: Arc<Seen>, socket: PaidSocket) {
    while seen.send(&socket, vec![7; 1_000]).await {}
}

/// Sends a tick every 20 ms.
async fn ticks(seen: Arc<Seen>, socket: PaidSocket) {
    while seen.send(&socket, "tick").await {
        sleep(Duration::from_millis(20)).await;
    }
}

struct Stage {
    bench: Bench,
    service: AmpService,
    seen: Arc<Seen>,
    address: std::net::SocketAddr,
}

/// A client that writes frames.
struct Peer(WebSocketStream<TcpStream>);

/// How a socket ended, as the client was told.
#[derive(Debug)]
struct Ended {
    end: Result<SocketEnd, SocketError>,
    code: u16,
}

impl Ended {
    fn error(&self) -> &SocketError {
        match &self.end {
            Ok(end) => end.error.as_ref().expect("an error"),
            Err(error) => error,
        }
    }

    fn amp(&self) -> &ErrorBody {
        match self.error() {
            SocketError::Amp(body) => body,
            SocketError::Other(trouble) => panic!("{trouble:?}"),
        }
    }

    fn other(&self) -> &str {
        match self.error() {
            SocketError::Amp(body) => panic!("{body:?}"),
            SocketError::Other(trouble) => &trouble.error,
        }
    }

    /// What it cost, where it ended in good order.
    fn cost(&self) -> u64 {
        let end = self.end.as_ref().unwrap();
        assert_eq!((end.error.as_ref(), self.code), (None, 1000));
        end.cost.get()
    }
}

impl Stage {
    async fn new() -> Self {
        Self::with(|config| config, SocketLimits::default()).await
    }

    async fn with(change: impl FnOnce(ServiceConfig) -> ServiceConfig, limits: SocketLimits) -> Self {
        Self::over(Bench::new(), change, limits).await
    }

    async fn over(
        bench: Bench,
        change: impl FnOnce(ServiceConfig) -> ServiceConfig,
        limits: SocketLimits,
    ) -> Self {
        let mut pricing = bench.config().price_list().table().clone();
        for (route, mode, rate) in [
            ("/echo", PricingMode::PerCall, Rate::each(Amount::new(CALL))),
            ("/ticks", PricingMode::PerSecond, Rate::each(Amount::new(SECOND))),
            ("/bytes", PricingMode::PerByte, BYTE),
            ("/flood", PricingMode::PerByte, BYTE),
            ("/work", PricingMode::PerCompute, Rate::each(Amount::new(UNIT))),
            ("/free", PricingMode::PerCall, Rate::each(Amount::ZERO)),
        ] {
            pricing.routes.insert(route.to_owned(), RouteRate::metered(mode, rate));
        }
        let config = bench.config().pricing(pricing).stream_wait(Duration::from_millis(700));
        let service = bench.service_with(change(config)).await;
        let (paid, seen) = (AmpWebSocket::new(service.clone()).limits(limits), Arc::new(Seen::default()));
        let mut router = Router::new();
        for route in ["/echo", "/bytes", "/free", "/work", "/flood", "/ticks"] {
            let (paid, seen) = (paid.clone(), seen.clone());
            let handler = move |upgrade: WebSocketUpgrade| async move {
                paid.on_upgrade(upgrade, route, move |socket| async move {
                    let returned = seen.clone();
                    match route {
                        "/work" => work(seen, socket).await,
                        "/flood" => flood(seen, socket).await,
                        "/ticks" => ticks(seen, socket).await,
                        _ => echo(seen, socket).await,
                    }
                    Seen::note(&returned.returned, 1);
                })
            };
            router = router.route(route, any(handler));
        }
        Self { seen, ..Self::serving(bench, service, router).await }
    }

    /// These routes at a port of their own.
    async fn serving(bench: Bench, service: AmpService, router: Router) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { bench, service, seen: Arc::default(), address }
    }

    /// A connection that has read the discovery object.
    async fn connect(&self, route: &str) -> Peer {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (socket, _) = client_async(format!("ws://{}{route}", self.address), stream).await.unwrap();
        let mut peer = Peer(socket);
        let document = DiscoveryDocument::parse(peer.text().await.as_bytes()).unwrap();
        assert_eq!(document, self.service.discovery());
        peer
    }

    /// One that pays with this seq.
    async fn open(&self, route: &str, seq: u64) -> (Peer, SocketAck) {
        let mut peer = self.connect(route).await;
        peer.bind(&self.bench.credential(seq).await).await;
        let SocketControl::Ack(ack) = peer.control().await else { panic!("no ack") };
        (peer, ack)
    }

    /// What the service says that was spent, once nothing is in flight.
    async fn spent(&self) -> u64 {
        if let Some(book) = self.service.core.books.of(CHANNEL).pop() {
            book.drained(Duration::from_secs(10)).await;
            assert_eq!(book.ledger().in_flight(), 0);
        }
        self.service.channel_status(&self.bench.credential(0).await).await.unwrap().spent.get()
    }

    async fn paid(&self, seq: u64, payload: Option<&str>) -> Frame {
        let CredentialBody { seq, sig, .. } = self.bench.credential(seq).await;
        let paid = SocketPaid { amp_seq: seq, amp_sig: sig, payload: payload.map(str::to_owned) };
        Frame::text(serde_json::to_string(&paid).unwrap())
    }

    async fn binary(&self, seq: u64, payload: &[u8]) -> Frame {
        let CredentialBody { seq, sig, .. } = self.bench.credential(seq).await;
        Frame::binary(SocketBinary { seq, sig: sig.0, payload }.to_bytes())
    }

    async fn returned(&self) {
        for _ in 0..200 {
            if Seen::get(&self.seen.returned) > 0 {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
        panic!("the handler has not returned");
    }
}

impl Peer {
    async fn frame(&mut self) -> Option<Frame> {
        loop {
            let frame = timeout(Duration::from_secs(10), self.0.next()).await.expect("a frame in time")?;
            match frame {
                Ok(Frame::Ping(_) | Frame::Pong(_)) => {}
                Ok(frame) => return Some(frame),
                Err(_) => return None,
            }
        }
    }

    async fn text(&mut self) -> String {
        match self.frame().await {
            Some(Frame::Text(text)) => text.to_string(),
            other => panic!("{other:?} is no text"),
        }
    }

    async fn control(&mut self) -> SocketControl {
        let text = self.text().await;
        SocketControl::parse(&text).unwrap().unwrap_or_else(|| panic!("{text}"))
    }

    async fn send(&mut self, frame: Frame) {
        self.0.send(frame).await.unwrap();
    }

    async fn bind(&mut self, credential: &CredentialBody) {
        let bind = SocketBind::from(*credential);
        self.send(Frame::text(serde_json::to_string(&bind).unwrap())).await;
    }

    async fn close(&mut self) {
        self.send(Frame::text(amp_protocol::json::SocketFrame::CLOSE)).await;
    }

    /// Reads to the end; what else came is thrown away.
    async fn end(&mut self) -> Ended {
        let mut end = None;
        loop {
            match self.frame().await {
                Some(Frame::Text(text)) => match SocketControl::parse(&text) {
                    Ok(Some(SocketControl::End { amp_end })) => end = Some(Ok(amp_end)),
                    Ok(Some(SocketControl::Refused { amp_error })) => end = Some(Err(amp_error)),
                    _ => {}
                },
                Some(Frame::Close(close)) => {
                    let code = close.expect("a close code").code.into();
                    return Ended { end: end.expect("an end before the close"), code };
                }
                Some(_) => {}
                None => panic!("the connection broke off, after {end:?}"),
            }
        }
    }
}
