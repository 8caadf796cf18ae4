use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use http::{HeaderMap, Request};
use tonic::transport::server::TcpConnectInfo;
use tower::Layer;

use super::call::AmpGrpcMiddleware;
use crate::server::middleware::AmpLayer;
use crate::server::service::AmpService;

/// Puts an [`AmpService`] in front of gRPC services: for `tonic::transport::Server::builder().layer(..)`, and for an
/// axum router that tonic's routes became, before others with an [`AmpLayer`] are merged into it.
#[derive(Clone)]
pub struct AmpGrpcLayer(AmpLayer);

impl AmpGrpcLayer {
    /// A layer that charges for this service.
    pub fn new(service: AmpService) -> Self {
        Self(AmpLayer::new(service))
    }

    /// Says from where a call comes; see [`AmpLayer::peer`].
    pub fn peer(
        self,
        peer: impl Fn(&HeaderMap, Option<IpAddr>) -> Option<IpAddr> + Send + Sync + 'static,
    ) -> Self {
        Self(self.0.peer(peer))
    }

    /// The service for whoever made a call.
    pub(super) fn service_for<B>(&self, request: &Request<B>) -> AmpService {
        self.0.service_from(request.headers(), connected(request))
    }
}

/// The other end of the connection, by tonic's server or by axum's.
fn connected<B>(request: &Request<B>) -> Option<IpAddr> {
    let extensions = request.extensions();
    let by_tonic = || extensions.get::<TcpConnectInfo>()?.remote_addr();
    let by_axum = || Some(extensions.get::<ConnectInfo<SocketAddr>>()?.0);
    by_tonic().or_else(by_axum).map(|address| address.ip())
}

impl<S> Layer<S> for AmpGrpcLayer {
    type Service = AmpGrpcMiddleware<S>;

    fn layer(&self, inner: S) -> AmpGrpcMiddleware<S> {
        AmpGrpcMiddleware::new(inner, self.clone())
    }
}
