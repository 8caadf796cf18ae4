use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use http::{Request, Response};
use tonic::Status;
use tonic::body::Body;
use tonic::transport::Channel;

use super::answer::{paid, status};
use super::carry::{self, GrpcCall};
use super::operations::knows_no_amp;
use super::repeat::Repeatable;
use crate::client::call::{Call, Place};
use crate::client::service::Service;
use crate::client::{Client, ClientError};

/// A connection whose calls are paid for where they have a price, within the client's policy: what a generated client
/// is made with in place of tonic's [`Channel`]. Clones share it.
#[derive(Clone)]
pub struct PaidChannel {
    client: Client,
    service: Arc<Service>,
    channel: Channel,
    /// The server has said that it does not know AMP.
    unpaid: Arc<AtomicBool>,
}

impl Client {
    /// Pays for the calls of a gRPC server. `url` is what the server is known by, `http://` or `https://` with its host
    /// and port: channels, limits and books are kept by it. `channel` is a connection to just that server.
    pub fn grpc(&self, url: &str, channel: Channel) -> Result<PaidChannel, ClientError> {
        let service = self.service_of(url)?;
        crate::client::discovery::check_http(&service.origin)?;
        service.connect_grpc(channel.clone());
        Ok(PaidChannel { client: self.clone(), service, channel, unpaid: Arc::default() })
    }
}

impl PaidChannel {
    async fn serve(self, request: Request<Body>) -> Result<Response<Body>, ClientError> {
        if self.unpaid.load(Ordering::Relaxed) {
            return self.unpaid(request).await;
        }
        let place = Place::Method(request.uri().path().to_owned());
        let call = match Call::of(&self.client, &self.service, place).await {
            Err(error) if knows_no_amp(&error) => {
                self.unpaid.store(true, Ordering::Relaxed);
                return self.unpaid(request).await;
            }
            call => call?,
        };
        if call.is_free() {
            return self.unpaid(request).await;
        }
        let (head, body) = request.into_parts();
        let (client, service, body) = (&self.client, &*self.service, Repeatable::new(body));
        let (answer, _, tab) =
            call.pay(GrpcCall { client, service, channel: self.channel.clone(), head, body }).await?;
        Ok(paid(answer, tab))
    }

    async fn unpaid(mut self, request: Request<Body>) -> Result<Response<Body>, ClientError> {
        carry::send(&mut self.channel, request).await.map_err(|error| carry::status(error).into())
    }
}

impl tower::Service<Request<Body>> for PaidChannel {
    type Response = Response<Body>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Status>> + Send>>;

    /// Always: each call waits for the connection by itself, after it is signed for.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let served = self.clone().serve(request);
        Box::pin(async move { served.await.map_err(status) })
    }
}

impl std::fmt::Debug for PaidChannel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("PaidChannel").field(&self.service.name).finish()
    }
}
