//! Connections to the API.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::{ClientConfig, RootCertStore};

/// How long a connection that nobody uses is kept: less than most servers keep it, so that few requests meet one that
/// is being closed.
const KEPT_IDLE: Duration = Duration::from_secs(30);

pub(super) type Upstream = Client<HttpsConnector<HttpConnector>, Body>;

/// A client that keeps its connections.
pub(super) fn client(connect_timeout: Duration) -> io::Result<Upstream> {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(connect_timeout));
    connector.set_nodelay(true);
    connector.enforce_http(false);
    let tls = (*tls()?).clone();
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .wrap_connector(connector);
    Ok(Client::builder(TokioExecutor::new()).pool_idle_timeout(KEPT_IDLE).build(connector))
}

/// Trusts whom the system trusts: APIs in a private network have authorities of their own.
pub(crate) fn tls() -> io::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = builder.map_err(io::Error::other)?.with_root_certificates(roots).with_no_client_auth();
    Ok(Arc::new(config))
}
