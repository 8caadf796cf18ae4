//! Which program is paid: the one that the client pins. A thief who deploys a program of his own and names it to
//! clients would own whatever they deposit.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use amp_e2e_tests::{Market, MarketClient, Order, PRICE};
use amp_protocol::deployment::RECORDED;
use amp_protocol::text::{header, path};
use amp_sdk::chain::PROGRAM_ID;
use amp_sdk::client::{Client, ClientBuilder, ClientError};
use amp_sdk::signer::{KeypairSigner, Signer, SignerError};
use async_trait::async_trait;
use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use solana_address::Address;
use tonic::transport::Channel;

const THIEF: Address = Address::new_from_array([66; 32]);

/// A key that counts its signatures, whatever is signed.
#[derive(Clone)]
struct Watched {
    key: KeypairSigner,
    signed: Arc<AtomicU64>,
}

impl Watched {
    fn person(market: &Market) -> Self {
        Self { key: market.person(), signed: Arc::default() }
    }

    fn signatures(&self) -> u64 {
        self.signed.load(Ordering::SeqCst)
    }

    /// A client of its own that has seen nothing yet.
    fn builder(&self, market: &Market, folder: &tempfile::TempDir) -> ClientBuilder {
        Client::builder()
            .funder(self.clone())
            .chain(Arc::new(market.chain.clone()))
            .allow_mint(market.mint.address)
            .store(folder.path().join("client.db"))
    }
}

#[async_trait]
impl Signer for Watched {
    fn public_key(&self) -> Address {
        self.key.public_key()
    }

    async fn sign(&self, message: &[u8]) -> Result<solana_signature::Signature, SignerError> {
        self.signed.fetch_add(1, Ordering::SeqCst);
        self.key.sign(message).await
    }
}

fn is_wrong_program(error: &ClientError) -> bool {
    matches!(error, ClientError::WrongProgram { named, pinned, .. }
        if named.0 == THIEF.to_bytes() && *pinned == PROGRAM_ID)
}

#[tokio::test]
async fn a_service_that_names_another_program_gets_nothing_signed_on_any_cluster() {
    for (network, _) in RECORDED {
        let thief = move |config: amp_sdk::server::ServiceConfig| config.network(network).program_id(THIEF);
        let market = Market::builder().service(thief).open().await;
        let (agent, folder) = (Watched::person(&market), tempfile::tempdir().unwrap());
        let client = agent.builder(&market, &folder).network(network).program_id(PROGRAM_ID);
        let client = client.build().await.unwrap();
        let before = market.tokens(&agent.key);
        for _ in 0..2 {
            let error = client.get(&market.url("/quote")).await.unwrap_err();
            assert!(is_wrong_program(&error), "{network}: {error}");
        }
        let grpc = market.grpc_origin();
        let connection = Channel::from_shared(grpc.to_owned()).unwrap().connect().await.unwrap();
        let mut calls = MarketClient::new(client.grpc(grpc, connection).unwrap());
        let status = calls.quote(Order { count: 1, size: 1 }).await.unwrap_err();
        let error = std::error::Error::source(&status).and_then(|error| error.downcast_ref());
        assert!(error.is_some_and(is_wrong_program), "{network}: {status}");
        assert_eq!(agent.signatures(), 0, "{network}");
        assert_eq!((market.tokens(&agent.key), market.served()), (before, 0), "{network}");
        assert!(client.channels().await.unwrap().is_empty());
        market.end();
    }
}

/// The same client and keys sign where the program is the pinned one: the test above can fail.
#[tokio::test]
async fn a_service_that_names_the_pinned_program_is_paid_on_every_cluster() {
    for (network, _) in RECORDED {
        let honest =
            move |config: amp_sdk::server::ServiceConfig| config.network(network).program_id(PROGRAM_ID);
        let market = Market::builder().service(honest).open().await;
        let (agent, folder) = (Watched::person(&market), tempfile::tempdir().unwrap());
        let client = agent.builder(&market, &folder).network(network).program_id(PROGRAM_ID);
        let client = client.build().await.unwrap();
        let answer = client.get(&market.url("/quote")).await.unwrap();
        assert_eq!(answer.payment().unwrap().cost.unwrap().get(), PRICE, "{network}");
        // the opening and the credential
        assert_eq!(agent.signatures(), 2, "{network}");
        market.chain.advance_slots(1);
        client.close_all().await.unwrap();
        market.end();
    }
}

#[tokio::test]
async fn another_program_in_the_402_than_in_the_discovery_document_gets_nothing_signed() {
    let market = Market::open().await;
    let document = serde_json::to_string(&market.service().discovery()).unwrap();
    let refuse = || async {
        let headers = [(header::VERSION, "1.0".to_owned()), (header::PROGRAM, THIEF.to_string())];
        (StatusCode::PAYMENT_REQUIRED, headers, "{}")
    };
    let router = Router::new().route(path::DISCOVERY, get(move || async move { document })).fallback(refuse);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/quote", listener.local_addr().unwrap());
    let server = tokio::spawn(async move { axum::serve(listener, router).await });

    let (agent, folder) = (Watched::person(&market), tempfile::tempdir().unwrap());
    let client = agent.builder(&market, &folder).build().await.unwrap();
    let error = client.get(&url).await.unwrap_err();
    assert!(is_wrong_program(&error), "{error}");
    assert_eq!(agent.signatures(), 0);
    server.abort();
    market.end();
}
