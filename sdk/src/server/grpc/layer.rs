use std::net::IpAddr;

use http::{HeaderMap, Request};
use tower::Layer;

use super::call::AmpGrpcMiddleware;
use crate::server::middleware::PeerRule;
use crate::server::service::AmpService;

/// Puts an [`AmpService`] in front of gRPC services: for `tonic::transport::Server::builder().layer(..)`, and for an
/// axum router that tonic's routes became, before others with an [`AmpLayer`](crate::server::AmpLayer) are merged
/// into it.
#[derive(Clone)]
pub struct AmpGrpcLayer {
    service: AmpService,
    peer: PeerRule,
}

impl AmpGrpcLayer {
    /// A layer that charges for this service.
    pub fn new(service: AmpService) -> Self {
        Self { service, peer: PeerRule::default() }
    }

    /// Says from where a call comes; see [`AmpLayer::peer`](crate::server::AmpLayer::peer).
    pub fn peer(
        self,
        peer: impl Fn(&HeaderMap, Option<IpAddr>) -> Option<IpAddr> + Send + Sync + 'static,
    ) -> Self {
        Self { peer: PeerRule::new(peer), ..self }
    }

    /// The service for whoever made a call.
    pub(super) fn service_for<B>(&self, request: &Request<B>) -> AmpService {
        self.peer.service_for(&self.service, request.headers(), request.extensions())
    }
}

impl<S> Layer<S> for AmpGrpcLayer {
    type Service = AmpGrpcMiddleware<S>;

    fn layer(&self, inner: S) -> AmpGrpcMiddleware<S> {
        AmpGrpcMiddleware::new(inner, self.clone())
    }
}
