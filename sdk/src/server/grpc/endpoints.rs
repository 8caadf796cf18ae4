//! `amp.v1.Payments`, over the same operations that HTTP has endpoints for.

use std::convert::Infallible;

use amp_protocol::json::CredentialBody;
use async_trait::async_trait;
use http::{HeaderMap, Response};
use tonic::body::Body;
use tonic::{Request, Status};
use tower::Service as _;

use super::refuse;
use crate::grpc::proto::payments_server::{Payments, PaymentsServer};
use crate::grpc::proto::{self, CredentialedRequest, DiscoveryRequest};
use crate::server::denial::Denial;
use crate::server::middleware::credential_from_headers;
use crate::server::service::AmpService;

/// A credential has about 120 bytes.
const LARGEST: usize = 4_096;

/// Answers a method of `amp.v1.Payments`.
pub(super) async fn answer(service: AmpService, request: http::Request<Body>) -> Response<Body> {
    let mut payments = PaymentsServer::new(Endpoints(service)).max_decoding_message_size(LARGEST);
    let answered: Result<_, Infallible> = payments.call(request).await;
    match answered {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

struct Endpoints(AmpService);

impl Endpoints {
    fn refuse(&self, denial: &Denial) -> Status {
        refuse::status(denial, Some(&self.0.prices().table().default))
    }

    /// The credential of the metadata, or else the one of the message.
    fn credential(&self, request: &Request<CredentialedRequest>) -> Result<CredentialBody, Status> {
        let headers: &HeaderMap = request.metadata().as_ref();
        let found = credential_from_headers(headers).map_err(|denial| self.refuse(&denial))?;
        if let Some(credential) = found {
            return Ok(credential);
        }
        let credential = request.get_ref().credential.as_ref();
        let credential = credential.ok_or_else(|| self.refuse(&refuse::missing()))?;
        credential.try_into().map_err(|unreadable| Status::invalid_argument(format!("{unreadable}")))
    }
}

#[async_trait]
impl Payments for Endpoints {
    async fn discovery(
        &self,
        _: Request<DiscoveryRequest>,
    ) -> Result<tonic::Response<proto::DiscoveryDocument>, Status> {
        Ok(tonic::Response::new((&self.0.discovery()).into()))
    }

    async fn raise(
        &self,
        request: Request<CredentialedRequest>,
    ) -> Result<tonic::Response<proto::ChannelStatus>, Status> {
        let credential = self.credential(&request)?;
        let receipt = self.0.raise_ceiling(&credential).await.map_err(|denial| self.refuse(&denial))?;
        Ok(tonic::Response::new((&receipt.status(&credential)).into()))
    }

    async fn channel(
        &self,
        request: Request<CredentialedRequest>,
    ) -> Result<tonic::Response<proto::ChannelStatus>, Status> {
        let status = self.0.channel_status(&self.credential(&request)?).await;
        Ok(tonic::Response::new((&status.map_err(|denial| self.refuse(&denial))?).into()))
    }

    async fn close(
        &self,
        request: Request<CredentialedRequest>,
    ) -> Result<tonic::Response<proto::CloseResponse>, Status> {
        let closed = self.0.close(&self.credential(&request)?).await;
        Ok(tonic::Response::new((&closed.map_err(|denial| self.refuse(&denial))?).into()))
    }
}
