//! What the protocol itself asks of a service, by the transport that there is to it.

use amp_protocol::json::{DiscoveryDocument, ErrorBody};
use amp_protocol::money::Seq;
use amp_protocol::text::path;
use reqwest::{Method, Request};
use serde::de::DeserializeOwned;

use super::error::ClientError;
use super::http::{Client, credential_headers};
use super::service::Service;
use super::store::ChannelRecord;
use super::{body, discovery};
use crate::signed::sign_credential;

/// A question that comes with a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// How the channel stands.
    Status,
    /// Accept a higher credential.
    Raise,
    /// Stop for good, and say what is owed.
    Close,
}

impl Operation {
    fn http(self) -> (Method, &'static str) {
        match self {
            Self::Status => (Method::GET, path::CHANNEL),
            Self::Raise => (Method::POST, path::CREDENTIAL),
            Self::Close => (Method::POST, path::CLOSE),
        }
    }
}

impl Client {
    /// Fetches what the service says of itself.
    pub(super) async fn discover(&self, service: &Service) -> Result<DiscoveryDocument, ClientError> {
        #[cfg(feature = "mcp")]
        if let Some(peer) = service.peer() {
            return super::mcp::discover(self, service, &peer).await;
        }
        #[cfg(feature = "grpc")]
        if let Some(channel) = service.grpc() {
            return super::grpc::discover(self, service, channel).await;
        }
        discovery::check_http(&service.origin)?;
        discovery::fetch(&self.inner.settings, &self.inner.http, &service.origin).await
    }

    /// Asks with a credential of this seq. Anything but success is an error.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        service: &Service,
        record: &ChannelRecord,
        operation: Operation,
        seq: Seq,
    ) -> Result<T, ClientError> {
        let settings = &self.inner.settings;
        let credential = sign_credential(settings.signer(), &record.channel, record.epoch(), seq).await?;
        #[cfg(feature = "mcp")]
        if let Some(peer) = service.peer() {
            return super::mcp::ask(self, service, &peer, operation, &credential).await;
        }
        #[cfg(feature = "grpc")]
        if let Some(channel) = service.grpc() {
            return super::grpc::ask(self, service, channel, operation, &credential).await;
        }
        discovery::check_http(&service.origin)?;
        let (method, path) = operation.http();
        let url = service.origin.join(path).map_err(|_| ClientError::Url(service.name.clone()))?;
        let mut request = Request::new(method, url);
        credential_headers(request.headers_mut(), &credential);
        let answer = body::small(&self.inner.http, request, settings.options.timeout).await?;
        if !(200..300).contains(&answer.status) {
            let status = answer.status;
            let body: ErrorBody = answer.json()?;
            return Err(ClientError::Refused { status, body: Box::new(body) });
        }
        answer.json()
    }
}
