//! One paid call over HTTP.

use std::sync::Arc;

use amp_protocol::code::Code;
use amp_protocol::json::CredentialBody;
use amp_protocol::text::header;
use reqwest::Request;
use reqwest::header::{CONTENT_LENGTH, HeaderValue, TE};

use super::call::{Call, Carried, Carrier, Place, Refusal, Said};
use super::error::ClientError;
use super::http::{Client, credential_headers};
use super::response::Response;
use super::service::Service;

/// Sends a request to a service that takes AMP, paid where its route has a price.
pub(super) async fn pay(
    client: &Client,
    service: &Arc<Service>,
    mut request: Request,
) -> Result<Response, ClientError> {
    let place = Place::Route(request.url().path().to_owned());
    let call = Call::of(client, service, place).await?;
    if call.is_free() {
        return free(client, service, request).await;
    }
    if call.is_metered() {
        // how a stream says at its end what it cost
        request.headers_mut().insert(TE, HeaderValue::from_static("trailers"));
    }
    let (answer, payment, tab) = call.pay(HttpCall { client, service, request: Some(request) }).await?;
    Ok(answer.paid(payment, tab))
}

async fn free(client: &Client, service: &Service, request: Request) -> Result<Response, ClientError> {
    let mut answer = client.send(request).await?;
    match refusal(client, service, &mut answer).await? {
        // not free after all
        Some(refusal) if refusal.body.error == Code::NoChannel => Err(refusal.into()),
        _ => Ok(answer),
    }
}

struct HttpCall<'a> {
    client: &'a Client,
    service: &'a Service,
    /// None once it was sent and can't be sent again.
    request: Option<Request>,
}

impl Carrier for HttpCall<'_> {
    type Answer = Response;

    async fn carry(&mut self, credential: &CredentialBody) -> Result<Carried<Response>, ClientError> {
        let origin = || self.service.name.clone();
        let mut request =
            self.request.take().ok_or_else(|| ClientError::BodyNotRepeatable { origin: origin() })?;
        self.request = request.try_clone();
        credential_headers(request.headers_mut(), credential);
        let mut answer = match self.client.send(request).await {
            Ok(answer) => answer,
            Err(ClientError::Http(error)) if error.is_connect() => return Ok(Carried::Unsent(error.into())),
            Err(error) => return Err(error),
        };
        if let Some(refusal) = refusal(self.client, self.service, &mut answer).await? {
            return Ok(Carried::Refused(refusal));
        }
        let said = Said {
            cost: answer.amount(header::COST),
            spent: answer.amount(header::SPENT),
            balance: answer.amount(header::BALANCE),
            ended: answer.headers().contains_key(CONTENT_LENGTH),
            ..Said::default()
        };
        Ok(Carried::Answered(answer, said))
    }

    fn can_repeat(&self) -> bool {
        self.request.is_some()
    }
}

/// The AMP refusal in an answer. Its body is read here, so it must end in time too.
async fn refusal(
    client: &Client,
    service: &Service,
    answer: &mut Response,
) -> Result<Option<Refusal>, ClientError> {
    let (status, limit) = (answer.status().as_u16(), client.inner.settings.options.timeout);
    let url = service.origin.to_string();
    let read = tokio::time::timeout(limit, answer.refusal()).await;
    let body = read.map_err(|_| ClientError::TimedOut { url, seconds: limit.as_secs() })??;
    Ok(body.map(|body| Refusal { status, body: Box::new(body) }))
}
