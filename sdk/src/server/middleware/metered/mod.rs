//! Answers that are paid for while they leave.

mod body;
mod counting;
mod events;

use amp_protocol::json::{CredentialBody, Pricing, PricingMode};
use axum::body::Body;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, TRAILER};
use http::{Extensions, HeaderMap, HeaderValue, Request, Response};
use tower::Service;

use self::body::MeteredBody;
use self::counting::Counting;
use super::charge::is_charged;
use super::respond::{denied, leave};
use crate::server::config::ChargeOn;
use crate::server::denial::Denial;
use crate::server::metering::Meter;
use crate::server::service::AmpService;

/// Which trailers an answer may end with.
const TRAILERS: HeaderValue = HeaderValue::from_static("amp-cost, amp-spent, amp-balance");

/// Bytes that are paid for ahead at first.
const BYTES_AHEAD: u64 = 4 << 20;

/// Admits a request that is metered, and puts into its extensions who pays, and where its handler reports what it
/// uses.
pub(crate) async fn begin(
    service: &AmpService,
    pricing: &Pricing,
    credential: &CredentialBody,
    extensions: &mut Extensions,
) -> Result<Meter, Denial> {
    let ahead = if pricing.mode == PricingMode::PerByte { BYTES_AHEAD } else { pricing.per.get() };
    let meter = service.authorize_ahead(credential, pricing.rate(), ahead).await?;
    extensions.insert(meter.payment());
    if pricing.mode == PricingMode::PerCompute {
        extensions.insert(meter.clone());
    }
    Ok(meter)
}

/// Serves a request of a route that is metered.
pub(super) async fn serve<S>(
    service: AmpService,
    pricing: Pricing,
    charge_on: ChargeOn,
    credential: CredentialBody,
    mut inner: S,
    mut request: Request<Body>,
) -> Result<Response<Body>, S::Error>
where
    S: Service<Request<Body>, Response = Response<Body>>,
{
    let meter = match begin(&service, &pricing, &credential, request.extensions_mut()).await {
        Ok(meter) => meter,
        Err(denial) => return Ok(denied(&service, &pricing, &denial)),
    };
    request.extensions_mut().insert(charge_on);
    // an error drops the meter, and so does a client that goes away: charged is what was counted
    let mut response = inner.call(request).await?;
    if !is_charged(charge_on, response.status()) {
        let receipt = meter.finish().await;
        return Ok(leave(&service, &pricing, response, receipt));
    }
    let events = is_event_stream(response.headers());
    if events {
        // what the service says of the payment comes between the events
        response.headers_mut().remove(CONTENT_LENGTH);
    } else if !response.headers().contains_key(CONTENT_LENGTH) {
        response.headers_mut().insert(TRAILER, TRAILERS);
    }
    let counting = Counting::of(pricing.mode);
    Ok(response.map(|body| Body::new(MeteredBody::new(body, meter, counting, events))))
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let name = kind.split(|byte| *byte == b';').next().unwrap_or_default();
    name.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
}
