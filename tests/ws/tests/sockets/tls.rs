//! `wss` and `https`, behind a proxy that ends TLS, with a certificate of an authority of one's own.

use std::net::SocketAddr;
use std::sync::Arc;

use amp_protocol::money::Amount;
use amp_sdk::client::ClientError;
use amp_sdk::server::Message;
use amp_ws_tests::{CALL, Exchange};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// Ends TLS in front of `service`; where, and the authority's certificate in PEM.
async fn tls_in_front_of(service: SocketAddr) -> (SocketAddr, String) {
    let mut authority = CertificateParams::new([]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let (acceptor, listener) =
        (TlsAcceptor::from(Arc::new(config)), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut outside) = acceptor.accept(stream).await else { return };
                let mut inside = TcpStream::connect(service).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
            });
        }
    });
    (address, authority.pem())
}

#[tokio::test]
async fn sockets_and_calls_are_paid_over_tls_with_an_authority_that_is_trusted() {
    let exchange = Exchange::open().await;
    let (address, authority) = tls_in_front_of(exchange.address).await;
    let url = format!("wss://{address}/echo");

    let stranger = exchange.agent().await;
    let refused = stranger.connect(&url).await.unwrap_err();
    assert!(matches!(refused, ClientError::Http(_)), "{refused:?}");
    assert!(
        stranger.channels().await.unwrap().is_empty(),
        "nothing is opened for a certificate nobody vouches for"
    );
    drop(stranger);

    let agent = exchange.builder().trust_certificates(authority).build().await.unwrap();
    let mut socket = agent.connect(&url).await.unwrap();
    socket.send("x").await.unwrap();
    assert_eq!(socket.recv().await.unwrap(), Some(Message::text("x")));
    let receipt = socket.close().await.unwrap().unwrap();
    assert_eq!((receipt.cost, receipt.spent), (Amount::new(CALL), Amount::new(CALL)));
    let status = agent.status(&format!("https://{address}")).await.unwrap();
    assert_eq!(status.spent, Amount::new(CALL));
}

#[tokio::test]
async fn what_is_no_certificate_is_not_trusted() {
    let exchange = Exchange::open().await;
    for pem in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let error = exchange.builder().trust_certificates(pem).build().await.err().unwrap();
        assert!(matches!(error, ClientError::Incomplete(_) | ClientError::Http(_)), "{error:?}");
    }
}
