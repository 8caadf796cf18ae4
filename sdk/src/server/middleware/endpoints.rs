use std::time::Duration;

use amp_protocol::code::Code;
use amp_protocol::json::{CredentialBody, Pricing};
use amp_protocol::text::path;
use axum::body::{Body, to_bytes};
use http::header::CACHE_CONTROL;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use serde::Serialize;
use tokio::time::timeout;

use super::credential;
use super::respond::{charged, denied, json, plain, wrong_method};
use crate::server::denial::Denial;
use crate::server::service::AmpService;

/// A credential in JSON has about 250 bytes.
const BODY_LIMIT: usize = 4_096;
/// How long a client may take to send one.
const BODY_WAIT: Duration = Duration::from_secs(10);

/// Whether the path is the layer's own, whatever the routes behind it.
pub(super) fn is_own(path: &str) -> bool {
    path == path::DISCOVERY || path == path::PREFIX.trim_end_matches('/') || path.starts_with(path::PREFIX)
}

/// Answers the discovery document and the channel endpoints.
pub(super) async fn answer(service: &AmpService, request: Request<Body>) -> Response<Body> {
    let method = request.method().clone();
    let get = method == Method::GET || method == Method::HEAD;
    match request.uri().path() {
        path::DISCOVERY if get => json(StatusCode::OK, &service.discovery()),
        path::CHANNEL if get => credentialed(service, request, Action::Status).await,
        path::CREDENTIAL if method == Method::POST => credentialed(service, request, Action::Raise).await,
        path::CLOSE if method == Method::POST => credentialed(service, request, Action::Close).await,
        path::DISCOVERY | path::CHANNEL => wrong_method("GET, HEAD"),
        path::CREDENTIAL | path::CLOSE => wrong_method("POST"),
        _ => plain(
            StatusCode::NOT_FOUND,
            "NOT_FOUND",
            "there is no such AMP endpoint; see /.well-known/amp.json",
        ),
    }
}

#[derive(Clone, Copy)]
enum Action {
    Status,
    Raise,
    Close,
}

async fn credentialed(service: &AmpService, request: Request<Body>, action: Action) -> Response<Body> {
    let pricing = service.pricing(request.uri().path());
    let credential = match read(request).await {
        Ok(credential) => credential,
        Err(refused) => return refused.respond(service, &pricing),
    };
    let answered = match action {
        Action::Status => service.channel_status(&credential).await.map(|status| ok(&status)),
        Action::Raise => raise(service, &credential).await,
        Action::Close => service.close(&credential).await.map(|response| ok(&response)),
    };
    answered.unwrap_or_else(|denial| denied(service, &pricing, &denial))
}

async fn raise(service: &AmpService, credential: &CredentialBody) -> Result<Response<Body>, Denial> {
    let receipt = service.raise_ceiling(credential).await?;
    let mut response = ok(&receipt.status(credential));
    charged(response.headers_mut(), &receipt);
    Ok(response)
}

fn ok(value: &impl Serialize) -> Response<Body> {
    let mut response = json(StatusCode::OK, value);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

enum Unread {
    Denied(Denial),
    Body(StatusCode, &'static str, &'static str),
}

impl Unread {
    fn respond(self, service: &AmpService, pricing: &Pricing) -> Response<Body> {
        match self {
            Self::Denied(denial) => denied(service, pricing, &denial),
            Self::Body(status, error, message) => plain(status, error, message),
        }
    }
}

/// The credential of the headers, or else the one of a JSON body.
async fn read(request: Request<Body>) -> Result<CredentialBody, Unread> {
    if let Some(credential) = credential::from_headers(request.headers()).map_err(Unread::Denied)? {
        return Ok(credential);
    }
    let body = timeout(BODY_WAIT, to_bytes(request.into_body(), BODY_LIMIT)).await.map_err(|_| {
        Unread::Body(StatusCode::REQUEST_TIMEOUT, "TIMEOUT", "the body did not arrive in time")
    })?;
    let body = body.map_err(|_| {
        Unread::Body(StatusCode::PAYLOAD_TOO_LARGE, "TOO_LARGE", "a credential has less than 4 KiB")
    })?;
    serde_json::from_slice(&body).map_err(|_| Unread::Denied(missing()))
}

/// No credential at all.
pub(super) fn missing() -> Denial {
    let message = "payment required: open a channel to AMP-Recipient and send AMP-Channel, AMP-Seq and AMP-Sig with every request; see /.well-known/amp.json";
    Denial::new(Code::NoChannel, None, message)
}
