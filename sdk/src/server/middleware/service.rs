use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use amp_protocol::money::Amount;
use axum::body::{Body, Bytes};
use http::{Request, Response, StatusCode};
use tower::{BoxError, Service};

use super::layer::AmpLayer;
use super::respond::{charged, denied};
use super::{credential, endpoints, price};
use crate::server::config::ChargeOn;
use crate::server::service::AmpService;

/// An HTTP service that is paid for; see [`AmpLayer`](super::AmpLayer).
#[derive(Clone)]
pub struct AmpMiddleware<S> {
    inner: S,
    layer: AmpLayer,
}

impl<S> AmpMiddleware<S> {
    pub(super) fn new(inner: S, layer: AmpLayer) -> Self {
        Self { inner, layer }
    }
}

impl<S, B> Service<Request<Body>> for AmpMiddleware<S>
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // the clone has not been asked whether it is ready: call the one that has
        let ready = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, ready);
        let service = self.layer.service_for(&request);
        Box::pin(serve(service, inner, request))
    }
}

async fn serve<S, B>(
    service: AmpService,
    mut inner: S,
    mut request: Request<Body>,
) -> Result<Response<Body>, S::Error>
where
    S: Service<Request<Body>, Response = Response<B>>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    if endpoints::is_own(request.uri().path()) {
        return Ok(endpoints::answer(&service, request).await);
    }
    let pricing = price::of_path(&service, request.uri().path());
    if pricing.rate.is_zero() {
        return Ok(inner.call(request).await?.map(Body::new));
    }
    let credential = match credential::from_headers(request.headers()) {
        Ok(Some(credential)) => credential,
        Ok(None) => return Ok(denied(&service, &pricing, &endpoints::missing())),
        Err(denial) => return Ok(denied(&service, &pricing, &denial)),
    };
    let mut admission = match service.authorize(&credential, pricing.rate).await {
        Ok(admission) => admission,
        Err(denial) => return Ok(denied(&service, &pricing, &denial)),
    };
    request.extensions_mut().insert(admission.payment());
    // an error drops the admission: nothing is charged. So does a client that goes away, unless all
    // work is charged: who hangs up in time would have it for free
    if service.core.config.charge_on == ChargeOn::Always {
        admission.charge_if_dropped(Some(pricing.rate));
    }
    let answered = inner.call(request).await;
    admission.charge_if_dropped(None);
    let mut response = answered?.map(Body::new);
    let cost = if is_charged(&service, response.status()) { pricing.rate } else { Amount::ZERO };
    match admission.charge(cost).await {
        Ok(receipt) => {
            charged(response.headers_mut(), &receipt);
            Ok(response)
        }
        // what can't be claimed does not leave
        Err(denial) => Ok(denied(&service, &pricing, &denial)),
    }
}

fn is_charged(service: &AmpService, status: StatusCode) -> bool {
    match service.core.config.charge_on {
        ChargeOn::Success => status.as_u16() < 400,
        ChargeOn::Always => true,
    }
}
