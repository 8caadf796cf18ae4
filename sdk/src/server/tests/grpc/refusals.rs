use super::*;
use crate::server::Denial;
use crate::server::testing::MINT;
use amp_protocol::code::Code;
use amp_protocol::json::Shortage;
use amp_protocol::money::Seq;

async fn refused(stage: &Stage, seq: u64) -> Status {
    stage.call("Quote", seq).await.unwrap_err()
}

#[tokio::test]
async fn no_credential_is_asked_for_payment_with_the_price() {
    let stage = Stage::new().await;
    let status = stage.unary("Quote", MetadataMap::new()).await.unwrap_err();
    assert_eq!(code(&status), (tonic::Code::FailedPrecondition, "AMP_NO_CHANNEL"));
    let pricing = error_body(&status).unwrap().amp_pricing.unwrap();
    assert_eq!((pricing.rate, pricing.token.0), (Amount::new(10), MINT));
    assert!(status.message().contains("amp.v1.Payments/Discovery"), "{}", status.message());
}

#[tokio::test]
async fn an_unknown_channel_is_a_failed_precondition_with_the_price() {
    let stage = Stage::new().await;
    stage.bench.chain.remove(CHANNEL);
    let status = refused(&stage, 10).await;
    assert_eq!(code(&status), (tonic::Code::FailedPrecondition, "AMP_NO_CHANNEL"));
    let body = error_body(&status).unwrap();
    assert_eq!((body.channel, body.amp_pricing.is_some()), (Some(CHANNEL.into()), true));
}

#[tokio::test]
async fn a_ceiling_below_the_price_names_the_seq_and_uses_nothing_up() {
    let stage = Stage::new().await;
    let status = refused(&stage, 9).await;
    assert_eq!(code(&status), (tonic::Code::FailedPrecondition, "AMP_UNDERFUNDED"));
    let body = error_body(&status).unwrap();
    assert_eq!((body.shortage, body.required_seq), (Some(Shortage::Ceiling), Some(Seq::new(10))));
    assert!(body.amp_pricing.is_some());
    stage.call("Quote", 10).await.unwrap();
}

#[tokio::test]
async fn a_deposit_that_is_used_up_is_a_failed_precondition() {
    let stage = Stage::new().await;
    let status = refused(&stage, 10_001).await;
    assert_eq!(code(&status), (tonic::Code::FailedPrecondition, "AMP_UNDERFUNDED"));
    assert_eq!(error_body(&status).unwrap().shortage, Some(Shortage::Balance));
}

#[tokio::test]
async fn a_closing_channel_is_a_failed_precondition_without_a_price() {
    let stage = Stage::new().await;
    stage.bench.chain.change_channel(|account| (account.books.closing, account.closing_at) = (true, 1));
    let status = refused(&stage, 10).await;
    assert_eq!(code(&status), (tonic::Code::FailedPrecondition, "AMP_CLOSED"));
    assert_eq!(error_body(&status).unwrap().amp_pricing, None);
}

#[tokio::test]
async fn what_the_rate_can_not_collect_is_exhausted_and_says_how_long() {
    let stage = Stage::new().await;
    stage.bench.chain.change_channel(|account| account.terms.rate_limit = 15);
    stage.call("Quote", 10).await.unwrap();
    let status = refused(&stage, 20).await;
    assert_eq!(code(&status), (tonic::Code::ResourceExhausted, "AMP_RATE_EXCEEDED"));
    let seconds = error_body(&status).unwrap().retry_after.unwrap();
    assert!((1..=120).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn a_replayed_seq_is_an_invalid_argument_with_the_last_one() {
    let stage = Stage::new().await;
    stage.call("Quote", 30).await.unwrap();
    let status = refused(&stage, 30).await;
    assert_eq!(code(&status), (tonic::Code::InvalidArgument, "AMP_INVALID_SEQ"));
    assert_eq!(error_body(&status).unwrap().last_seq, Some(Seq::new(30)));
}

#[tokio::test]
async fn a_signature_that_does_not_verify_is_unauthenticated() {
    let stage = Stage::new().await;
    let mut forged = stage.bench.credential(10).await;
    forged.sig.0[0] ^= 1;
    let status = stage.unary("Quote", signed(&forged)).await.unwrap_err();
    assert_eq!(code(&status), (tonic::Code::Unauthenticated, "AMP_INVALID_SIG"));
    let elsewhere = stage.bench.credential_in(8, 10).await;
    let status = stage.unary("Quote", signed(&elsewhere)).await.unwrap_err();
    assert_eq!(code(&status), (tonic::Code::Unauthenticated, "AMP_INVALID_SIG"));
}

#[tokio::test]
async fn a_deposit_below_the_minimum_is_an_invalid_argument() {
    let stage = Stage::with(|config| config.min_deposit(Amount::new(10_001))).await;
    let status = refused(&stage, 10).await;
    assert_eq!(code(&status), (tonic::Code::InvalidArgument, "AMP_DEPOSIT_LOW"));
    assert_eq!(error_body(&status).unwrap().min_deposit, Some(Amount::new(10_001)));
}

#[tokio::test]
async fn a_chain_that_does_not_answer_is_unavailable_and_none_of_the_nine() {
    let stage = Stage::new().await;
    stage.bench.chain.go_down(true);
    let status = refused(&stage, 10).await;
    assert_eq!((status.code(), error_body(&status)), (tonic::Code::Unavailable, None));
    let bytes = status.metadata().get_bin(crate::grpc::ERROR).unwrap().to_bytes().unwrap();
    let body: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!((&body["error"], body["retry_after"].as_u64()), (&"UNAVAILABLE".into(), Some(2)));
}

#[tokio::test]
async fn malformed_metadata_is_refused_by_field_and_breaks_nothing() {
    let stage = Stage::new().await;
    let good = signed(&stage.bench.credential(10).await);
    let cases: [(&'static str, Option<&str>, (tonic::Code, &str)); 7] = [
        (header::CHANNEL, Some("x!"), (tonic::Code::FailedPrecondition, "AMP_NO_CHANNEL")),
        (header::CHANNEL, None, (tonic::Code::FailedPrecondition, "AMP_NO_CHANNEL")),
        (header::SEQ, Some("-1"), (tonic::Code::InvalidArgument, "AMP_INVALID_SEQ")),
        (header::SEQ, Some("18446744073709551616"), (tonic::Code::InvalidArgument, "AMP_INVALID_SEQ")),
        (header::SEQ, None, (tonic::Code::InvalidArgument, "AMP_INVALID_SEQ")),
        (header::SIG, Some("sig"), (tonic::Code::Unauthenticated, "AMP_INVALID_SIG")),
        (header::SIG, None, (tonic::Code::Unauthenticated, "AMP_INVALID_SIG")),
    ];
    for (name, value, expected) in cases {
        let mut metadata = good.clone();
        metadata.remove(name);
        if let Some(value) = value {
            metadata.insert(name, value.parse().unwrap());
        }
        let status = stage.unary("Quote", metadata).await.unwrap_err();
        assert_eq!(code(&status), expected, "{name}: {value:?}");
    }
    let mut twice = good.clone();
    twice.append(header::SEQ, "10".parse().unwrap());
    assert_eq!(code(&stage.unary("Quote", twice).await.unwrap_err()).1, "AMP_INVALID_SEQ");
    stage.call("Quote", 10).await.unwrap();
}

/// Those two never come of a call: a settlement is asked for on the service's side, a proof checked on the client's.
#[test]
fn every_code_has_its_status_and_travels_whole() {
    use tonic::Code::{FailedPrecondition, InvalidArgument, ResourceExhausted, Unauthenticated};
    let expected = [
        (Code::NoChannel, FailedPrecondition),
        (Code::Underfunded, FailedPrecondition),
        (Code::Closed, FailedPrecondition),
        (Code::RateExceeded, ResourceExhausted),
        (Code::InvalidSeq, InvalidArgument),
        (Code::InvalidSig, Unauthenticated),
        (Code::SettleEarly, InvalidArgument),
        (Code::DepositLow, InvalidArgument),
        (Code::InvalidProof, InvalidArgument),
    ];
    assert_eq!(expected.map(|(code, _)| code), *Code::ALL);
    for (code, status) in expected {
        let sent = Status::from(Denial::new(code, Some(CHANNEL), "why"));
        assert_eq!((sent.code(), error_body(&sent).map(|body| body.error)), (status, Some(code)));
    }
}
