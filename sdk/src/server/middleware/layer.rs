use std::net::IpAddr;

use http::{HeaderMap, Request};
use tower::Layer;

use super::peer::PeerRule;
use super::service::AmpMiddleware;
use crate::server::service::AmpService;

/// Puts an [`AmpService`] in front of an HTTP service. On an axum router, add it after the routes and
/// the fallback: what is added later is served free. A CORS layer goes around it, since browsers ask
/// for permission without a credential.
///
/// So that no client can use up the look-ups of all, tell it where requests come from: serve the router with
/// `into_make_service_with_connect_info::<SocketAddr>()`. Behind a proxy all come from there; see [`Self::peer`].
#[derive(Clone)]
pub struct AmpLayer {
    service: AmpService,
    peer: PeerRule,
}

impl AmpLayer {
    /// A layer that charges for this service.
    pub fn new(service: AmpService) -> Self {
        Self { service, peer: PeerRule::default() }
    }

    /// Says from where a request comes: by its headers, and the other end of its connection where that is known;
    /// the latter, unless set. No header is believed by default, as any client can send any.
    ///
    /// ```
    /// # use std::net::IpAddr;
    /// # fn layer(layer: amp_sdk::server::AmpLayer, proxy: IpAddr) -> amp_sdk::server::AmpLayer {
    /// layer.peer(move |headers, connected| {
    ///     if connected != Some(proxy) {
    ///         return connected;
    ///     }
    ///     // the last one is the proxy's own: those before it are whatever the client sent
    ///     let forwarded = headers.get_all("x-forwarded-for").iter().last()?.to_str().ok()?;
    ///     forwarded.rsplit(',').next()?.trim().parse().ok()
    /// })
    /// # }
    /// ```
    pub fn peer(
        self,
        peer: impl Fn(&HeaderMap, Option<IpAddr>) -> Option<IpAddr> + Send + Sync + 'static,
    ) -> Self {
        Self { peer: PeerRule::new(peer), ..self }
    }

    /// The service for whoever sent a request.
    pub(super) fn service_for<B>(&self, request: &Request<B>) -> AmpService {
        self.peer.service_for(&self.service, request.headers(), request.extensions())
    }
}

impl<S> Layer<S> for AmpLayer {
    type Service = AmpMiddleware<S>;

    fn layer(&self, inner: S) -> AmpMiddleware<S> {
        AmpMiddleware::new(inner, self.clone())
    }
}
