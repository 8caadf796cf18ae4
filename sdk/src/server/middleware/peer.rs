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
        let connected = extensions.get::<ConnectInfo<SocketAddr>>();
        let connected = connected.map(|ConnectInfo(address)| address.ip());
        match (self.0)(headers, connected) {
            Some(peer) => service.for_peer(peer),
            None => service.clone(),
        }
    }
}
