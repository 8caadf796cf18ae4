use std::future::Future;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use amp_protocol::json::Pricing;
use amp_protocol::money::Amount;
use axum::body::{Body, Bytes};
use futures::StreamExt as _;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use tokio::time::{Instant, timeout_at};
use tower::{BoxError, Service, ServiceExt as _};

use super::charge::{NotKept, is_charged};
use super::layer::AmpLayer;
use super::respond::{denied, leave, plain};
use super::{credential, endpoints, metered, repeat};
use crate::server::admission::Admission;
use crate::server::config::ChargeOn;
use crate::server::denial::{Denial, NameRefused};
use crate::server::once::Authorized;
use crate::server::prices::Terms;
use crate::server::service::AmpService;

/// How long the end of an answer that is to be kept is waited for: a stream has none.
const GATHER: Duration = Duration::from_secs(30);

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

/// Takes a service that has been asked whether it is ready, and leaves a clone, which has not.
pub(crate) fn take_ready<S: Clone>(service: &mut S) -> S {
    let clone = service.clone();
    std::mem::replace(service, clone)
}

impl<S, B> Service<Request<Body>> for AmpMiddleware<S>
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send + 'static,
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
        let inner = take_ready(&mut self.inner);
        let service = self.layer.service_for(&request);
        Box::pin(serve(service, inner, request))
    }
}

async fn serve<S, B>(
    service: AmpService,
    mut inner: S,
    request: Request<Body>,
) -> Result<Response<Body>, S::Error>
where
    S: Service<Request<Body>, Response = Response<B>> + Send + 'static,
    S::Future: Send,
    S::Error: Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    if endpoints::is_own(request.uri().path()) {
        return Ok(Box::pin(endpoints::answer(&service, request)).await);
    }
    let terms = service.prices().for_request(request.uri().path());
    let Some(Terms { pricing, charge_on }) = terms else {
        let message =
            "this path can be read in several ways, which are priced differently; send it in its plain form";
        return Ok(plain(StatusCode::BAD_REQUEST, "AMBIGUOUS_PATH", message));
    };
    if pricing.rate.is_zero() {
        return Ok(inner.call(request).await?.map(Body::new));
    }
    let credential = match credential::from_headers(request.headers()) {
        Ok(Some(credential)) => credential,
        Ok(None) => {
            let denial = service.core.metrics.requests.no_credential(endpoints::missing());
            return Ok(denied(&service, &pricing, &denial));
        }
        Err(denial) => {
            let denial = service.core.metrics.requests.unreadable(denial);
            return Ok(denied(&service, &pricing, &denial));
        }
    };
    if pricing.is_metered() {
        if repeat::is_named(&request) {
            return Ok(denied(&service, &pricing, &Denial::Name(NameRefused::Metered)));
        }
        let inner = inner.map_response(|response| response.map(Body::new));
        return Box::pin(metered::serve(service, pricing, charge_on, credential, inner, request)).await;
    }
    let once = match repeat::named(&request) {
        Ok(once) => once,
        Err(denial) => return Ok(denied(&service, &pricing, &denial)),
    };
    let authorized = match &once {
        None => service.authorize(&credential, pricing.rate).await,
        Some(once) => match Box::pin(service.authorize_once(&credential, pricing.rate, once)).await {
            Ok(Authorized::First(admission)) => Ok(*admission),
            Ok(Authorized::Again { answer, receipt }) => {
                let again = repeat::replay(&answer, &receipt);
                return Ok(again.unwrap_or_else(|denial| denied(&service, &pricing, &denial)));
            }
            Err(denial) => Err(denial),
        },
    };
    let admission = match authorized {
        Ok(admission) => admission,
        Err(denial) => return Ok(denied(&service, &pricing, &denial)),
    };
    let paid = Paid { service, pricing, charge_on, keeps: once.is_some(), admission };
    if !paid.keeps {
        return paid.serve(inner, request).await;
    }
    // its own task: a client that goes away may come back for the answer
    match tokio::spawn(paid.serve(inner, request)).await {
        Ok(answered) => answered,
        Err(ended) => match ended.try_into_panic() {
            // the handler's panic is the server's to deal with, as it would be without this layer
            Ok(panic) => resume_unwind(panic),
            Err(_) => std::future::pending().await,
        },
    }
}

/// A request that is admitted.
struct Paid {
    service: AmpService,
    pricing: Pricing,
    charge_on: ChargeOn,
    /// Whether the answer is kept with its charge, for the request may be repeated. One that costs nothing is
    /// not: the request may be tried again.
    keeps: bool,
    admission: Admission,
}

impl Paid {
    async fn serve<S, B>(
        mut self,
        mut inner: S,
        mut request: Request<Body>,
    ) -> Result<Response<Body>, S::Error>
    where
        S: Service<Request<Body>, Response = Response<B>>,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        request.extensions_mut().insert(self.admission.payment());
        request.extensions_mut().insert(self.charge_on);
        // an error drops the admission: nothing is charged. So does a client that goes away, unless all
        // work is charged: who hangs up in time would have it for free. An answer that is kept is charged
        // whether its client waits for it or not
        if self.charge_on == ChargeOn::Always && !self.keeps {
            self.admission.charge_if_dropped(Some(self.pricing.rate));
        }
        let answered = self.admission.handle(inner.call(request)).await;
        self.admission.charge_if_dropped(None);
        let response = answered?.map(Body::new);
        let Self { service, pricing, charge_on, keeps, admission } = self;
        let is_charged = is_charged(charge_on, response.status());
        // the charge without an answer frees the key: whoever repeats the request is served anew
        let keeps = keeps && response.extensions().get::<NotKept>().is_none();
        if !is_charged || !keeps {
            let charge = admission.charge(if is_charged { pricing.rate } else { Amount::ZERO });
            let charged = charge.await;
            return Ok(leave(&service, &pricing, response, charged));
        }
        match Box::pin(gather(response, service.core.config.kept_answer_limit)).await {
            Ok((response, answer)) => {
                let charged = Box::pin(admission.charge_once(pricing.rate, answer)).await;
                Ok(leave(&service, &pricing, response, charged))
            }
            Err(broken) => Ok(broken),
        }
    }
}

/// The whole answer, to be kept: as it leaves, and in its stored form. One with more than `limit` bytes, or that
/// is still coming after [`GATHER`], is stored without its body, and leaves as it comes. One that breaks off before is no answer.
async fn gather(response: Response<Body>, limit: usize) -> Result<(Response<Body>, Vec<u8>), Response<Body>> {
    let (parts, mut body) = response.into_parts();
    let mut gathered = Vec::new();
    let until = Instant::now().checked_add(GATHER).unwrap_or_else(Instant::now);
    loop {
        let Ok(frame) = timeout_at(until, body.frame()).await else {
            return Ok(too_large(parts, gathered, body));
        };
        let Some(frame) = frame else { break };
        let broke_off =
            || plain(StatusCode::BAD_GATEWAY, "BROKEN_ANSWER", "the answer broke off; nothing was charged");
        let Ok(data) = frame.map_err(|_| broke_off())?.into_data() else { continue };
        gathered.extend_from_slice(&data);
        if gathered.len() > limit {
            return Ok(too_large(parts, gathered, body));
        }
    }
    let gathered = Bytes::from(gathered);
    let answer = repeat::encode(parts.status, &parts.headers, Some(&gathered));
    Ok((Response::from_parts(parts, Body::from(gathered)), answer))
}

/// An answer whose end is not waited for.
fn too_large(parts: http::response::Parts, gathered: Vec<u8>, rest: Body) -> (Response<Body>, Vec<u8>) {
    let answer = repeat::encode(parts.status, &parts.headers, None);
    let so_far = futures::stream::iter([Ok(Bytes::from(gathered))]);
    let all = Body::from_stream(so_far.chain(rest.into_data_stream()));
    (Response::from_parts(parts, all), answer)
}
