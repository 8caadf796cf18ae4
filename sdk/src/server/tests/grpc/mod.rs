//! The service as a gRPC client sees it: tonic's server and tonic's client over a real socket, a fake chain, a real
//! store.

#![allow(clippy::arithmetic_side_effects, reason = "an overflow fails the test, as it should")]

mod conformance;
mod drops;
mod payments;
mod recorded;
mod refusals;
mod streams;
mod unary;

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use amp_protocol::json::{CredentialBody, PricingMode};
use amp_protocol::money::Amount;
use amp_protocol::rate::{Per, Rate};
use amp_protocol::text::header;
use futures::StreamExt as _;
use http::{Request as HttpRequest, Response as HttpResponse};
use tokio::sync::Notify;
use tonic::body::Body;
use tonic::metadata::MetadataMap;
use tonic::server::NamedService;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;
use tower::{Service, service_fn};

use crate::grpc::error_body;
use crate::server::testing::{Bench, CHANNEL};
use crate::server::{AmpGrpcLayer, AmpService, Meter, Payment, ServiceConfig};

/// Bytes of each message of a stream, as the handler sends it and as it is encoded.
const CONTENT: usize = 100;
const ENCODED: u64 = 102;

/// 10 a call; `PerByte` 3 for every 4 bytes, `PerSecond` 7, `PerCompute` 2.
fn prices(config: ServiceConfig) -> ServiceConfig {
    let per = Per::new(4).unwrap();
    let each = |amount| Rate::each(Amount::new(amount));
    config
        .route("/test.Test/Free", Amount::ZERO)
        .metered_route("/test.Test/PerByte", PricingMode::PerByte, Rate { amount: Amount::new(3), per })
        .metered_route("/test.Test/PerSecond", PricingMode::PerSecond, each(7))
        .metered_route("/test.Test/PerCompute", PricingMode::PerCompute, each(2))
        .stream_wait(Duration::from_millis(300))
}

/// What is served. A request is a number: of the messages that a stream has.
#[derive(Clone)]
struct Handlers {
    /// Lets `Slow` answer, and `Held` go on.
    gate: Arc<Notify>,
}

impl NamedService for Handlers {
    const NAME: &'static str = "test.Test";
}

impl Service<HttpRequest<Body>> for Handlers {
    type Response = HttpResponse<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: HttpRequest<Body>) -> Self::Future {
        let gate = self.gate.clone();
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(ProstCodec::<Vec<u8>, u64>::default());
            let method = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
            Ok(match &*method {
                "Quote" | "Free" | "Fail" | "Slow" => {
                    let handler = service_fn(move |request| one(method.clone(), gate.clone(), request));
                    grpc.unary(handler, request).await
                }
                _ => {
                    let handler = service_fn(move |request| many(method.clone(), gate.clone(), request));
                    grpc.server_streaming(handler, request).await
                }
            })
        })
    }
}

async fn one(method: String, gate: Arc<Notify>, request: Request<u64>) -> Result<Response<Vec<u8>>, Status> {
    let paid = request.extensions().get::<Payment>().copied();
    match &*method {
        "Fail" => return Err(Status::data_loss("the handler's own")),
        "Slow" => gate.notified().await,
        _ => {}
    }
    let paid = paid.map(|paid| format!("{} {} {}", paid.channel, paid.seq, paid.price)).unwrap_or_default();
    Ok(Response::new(paid.into_bytes()))
}

type Contents = Pin<Box<dyn futures::Stream<Item = Result<Vec<u8>, Status>> + Send>>;

/// So many messages as fast as they are taken; `Trickle` pauses between them, `Held` after the first, `Break` fails
/// in the end, and `PerCompute` reports as many units for each as it has messages before.
async fn many(
    method: String,
    gate: Arc<Notify>,
    request: Request<u64>,
) -> Result<Response<Contents>, Status> {
    let (meter, count) = (request.extensions().get::<Meter>().cloned(), *request.get_ref());
    let breaks = (method == "Break").then(|| Err(Status::data_loss("the handler's own")));
    let contents = futures::stream::iter(0..count).then(move |number| {
        let (meter, method, gate) = (meter.clone(), method.clone(), gate.clone());
        async move {
            match &*method {
                "Trickle" | "PerSecond" => tokio::time::sleep(Duration::from_millis(250)).await,
                "Held" if number == 1 => gate.notified().await,
                "PerCompute" => meter.ok_or(Status::internal("no meter"))?.spend(number).await?,
                _ => {}
            }
            Ok(vec![7; CONTENT])
        }
    });
    Ok(Response::new(Box::pin(contents.chain(futures::stream::iter(breaks)))))
}

/// A bench, its service behind a socket, and a connection to it.
struct Stage {
    bench: Bench,
    service: AmpService,
    channel: Channel,
    gate: Arc<Notify>,
}

impl Stage {
    async fn new() -> Self {
        Self::with(|config| config).await
    }

    async fn with(change: impl FnOnce(ServiceConfig) -> ServiceConfig) -> Self {
        let bench = Bench::new();
        let service = bench.service_with(change(prices(bench.config()))).await;
        let (channel, gate) = open(&service).await;
        Self { bench, service, channel, gate }
    }

    /// A call without a credential, or with any metadata.
    async fn unary(&self, method: &str, metadata: MetadataMap) -> Result<Response<Vec<u8>>, Status> {
        unary(&self.channel, method, metadata).await
    }

    /// A call that is paid with this seq.
    async fn call(&self, method: &str, seq: u64) -> Result<Response<Vec<u8>>, Status> {
        self.unary(method, signed(&self.bench.credential(seq).await)).await
    }

    /// A stream of `count` messages that is paid with this seq.
    async fn stream(&self, method: &str, seq: u64, count: u64) -> Result<Streaming<Vec<u8>>, Status> {
        let mut client = tonic::client::Grpc::new(self.channel.clone());
        client.ready().await.unwrap();
        let path = format!("/test.Test/{method}").parse().unwrap();
        let metadata = signed(&self.bench.credential(seq).await);
        let request = Request::from_parts(metadata, Default::default(), count);
        let codec = ProstCodec::<u64, Vec<u8>>::default();
        Ok(client.server_streaming(request, path, codec).await?.into_inner())
    }

    async fn raise(&self, seq: u64) {
        self.service.raise_ceiling(&self.bench.credential(seq).await).await.unwrap();
    }

    /// What is charged, once nothing is in flight.
    async fn spent(&self) -> u64 {
        let book = self.service.core.books.of(CHANNEL).pop().unwrap();
        book.drained(Duration::from_secs(5)).await;
        assert_eq!(book.ledger().in_flight(), 0);
        self.service.channel_status(&self.bench.credential(0).await).await.unwrap().spent.get()
    }
}

/// Serves on a socket, and connects to it.
async fn open(service: &AmpService) -> (Channel, Arc<Notify>) {
    let handlers = Handlers { gate: Arc::default() };
    let gate = handlers.gate.clone();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let server = Server::builder().layer(AmpGrpcLayer::new(service.clone())).add_service(handlers);
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    (Channel::from_shared(origin).unwrap().connect().await.unwrap(), gate)
}

async fn unary(channel: &Channel, method: &str, metadata: MetadataMap) -> Result<Response<Vec<u8>>, Status> {
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.unwrap();
    let path = format!("/test.Test/{method}").parse().unwrap();
    let request = Request::from_parts(metadata, Default::default(), 0);
    client.unary(request, path, ProstCodec::<u64, Vec<u8>>::default()).await
}

/// Metadata with a credential.
fn signed(credential: &CredentialBody) -> MetadataMap {
    let mut metadata = MetadataMap::new();
    metadata.insert(header::CHANNEL, credential.channel.to_string().parse().unwrap());
    metadata.insert(header::SEQ, credential.seq.to_string().parse().unwrap());
    metadata.insert(header::SIG, credential.sig.to_string().parse().unwrap());
    metadata
}

/// `amp-balance`, `amp-spent`, `amp-cost`.
fn amounts(metadata: &MetadataMap) -> [&str; 3] {
    [header::BALANCE, header::SPENT, header::COST]
        .map(|name| metadata.get(name).map_or("", |value| value.to_str().unwrap()))
}

/// The gRPC status of a refusal, and the AMP code in its metadata.
fn code(status: &Status) -> (tonic::Code, &'static str) {
    (status.code(), error_body(status).map_or("none", |body| body.error.as_str()))
}

/// All that comes of a stream: how many messages, its status where it failed, and its last metadata.
async fn drain(mut stream: Streaming<Vec<u8>>) -> (u64, Option<Status>, MetadataMap) {
    let mut count = 0;
    loop {
        match stream.message().await {
            Ok(Some(message)) => {
                assert_eq!(message.len(), CONTENT);
                count += 1;
            }
            Ok(None) => return (count, None, stream.trailers().await.unwrap().unwrap_or_default()),
            Err(status) => return (count, Some(status.clone()), status.metadata().clone()),
        }
    }
}
