//! `amp/*`, asked over a session.

use std::time::Duration;

use amp_protocol::json::{CredentialBody, DiscoveryDocument};
use amp_protocol::text::mcp;
use rmcp::ServiceError;
use rmcp::model::{ClientRequest, CustomRequest, RequestMetaObject, ServerResult};
use rmcp::service::{Peer, PeerRequestOptions, RoleClient};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::carry::{failed, refusal};
use crate::client::operation::Operation;
use crate::client::service::Service;
use crate::client::{Client, ClientError, discovery};

impl Operation {
    fn method(self) -> &'static str {
        match self {
            Self::Status => mcp::CHANNEL,
            Self::Raise => mcp::CREDENTIAL,
            Self::Close => mcp::CLOSE,
        }
    }
}

/// `amp/pricing`.
pub(in crate::client) async fn discover(
    client: &Client,
    service: &Service,
    peer: &Peer<RoleClient>,
) -> Result<DiscoveryDocument, ClientError> {
    let timeout = client.inner.settings.options.timeout;
    let request = CustomRequest::new(mcp::PRICING, None);
    let answer = send(peer, request, timeout).await.map_err(|error| failed(service, error))?;
    discovery::read(&client.inner.settings, &service.origin, answer.to_string().as_bytes())
}

/// One of the protocol's own questions, with a credential.
pub(in crate::client) async fn ask<T: DeserializeOwned>(
    client: &Client,
    service: &Service,
    peer: &Peer<RoleClient>,
    operation: Operation,
    credential: &CredentialBody,
) -> Result<T, ClientError> {
    let mut request = CustomRequest::new(operation.method(), Some(json!({})));
    request.extensions.insert(meta_with(RequestMetaObject::new(), credential));
    let answer = send(peer, request, client.inner.settings.options.timeout).await.map_err(|error| {
        match refusal(&error) {
            Some(refusal) => refusal.into(),
            None => failed(service, error),
        }
    })?;
    let unreadable = |_| ClientError::Protocol { url: service.name.clone(), status: 200 };
    serde_json::from_value(answer).map_err(unreadable)
}

/// The credential in its place.
pub(super) fn meta_with(mut meta: RequestMetaObject, credential: &CredentialBody) -> RequestMetaObject {
    meta.0.0.insert(mcp::META.to_owned(), json!(credential));
    meta
}

async fn send(
    peer: &Peer<RoleClient>,
    request: CustomRequest,
    timeout: Duration,
) -> Result<Value, ServiceError> {
    let options = PeerRequestOptions::with_timeout(timeout);
    let request = ClientRequest::CustomRequest(request);
    match peer.send_request_with_option(request, options).await?.await_response().await? {
        ServerResult::CustomResult(answer) => Ok(answer.0),
        _ => Err(ServiceError::UnexpectedResponse),
    }
}
