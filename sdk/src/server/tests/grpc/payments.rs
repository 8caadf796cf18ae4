//! `amp.v1.Payments`: discovery and the credentialed operations.

use super::*;
use crate::grpc::proto::payments_client::PaymentsClient;
use crate::grpc::proto::{self, CredentialedRequest, DiscoveryRequest};
use crate::signed::{verify_close_statement, verify_metering_proof};
use crate::signer::Signer as _;
use amp_protocol::json::{ChannelStatus, CloseResponse, DiscoveryDocument};

fn with(credential: &CredentialBody) -> CredentialedRequest {
    CredentialedRequest { credential: Some(credential.into()) }
}

#[tokio::test]
async fn discovery_says_what_the_document_over_http_says() {
    let stage = Stage::new().await;
    let mut client = PaymentsClient::new(stage.channel.clone());
    let document = client.discovery(DiscoveryRequest {}).await.unwrap().into_inner();
    assert_eq!(DiscoveryDocument::try_from(&document), Ok(stage.service.discovery()));
}

#[tokio::test]
async fn the_status_has_the_last_signature_and_a_receipt_that_verifies() {
    let stage = Stage::new().await;
    stage.call("Quote", 10).await.unwrap();
    let mut client = PaymentsClient::new(stage.channel.clone());
    let answer = client.channel(with(&stage.bench.credential(0).await)).await.unwrap().into_inner();
    let status = ChannelStatus::try_from(&answer).unwrap();
    assert_eq!((status.spent.get(), status.balance.get(), status.last_seq.get()), (10, 9_990, 10));
    assert_eq!(status.last_sig, Some(stage.bench.credential(10).await.sig));
    let recipient = stage.bench.recipient.public_key().to_bytes();
    assert!(verify_metering_proof(&status.metering_proof.unwrap(), &recipient));
}

#[tokio::test]
async fn a_higher_credential_is_taken_from_the_message_or_from_the_metadata() {
    let stage = Stage::new().await;
    let mut client = PaymentsClient::new(stage.channel.clone());
    let raised = client.raise(with(&stage.bench.credential(50).await)).await.unwrap().into_inner();
    assert_eq!((raised.last_seq, raised.spent, raised.balance), (50, 0, 10_000));
    let metadata = signed(&stage.bench.credential(60).await);
    let request = Request::from_parts(metadata, Default::default(), CredentialedRequest { credential: None });
    assert_eq!(client.raise(request).await.unwrap().into_inner().last_seq, 60);
    let used = client.raise(with(&stage.bench.credential(60).await)).await.unwrap_err();
    assert_eq!(code(&used), (tonic::Code::InvalidArgument, "AMP_INVALID_SEQ"));
}

#[tokio::test]
async fn a_close_gives_a_statement_that_verifies_and_stops_service() {
    let stage = Stage::new().await;
    stage.call("Quote", 10).await.unwrap();
    let mut client = PaymentsClient::new(stage.channel.clone());
    let old = client.close(with(&stage.bench.credential(9).await)).await.unwrap_err();
    assert_eq!(code(&old), (tonic::Code::InvalidArgument, "AMP_INVALID_SEQ"));
    let closed = client.close(with(&stage.bench.credential(10).await)).await.unwrap().into_inner();
    let closed = CloseResponse::try_from(&closed).unwrap();
    assert_eq!(closed.close_statement.owed_total.get(), 10);
    let recipient = stage.bench.recipient.public_key().to_bytes();
    assert!(verify_close_statement(&closed.close_statement, &recipient));
    let status = stage.call("Quote", 20).await.unwrap_err();
    assert_eq!(code(&status), (tonic::Code::FailedPrecondition, "AMP_CLOSED"));
}

#[tokio::test]
async fn a_request_without_a_credential_or_with_half_a_one_is_refused() {
    let stage = Stage::new().await;
    let mut client = PaymentsClient::new(stage.channel.clone());
    let missing = client.channel(CredentialedRequest { credential: None }).await.unwrap_err();
    assert_eq!(code(&missing), (tonic::Code::FailedPrecondition, "AMP_NO_CHANNEL"));
    let credential = proto::Credential { channel: vec![1; 32], seq: 1, sig: vec![2; 63] };
    let half = CredentialedRequest { credential: Some(credential) };
    let half = client.raise(half).await.unwrap_err();
    assert_eq!(half.code(), tonic::Code::InvalidArgument);
    assert!(half.message().contains("credential.sig"), "{}", half.message());
}

#[tokio::test]
async fn a_forged_credential_is_unauthenticated_everywhere() {
    let stage = Stage::new().await;
    let mut client = PaymentsClient::new(stage.channel.clone());
    let mut forged = stage.bench.credential(10).await;
    forged.sig.0[5] ^= 1;
    let answers = [
        client.raise(with(&forged)).await.unwrap_err(),
        client.channel(with(&forged)).await.unwrap_err(),
        client.close(with(&forged)).await.unwrap_err(),
    ];
    for status in answers {
        assert_eq!(code(&status), (tonic::Code::Unauthenticated, "AMP_INVALID_SIG"));
    }
}
