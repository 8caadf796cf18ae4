//! The market over gRPC, on a port of its own: what is priced per call, per message, and by what is counted.

use std::net::TcpListener;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use amp_protocol::json::PricingMode;
use amp_protocol::money::Amount;
use amp_protocol::rate::{Per, Rate};
use amp_sdk::client::grpc::PaidChannel;
use amp_sdk::server::{AmpGrpcLayer, AmpService, Meter, ServiceConfig};
use futures::stream::{self, Stream, StreamExt as _};
use http::HeaderValue;
use http_body_util::BodyExt as _;
use tonic::body::Body;
use tonic::transport::Channel;
use tonic::transport::server::{Server, TcpIncoming};
use tonic::{Request, Response, Status, Streaming};
use tower::util::MapResponseLayer;

use crate::agent::Agent;
use crate::market::Market;
use crate::{BYTES, SECOND_PRICE, TOKEN_PRICE};

#[allow(unreachable_pub, reason = "it is generated")]
mod generated {
    include!("generated/market.v1.rs");
}

use generated::Goods;
use generated::market_server::MarketServer;
pub use generated::{Order, market_client::MarketClient};

/// Base units of a message of `Pages`.
pub const PAGE_PRICE: u64 = 10;

/// A client that pays.
pub type Calls = MarketClient<PaidChannel>;

pub(crate) fn price(config: ServiceConfig) -> ServiceConfig {
    let bytes = Rate { amount: Amount::new(1), per: Per::new(BYTES).expect("some") };
    config
        .route("/market.v1.Market/Pages", Amount::new(PAGE_PRICE))
        .metered_route("/market.v1.Market/Bytes", PricingMode::PerByte, bytes)
        .metered_route(
            "/market.v1.Market/Clock",
            PricingMode::PerSecond,
            Rate::each(Amount::new(SECOND_PRICE)),
        )
        .metered_route(
            "/market.v1.Market/Tokens",
            PricingMode::PerCompute,
            Rate::each(Amount::new(TOKEN_PRICE)),
        )
}

/// What is done to an answer.
#[derive(Clone, Copy, Debug)]
pub enum Trick {
    /// It says that it cost so much.
    Costs(u64),
    /// It does not come: the call is refused, as by a service that has not seen the channel yet.
    IsRefused,
}

/// What is done to the next answers, one each.
#[derive(Clone, Default)]
pub struct Tricks(Arc<Mutex<Vec<Trick>>>);

impl Tricks {
    pub fn play(&self, trick: Trick) {
        self.0.lock().unwrap().push(trick);
    }

    fn meddle(&self, response: http::Response<Body>) -> http::Response<Body> {
        // what asks about the payment is left alone
        if response.headers().contains_key("grpc-status") {
            return response;
        }
        match self.0.lock().unwrap().pop() {
            None => response,
            Some(Trick::IsRefused) => {
                let body = br#"{"error":"AMP_NO_CHANNEL","message":"not seen yet"}"#;
                let mut metadata = tonic::metadata::MetadataMap::new();
                let value = tonic::metadata::MetadataValue::from_bytes(body);
                metadata.insert_bin(amp_sdk::grpc::ERROR, value);
                Status::with_metadata(tonic::Code::FailedPrecondition, "not seen yet", metadata).into_http()
            }
            Some(Trick::Costs(cost)) => response.map(|body| {
                Body::new(body.map_frame(move |mut frame| {
                    if let Some(trailers) = frame.trailers_mut() {
                        trailers.insert("amp-cost", HeaderValue::from(cost));
                    }
                    frame
                }))
            }),
        }
    }
}

pub(crate) async fn serve(listener: TcpListener, service: AmpService, tricks: Tricks) {
    listener.set_nonblocking(true).expect("a listener");
    let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
    let meddler = MapResponseLayer::new(move |response| tricks.meddle(response));
    let mut server = Server::builder().layer(meddler).layer(AmpGrpcLayer::new(service));
    let server = server.add_service(MarketServer::new(Stall));
    server.serve_with_incoming(TcpIncoming::from(listener)).await.expect("served");
}

impl Agent {
    /// Calls the market over gRPC, and pays.
    pub async fn calls(&self, market: &Market) -> Calls {
        let origin = market.grpc_origin();
        let connection = Channel::from_shared(origin.to_owned()).unwrap().connect().await.expect("it serves");
        MarketClient::new(self.client.grpc(origin, connection).expect("a URL"))
    }
}

struct Stall;

type Delivery = Pin<Box<dyn Stream<Item = Result<Goods, Status>> + Send>>;

fn goods(order: &Order) -> Goods {
    Goods { content: vec![b'x'; order.size as usize] }
}

fn delivery(order: Order) -> Response<Delivery> {
    Response::new(Box::pin(stream::iter(0..order.count).map(move |_| Ok(goods(&order)))))
}

#[async_trait::async_trait]
impl generated::market_server::Market for Stall {
    type PagesStream = Delivery;
    type BytesStream = Delivery;
    type ClockStream = Delivery;
    type TokensStream = Delivery;

    async fn quote(&self, order: Request<Order>) -> Result<Response<Goods>, Status> {
        Ok(Response::new(goods(order.get_ref())))
    }

    async fn fail(&self, _: Request<Order>) -> Result<Response<Goods>, Status> {
        Err(Status::data_loss("out of stock"))
    }

    async fn pages(&self, order: Request<Order>) -> Result<Response<Delivery>, Status> {
        Ok(delivery(order.into_inner()))
    }

    async fn bytes(&self, order: Request<Order>) -> Result<Response<Delivery>, Status> {
        Ok(delivery(order.into_inner()))
    }

    async fn clock(&self, order: Request<Order>) -> Result<Response<Delivery>, Status> {
        let order = order.into_inner();
        let ticks = stream::iter(0..order.count).then(move |_| async move {
            tokio::time::sleep(Duration::from_millis(200)).await;
            Ok(goods(&order))
        });
        Ok(Response::new(Box::pin(ticks)))
    }

    async fn tokens(&self, order: Request<Order>) -> Result<Response<Delivery>, Status> {
        let meter = order.extensions().get::<Meter>().cloned().ok_or(Status::internal("no meter"))?;
        let order = order.into_inner();
        let tokens = stream::iter(0..order.count).then(move |_| {
            let meter = meter.clone();
            async move {
                meter.spend(1).await?;
                Ok(goods(&order))
            }
        });
        Ok(Response::new(Box::pin(tokens)))
    }

    async fn collect(&self, orders: Request<Streaming<Order>>) -> Result<Response<Goods>, Status> {
        let mut orders = orders.into_inner();
        let mut content = Vec::new();
        while let Some(order) = orders.message().await? {
            content.push(u8::try_from(order.count).unwrap_or(u8::MAX));
        }
        Ok(Response::new(Goods { content }))
    }
}
