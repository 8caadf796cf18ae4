use std::sync::Arc;

use futures::StreamExt as _;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message as Frame};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config};
use url::Url;

use crate::client::config::Options;
use crate::client::error::ClientError;

/// Escaped, a text has at most six times its bytes; and what it is wrapped in.
const ESCAPES: usize = 6;
const WRAPPING: usize = 64;
/// Buffer for what is read of a socket, in bytes.
const READ_BUFFER: usize = 16 * 1024;

pub(super) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Opens a connection, or says why not within `limit`.
pub(super) async fn open(url: &Url, options: &Options) -> Result<Socket, ClientError> {
    let limit = options.timeout;
    let opened = timeout(limit, connect(url, options)).await;
    let failed = |error: &dyn std::fmt::Display| ClientError::Socket {
        url: url.to_string(),
        reason: error.to_string(),
    };
    opened
        .map_err(|_| ClientError::TimedOut { url: url.to_string(), seconds: limit.as_secs() })?
        .map_err(|error| failed(&error))
}

async fn connect(url: &Url, options: &Options) -> Result<Socket, Error> {
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or(443);
    // an IPv6 address stands in brackets in a URL
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    let connector = match url.scheme() {
        "wss" => Connector::Rustls(tls(&options.trusted)?),
        _ => Connector::Plain,
    };
    let most = options.max_socket_message.saturating_mul(ESCAPES).saturating_add(WRAPPING);
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .max_message_size(Some(most))
        .max_frame_size(Some(most));
    let (socket, _) =
        client_async_tls_with_config(url.as_str(), stream, Some(config), Some(connector)).await?;
    Ok(socket)
}

/// The certificates that the HTTP client trusts too, and a provider that nobody else in the process chooses.
fn tls(trusted: &[Vec<u8>]) -> Result<Arc<ClientConfig>, Error> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    for pem in trusted {
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(std::io::Error::other)?;
            roots.add(certificate).map_err(std::io::Error::other)?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(std::io::Error::other)?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

/// The next text frame; none where the service leaves without one.
pub(super) async fn text(socket: &mut Socket) -> Result<Option<String>, Error> {
    while let Some(frame) = socket.next().await {
        match frame? {
            Frame::Text(text) => return Ok(Some(text.as_str().to_owned())),
            Frame::Ping(_) | Frame::Pong(_) => {}
            Frame::Binary(_) | Frame::Close(_) | Frame::Frame(_) => return Ok(None),
        }
    }
    Ok(None)
}
