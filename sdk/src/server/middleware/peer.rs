//! Where a request comes from: whose budget of look-ups it uses.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::ConnectInfo;
use http::{Extensions, HeaderMap};

use crate::server::service::AmpService;

type Rule = dyn Fn(&HeaderMap, Option<IpAddr>) -> Option<IpAddr> + Send + Sync;

/// Whose request it is, by its headers and the other end of its connection. The latter, unless told
/// otherwise: any client can send any header.
#[derive(Clone)]
pub(crate) struct PeerRule(Arc<Rule>);

impl Default for PeerRule {
    fn default() -> Self {
        Self::new(|_, connected| connected)
    }
}

impl PeerRule {
    pub(crate) fn new(
        rule: impl Fn(&HeaderMap, Option<IpAddr>) -> Option<IpAddr> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(rule))
    }

    /// The service for whoever sent a request with these headers and extensions.
    pub(crate) fn service_for(
        &self,
        service: &AmpService,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> AmpService {
        match (self.0)(headers, connected(extensions)) {
            Some(peer) => service.for_peer(peer),
            None => service.clone(),
        }
    }
}

/// The other end of the connection, where the server says who that is.
fn connected(extensions: &Extensions) -> Option<IpAddr> {
    #[cfg(feature = "grpc")]
    if let Some(connected) = extensions.get::<tonic::transport::server::TcpConnectInfo>() {
        return connected.remote_addr().map(|address| address.ip());
    }
    extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip())
}
