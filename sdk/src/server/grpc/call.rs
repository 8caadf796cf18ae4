use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use amp_protocol::json::{CredentialBody, Pricing};
use amp_protocol::text::header;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use tonic::Status;
use tonic::body::Body;
use tower::{BoxError, Service};

use super::answer::{Answer, Bill};
use super::layer::AmpGrpcLayer;
use super::{endpoints, refuse};
use crate::grpc::PAYMENTS;
use crate::server::config::ChargeOn;
use crate::server::denial::Denial;
use crate::server::metering::Running;
use crate::server::middleware::{begin_metered, credential_from_headers, take_ready};
use crate::server::readings::has_one_reading;
use crate::server::service::AmpService;

/// What the layer says in the trailers of an answer, and nobody else.
const WHAT_IT_COSTS: [&str; 3] = [header::BALANCE, header::SPENT, header::COST];

/// gRPC services that are paid for; see [`AmpGrpcLayer`].
#[derive(Clone)]
pub struct AmpGrpcMiddleware<S> {
    inner: S,
    layer: AmpGrpcLayer,
}

impl<S> AmpGrpcMiddleware<S> {
    pub(super) fn new(inner: S, layer: AmpGrpcLayer) -> Self {
        Self { inner, layer }
    }
}

impl<S, A, B> Service<Request<A>> for AmpGrpcMiddleware<S>
where
    S: Service<Request<A>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send + 'static,
    A: http_body::Body<Data = Bytes> + Send + 'static,
    A::Error: Into<BoxError>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let mut inner = take_ready(&mut self.inner);
        let service = self.layer.service_for(&request);
        let inner = move |request| {
            let answered = inner.call(request);
            async move { Ok(answered.await?.map(Body::new)) }
        };
        Box::pin(serve(service, inner, request))
    }
}

async fn serve<A, E, F>(
    service: AmpService,
    inner: impl FnOnce(Request<A>) -> F,
    request: Request<A>,
) -> Result<Response<Body>, E>
where
    A: http_body::Body<Data = Bytes> + Send + 'static,
    A::Error: Into<BoxError>,
    F: Future<Output = Result<Response<Body>, E>>,
{
    let path = request.uri().path();
    if path.starts_with(PAYMENTS) {
        return Ok(Box::pin(endpoints::answer(service, request.map(Body::new))).await);
    }
    // no method's path has one of these; a service behind the layer that resolves it would be reached unpaid
    if !has_one_reading(path) {
        return Ok(Status::unimplemented("a method's path is /package.Service/Method").into_http());
    }
    let prices = service.prices();
    let (pricing, charge_on) = (prices.table().for_route(path), prices.charges_on(path));
    if pricing.rate.is_zero() {
        return inner(request).await;
    }
    let requests = &service.core.metrics.requests;
    let credential = match credential_from_headers(request.headers()) {
        Ok(Some(credential)) => credential,
        Ok(None) => return Ok(refuse::response(&requests.no_credential(refuse::missing()), &pricing)),
        Err(denial) => return Ok(refuse::response(&requests.unreadable(denial), &pricing)),
    };
    let served = if pricing.is_metered() {
        Box::pin(metered(&service, &pricing, &credential, inner, request)).await?
    } else {
        Box::pin(called(&service, &pricing, charge_on, &credential, inner, request)).await?
    };
    Ok(match served {
        Ok((bill, response)) => leave(bill, response, pricing).await,
        Err(denial) => refuse::response(&denial, &pricing),
    })
}

/// What is to be charged for an answer, and the answer.
type Served<E> = Result<Result<(Bill, Response<Body>), Denial>, E>;

/// A call that costs the same whatever comes of it, for each of its messages.
async fn called<A, E, F>(
    service: &AmpService,
    pricing: &Pricing,
    charge_on: ChargeOn,
    credential: &CredentialBody,
    inner: impl FnOnce(Request<A>) -> F,
    mut request: Request<A>,
) -> Served<E>
where
    F: Future<Output = Result<Response<Body>, E>>,
{
    let mut admission =
        match service.authorize(credential, pricing.rate().cost(1).unwrap_or(pricing.rate)).await {
            Ok(admission) => admission,
            Err(denial) => return Ok(Err(denial)),
        };
    request.extensions_mut().insert(admission.payment());
    // a client that goes away drops the admission, and pays nothing unless all work is charged: who hangs up in
    // time would have it for free
    if charge_on == ChargeOn::Always {
        let price = admission.payment().price;
        admission.charge_if_dropped(Some(price));
    }
    let response = match admission.handle(inner(request)).await {
        Ok(response) => response,
        Err(error) => {
            admission.charge_if_dropped(None);
            return Err(error);
        }
    };
    Ok(Ok((Bill::Call(Box::new(admission), charge_on), response)))
}

/// A call whose cost is counted while it is served.
async fn metered<A, E, F>(
    service: &AmpService,
    pricing: &Pricing,
    credential: &CredentialBody,
    inner: impl FnOnce(Request<A>) -> F,
    mut request: Request<A>,
) -> Served<E>
where
    F: Future<Output = Result<Response<Body>, E>>,
{
    let meter = match begin_metered(service, pricing, credential, request.extensions_mut()).await {
        Ok(meter) => meter,
        Err(denial) => return Ok(Err(denial)),
    };
    let running = Running::new(meter, pricing.mode);
    let response = inner(request).await?;
    Ok(Ok((Bill::Metered(running), response)))
}

/// Lets the answer leave: its beginning at once, the rest as it is paid for.
async fn leave(bill: Bill, response: Response<Body>, pricing: Pricing) -> Response<Body> {
    let (mut head, body) = response.into_parts();
    // the layer's to say, in the trailers
    for name in WHAT_IT_COSTS {
        head.headers.remove(name);
    }
    // an answer that is nothing but its end has it in its head, and one that is no answer of gRPC's has no end
    let ends = head.headers.contains_key(Status::GRPC_STATUS) || !head.status.is_success();
    if !ends {
        return Response::from_parts(head, Answer::body(bill, body, pricing));
    }
    let mut end = HeaderMap::new();
    match bill.of_nothing(&mut end).await {
        Ok(()) => {
            head.headers.extend(end);
            Response::from_parts(head, body)
        }
        Err(denial) => refuse::response(&denial, &pricing),
    }
}
