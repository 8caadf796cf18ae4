use tower::Layer;

use super::service::AmpMiddleware;
use crate::server::service::AmpService;

/// Puts an [`AmpService`] in front of an HTTP service. On an axum router, add it after the routes and
/// the fallback: what is added later is served free. A CORS layer goes around it, since browsers ask
/// for permission without a credential.
#[derive(Clone)]
pub struct AmpLayer {
    service: AmpService,
}

impl AmpLayer {
    /// A layer that charges for this service.
    pub fn new(service: AmpService) -> Self {
        Self { service }
    }
}

impl<S> Layer<S> for AmpLayer {
    type Service = AmpMiddleware<S>;

    fn layer(&self, inner: S) -> AmpMiddleware<S> {
        AmpMiddleware::new(inner, self.service.clone())
    }
}
