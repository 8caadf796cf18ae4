//! One call, there and back, and what the head of its answer says of its payment.

use amp_protocol::json::CredentialBody;
use amp_protocol::text::header;
use http::request::Parts;
use http::{HeaderMap, Request, Response};
use tonic::body::Body;
use tonic::transport::Channel;
use tonic::{ConnectError, Status};
use tower::{Service as _, ServiceExt as _};

use super::repeat::Repeatable;
use crate::client::call::{Carried, Carrier, Said};
use crate::client::http::credential_headers;
use crate::client::response::amount_in;
use crate::client::service::Service;
use crate::client::{Client, ClientError};
use crate::grpc::{refusal_in, status_in};

/// A call that may be sent several times.
pub(super) struct GrpcCall<'a> {
    pub(super) client: &'a Client,
    pub(super) service: &'a Service,
    pub(super) channel: Channel,
    pub(super) head: Parts,
    pub(super) body: Repeatable,
}

impl GrpcCall<'_> {
    fn request(&self, credential: &CredentialBody) -> Request<Body> {
        let mut request = Request::new(self.body.begin());
        *request.method_mut() = self.head.method.clone();
        *request.uri_mut() = self.head.uri.clone();
        *request.version_mut() = self.head.version;
        *request.headers_mut() = self.head.headers.clone();
        *request.extensions_mut() = self.head.extensions.clone();
        credential_headers(request.headers_mut(), credential);
        request
    }
}

impl Carrier for GrpcCall<'_> {
    type Answer = Response<Body>;

    async fn carry(&mut self, credential: &CredentialBody) -> Result<Carried<Response<Body>>, ClientError> {
        let request = self.request(credential);
        let limit = self.client.inner.settings.options.timeout;
        let answer = tokio::time::timeout(limit, send(&mut self.channel, request)).await;
        let timed_out =
            |_| ClientError::TimedOut { url: self.service.name.clone(), seconds: limit.as_secs() };
        let answer = match answer.map_err(timed_out)? {
            Ok(answer) => answer,
            Err(error) if never_left(&*error) => return Ok(Carried::Unsent(status(error).into())),
            Err(error) => return Err(status(error).into()),
        };
        // an answer without a body has its end in its head
        if status_in(answer.headers()).is_none() {
            return Ok(Carried::Answered(answer, Said { later: true, ..Said::default() }));
        }
        let said = said_in(answer.headers());
        match refusal_in(answer.headers()).filter(|_| said.spent.is_none()) {
            Some(body) => Ok(Carried::Refused(Box::new(body).into())),
            None => Ok(Carried::Answered(answer, said)),
        }
    }

    fn can_repeat(&self) -> bool {
        self.body.can_repeat()
    }
}

/// Sends a call as it is.
pub(super) async fn send(
    channel: &mut Channel,
    request: Request<Body>,
) -> Result<Response<Body>, Box<tonic::transport::Error>> {
    let ready = channel.ready().await.map_err(Box::new)?;
    ready.call(request).await.map_err(Box::new)
}

/// What a failed sending is to the caller.
pub(super) fn status(error: Box<tonic::transport::Error>) -> Status {
    Status::from_error(error)
}

/// Whether there was no connection to send it by.
fn never_left(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source()).any(|error| error.is::<ConnectError>())
}

fn said_in(head: &HeaderMap) -> Said {
    let amount = |name| amount_in(head, name);
    let [cost, spent, balance] = [header::COST, header::SPENT, header::BALANCE].map(amount);
    Said { cost, spent, balance, ended: true, ..Said::default() }
}
