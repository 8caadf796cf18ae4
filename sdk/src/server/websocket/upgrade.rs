use axum::extract::ws::WebSocketUpgrade;
use axum::response::Response;

use super::limits::SocketLimits;
use super::session::Session;
use super::socket::PaidSocket;
use crate::server::admission::Payment;
use crate::server::service::AmpService;

/// Buffer for what is read of each socket, in bytes: most sockets are idle, and a larger message has a buffer of
/// its own.
const READ_BUFFER: usize = 4 * 1024;

/// Sockets of a service, each paid for as its route is priced.
#[derive(Clone, Debug)]
pub struct AmpWebSocket {
    service: AmpService,
    limits: SocketLimits,
}

impl AmpWebSocket {
    /// Sockets within the usual limits. So that no client can use up the look-ups of all, give it
    /// [`AmpService::for_peer`] of whoever asks.
    pub fn new(service: AmpService) -> Self {
        Self { service, limits: SocketLimits::default() }
    }

    /// Other limits.
    #[must_use]
    pub fn limits(self, limits: SocketLimits) -> Self {
        Self { limits, ..self }
    }

    /// Opens a socket and runs `handler` on it, paid for as `route` is priced, or not at all where it is free. Name
    /// the route, not the path that was asked for: that has other spellings, and they may be cheaper.
    ///
    /// When the handler returns, the socket ends; when the socket ends, the handler's end of it says so.
    pub fn on_upgrade<H, F>(&self, upgrade: WebSocketUpgrade, route: &str, handler: H) -> Response
    where
        H: FnOnce(PaidSocket) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let nothing = |_| std::future::ready(Ok(()));
        self.on_upgrade_after(upgrade, route, nothing, |socket, ()| handler(socket))
    }

    /// The same where something comes before the socket is open that depends on who pays (nobody, where it is
    /// free): a connection to somebody else, say. The handler gets what `prepare` made. Until then nothing is
    /// counted, not by the second either; where it fails, the client is told why, and it costs nothing.
    ///
    /// How long `prepare` may take is its own to say. While it does, nothing is read of the client.
    pub fn on_upgrade_after<P, R, T, H, F>(
        &self,
        upgrade: WebSocketUpgrade,
        route: &str,
        prepare: P,
        handler: H,
    ) -> Response
    where
        P: FnOnce(Option<Payment>) -> R + Send + 'static,
        R: Future<Output = Result<T, String>> + Send + 'static,
        T: Send + 'static,
        H: FnOnce(PaidSocket, T) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let Self { service, limits } = self.clone();
        let pricing = service.pricing(route);
        upgrade
            .max_message_size(limits.max_message)
            .max_frame_size(limits.max_message)
            .read_buffer_size(READ_BUFFER)
            .on_upgrade(move |socket| Session { service, pricing, limits }.run(socket, prepare, handler))
    }
}
