//! `amp.v1.Payments`, asked of the service.

use amp_protocol::json::{ChannelStatus, CloseResponse, CredentialBody, DiscoveryDocument};
use serde::de::DeserializeOwned;
use tonic::transport::Channel;
use tonic::{Code, Response, Status};

use crate::client::call::Refusal;
use crate::client::error::DiscoveryFailure;
use crate::client::operation::Operation;
use crate::client::service::Service;
use crate::client::{Client, ClientError, discovery};
use crate::grpc::error_body;
use crate::grpc::proto::payments_client::PaymentsClient;
use crate::grpc::proto::{CredentialedRequest, DiscoveryRequest};

/// Most bytes of an answer: a document with hundreds of routes fits.
const LARGEST: usize = crate::client::body::LIMIT;

/// `Discovery`.
pub(in crate::client) async fn discover(
    client: &Client,
    service: &Service,
    channel: Channel,
) -> Result<DiscoveryDocument, ClientError> {
    let mut payments = PaymentsClient::new(channel).max_decoding_message_size(LARGEST);
    let answer = within(client, service, payments.discovery(DiscoveryRequest {})).await?;
    let unusable = |reason| ClientError::Discovery { origin: service.name.clone(), reason };
    let document = DiscoveryDocument::try_from(&answer);
    let document = document.map_err(|unreadable| unusable(DiscoveryFailure::Message(unreadable)))?;
    let document = document.of_known_version();
    let document = document.map_err(|error| unusable(DiscoveryFailure::Document(error)))?;
    discovery::check(&client.inner.settings, &service.origin, &document)?;
    Ok(document)
}

/// One of the protocol's own questions, with a credential.
pub(in crate::client) async fn ask<T: DeserializeOwned>(
    client: &Client,
    service: &Service,
    channel: Channel,
    operation: Operation,
    credential: &CredentialBody,
) -> Result<T, ClientError> {
    let mut payments = PaymentsClient::new(channel).max_decoding_message_size(LARGEST);
    let request = CredentialedRequest { credential: Some(credential.into()) };
    let unreadable = || ClientError::Protocol { url: service.name.clone(), status: 200 };
    // for whoever asked it is the same object on all transports
    let answer = match operation {
        Operation::Status => {
            let status = within(client, service, payments.channel(request)).await?;
            serde_json::to_value(ChannelStatus::try_from(&status).map_err(|_| unreadable())?)
        }
        Operation::Raise => {
            let status = within(client, service, payments.raise(request)).await?;
            serde_json::to_value(ChannelStatus::try_from(&status).map_err(|_| unreadable())?)
        }
        Operation::Close => {
            let closed = within(client, service, payments.close(request)).await?;
            serde_json::to_value(CloseResponse::try_from(&closed).map_err(|_| unreadable())?)
        }
    };
    answer.and_then(serde_json::from_value).map_err(|_| unreadable())
}

async fn within<T>(
    client: &Client,
    service: &Service,
    answer: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, ClientError> {
    let limit = client.inner.settings.options.timeout;
    let timed_out = || ClientError::TimedOut { url: service.name.clone(), seconds: limit.as_secs() };
    let answer = tokio::time::timeout(limit, answer).await.map_err(|_| timed_out())?;
    Ok(answer.map_err(failed)?.into_inner())
}

/// A refusal as such, anything else as it is.
pub(super) fn failed(status: Status) -> ClientError {
    match error_body(&status) {
        Some(body) => Refusal::from(Box::new(body)).into(),
        None => status.into(),
    }
}

/// Whether a service does not know `amp.v1.Payments`.
pub(super) fn knows_no_amp(error: &ClientError) -> bool {
    matches!(error, ClientError::Grpc(status) if status.code() == Code::Unimplemented)
}
