use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use amp_sdk::server::{ChargeOn, Meter, Payment};
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::Response;
use bytes::Bytes;
use futures::{StreamExt as _, future, stream};
use http::header::{CONNECTION, HOST, UPGRADE};
use http::uri::{Parts, PathAndQuery};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, Version};
use http_body::Body as _;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;
use tokio::time::timeout;
use tower::Service;

use super::answer::Answer;
use super::failure::{Failure, NotCharged, plain};
use super::headers::{
    Asker, UNITS, Units, as_http_1, forwarded, identify, is_websocket, strip_amp, strip_hop_by_hop,
    upgrade_to,
};
use super::upload::Upload;
use super::upstream::{self, Upstream};
use crate::config;

/// The API, as the service that the engine charges for.
#[derive(Clone)]
pub(crate) struct Proxy(Arc<Inner>);

struct Inner {
    client: Upstream,
    settings: config::Upstream,
    /// The API's own `Host`.
    host: Option<HeaderValue>,
    trusted_proxies: Vec<IpAddr>,
}

impl Proxy {
    pub(crate) fn new(settings: config::Upstream, trusted_proxies: Vec<IpAddr>) -> io::Result<Self> {
        let client = upstream::client(settings.connect_timeout)?;
        let host = settings.url.authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok());
        Ok(Self(Arc::new(Inner { client, settings, host, trusted_proxies })))
    }

    /// Where a path of clients is at the API, by `scheme`.
    pub(crate) fn target(&self, asked: &Uri, scheme: Option<&str>) -> Option<Uri> {
        let base = &self.0.settings.url;
        let path = asked.path_and_query().map_or("/", PathAndQuery::as_str);
        let path = format!("{}{path}", base.path().trim_end_matches('/'));
        let mut parts = Parts::default();
        parts.scheme = match scheme {
            Some(scheme) => Some(scheme.parse().ok()?),
            None => base.scheme().cloned(),
        };
        parts.authority = base.authority().cloned();
        parts.path_and_query = Some(path.parse().ok()?);
        Uri::from_parts(parts).ok()
    }

    /// Whose limits a request counts against: who connected, or whom a trusted proxy names.
    pub(crate) fn peer(&self, headers: &HeaderMap, connected: IpAddr) -> IpAddr {
        let named = || {
            // the last one is the proxy's own: those before it are whatever the client sent
            let forwarded = headers.get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?;
            forwarded.rsplit(',').next()?.trim().parse().ok()
        };
        // a proxy that does not say who asks is who asks: nobody is without a limit
        self.trusts(connected).then(named).flatten().unwrap_or_else(|| connected.to_canonical())
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.trusted_proxies.contains(&address.to_canonical())
    }

    pub(crate) fn settings(&self) -> &config::Upstream {
        &self.0.settings
    }

    /// Readies a request's headers for the API.
    pub(crate) fn prepare<B>(&self, request: &mut Request<B>, payment: Option<&Payment>) {
        let connected = request.extensions().get::<ConnectInfo<SocketAddr>>();
        let connected = connected.map(|ConnectInfo(address)| address.ip());
        let named = request.uri().authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok());
        let asked = request.headers().get(HOST).cloned().or(named);
        let trusted = connected.is_some_and(|address| self.trusts(address));
        let asker = Asker { connected, trusted, host: asked.clone() };
        let own = self.0.host.clone();
        let host = if self.0.settings.preserve_host { asked.or(own) } else { own };
        let headers = request.headers_mut();
        strip_hop_by_hop(headers);
        identify(headers, payment);
        forwarded(headers, &asker);
        as_http_1(headers, host);
    }

    async fn serve(self, mut request: Request<Body>) -> Result<Response, NotCharged> {
        let charge_on = request.extensions_mut().remove::<ChargeOn>();
        let answer = self.forward(request).await.unwrap_or_else(Failure::response);
        // an error is all that such a route does not charge for
        let not_charged = answer.status().is_server_error() && charge_on == Some(ChargeOn::Always);
        if not_charged { Err(NotCharged(Box::new(answer))) } else { Ok(answer) }
    }

    async fn forward(self, mut request: Request<Body>) -> Result<Response, Failure> {
        let extensions = request.extensions_mut();
        let payment = extensions.remove::<Payment>();
        let meter = extensions.remove::<Meter>();
        let own = extensions.remove::<OnUpgrade>();
        // what is paid for can't be counted on a connection that is another protocol's
        // and to another than WebSocket's, h2c above all, whoever speaks it would reach every path past the gateway
        let upgrade =
            upgrade_to(request.headers()).filter(|to| payment.is_none() && is_websocket(to)).zip(own);
        let is_head = request.method() == Method::HEAD;
        let target = self.target(request.uri(), None).ok_or(Failure::Unreachable)?;
        self.prepare(&mut request, payment.as_ref());
        if let Some((protocol, _)) = &upgrade {
            request.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
            request.headers_mut().insert(UPGRADE, protocol.clone());
        }
        *request.uri_mut() = target;
        *request.version_mut() = Version::HTTP_11;
        *request.extensions_mut() = http::Extensions::new();
        let upload = Upload::default();
        let request = request.map(|body| upload.watch(body));
        let answered = timeout(self.0.settings.answer_timeout, self.0.client.request(request)).await;
        let mut answer = match answered {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) if upload.is_broken() => return Err(Failure::BrokenOff),
            Ok(Err(error)) => {
                tracing::warn!(%error, cause = cause(&error), "the API can't be reached");
                return Err(Failure::Unreachable);
            }
            Err(_) if upload.is_awaited() => return Err(Failure::Unfinished),
            Err(_) => {
                tracing::warn!("the API did not answer in time");
                return Err(Failure::TooLate);
            }
        };
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            let theirs = hyper::upgrade::on(&mut answer);
            return match upgrade {
                Some((protocol, ours)) => Ok(switch(answer, protocol, ours, theirs)),
                None => Err(Failure::Unreachable),
            };
        }
        let units = answer.headers().get(UNITS).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        strip_hop_by_hop(answer.headers_mut());
        strip_amp(answer.headers_mut());
        if let Some(units) = units {
            answer.extensions_mut().insert(Units(units));
        }
        let idle = self.0.settings.idle_timeout;
        let answer = answer.map(|body| Body::new(Answer::new(body, idle)));
        let failed = answer.status().is_client_error() || answer.status().is_server_error();
        match meter {
            // nobody asks for a body that is not there, and with it for its payment
            Some(meter) if !failed && (is_head || has_no_body(&answer)) => {
                Ok(paid_before(meter, units, answer).await)
            }
            Some(meter) if !failed => Ok(by_the_unit(meter, units, answer)),
            _ => Ok(answer),
        }
    }
}

fn has_no_body(answer: &Response) -> bool {
    let bodiless = [StatusCode::NO_CONTENT, StatusCode::RESET_CONTENT, StatusCode::NOT_MODIFIED];
    bodiless.contains(&answer.status()) || answer.body().is_end_stream()
}

/// An answer without a body, once its units are paid for.
async fn paid_before(meter: Meter, units: Option<u64>, answer: Response) -> Response {
    match meter.spend(units.unwrap_or(0)).await {
        Ok(()) => answer,
        Err(_) => {
            let message = "the answer's units are not paid for: its budget is used up";
            plain(StatusCode::PAYMENT_REQUIRED, "AMP_UNDERFUNDED", message)
        }
    }
}

/// Has the units paid for that the API says its answer is, before any of its body leaves: the client signs for them
/// when it knows that there is an answer.
fn by_the_unit(meter: Meter, units: Option<u64>, answer: Response) -> Response {
    let Some(units) = units else {
        tracing::warn!("an answer that is paid for by the unit has no AMP-Units: it is free");
        return answer;
    };
    let paid = stream::once(async move {
        let spent = meter.spend(units).await;
        spent.map(|()| Bytes::new()).map_err(axum::Error::new)
    });
    let (parts, body) = answer.into_parts();
    // what is not paid for ends the body before it begins
    let all = paid.chain(body.into_data_stream()).scan(false, |failed, piece: Result<Bytes, axum::Error>| {
        let before = std::mem::replace(failed, piece.is_err());
        future::ready((!before).then_some(piece))
    });
    Response::from_parts(parts, Body::from_stream(all))
}

/// Joins the two connections: bytes pass as they come, both ways.
fn switch(
    answer: http::Response<hyper::body::Incoming>,
    protocol: HeaderValue,
    ours: OnUpgrade,
    theirs: OnUpgrade,
) -> Response {
    let (mut parts, _) = answer.into_parts();
    strip_hop_by_hop(&mut parts.headers);
    strip_amp(&mut parts.headers);
    parts.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    parts.headers.insert(UPGRADE, protocol);
    tokio::spawn(async move {
        let (ours, theirs) = match tokio::try_join!(ours, theirs) {
            Ok(both) => both,
            Err(error) => return tracing::debug!(%error, "a connection was not upgraded"),
        };
        let _ = copy_bidirectional(&mut TokioIo::new(ours), &mut TokioIo::new(theirs)).await;
    });
    Response::from_parts(parts, Body::empty())
}

/// What hyper's error is about: it says only at which step it was.
fn cause(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.last().map(ToString::to_string).unwrap_or_default()
}

impl Service<Request<Body>> for Proxy {
    type Response = Response;
    type Error = NotCharged;
    type Future = Pin<Box<dyn Future<Output = Result<Response, NotCharged>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), NotCharged>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.clone().serve(request))
    }
}
