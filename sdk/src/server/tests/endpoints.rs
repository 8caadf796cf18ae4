use super::*;
use amp_protocol::json::{ChannelStatus, DiscoveryDocument};
use amp_protocol::text::path;

#[tokio::test]
async fn discovery_is_free_and_names_prices_recipient_and_program() {
    let stage = Stage::new().await;
    let answer = bare(&stage.router, Method::GET, path::DISCOVERY).await;
    assert_eq!(answer.status.as_u16(), 200);
    let document = DiscoveryDocument::parse(answer.body.to_string().as_bytes()).unwrap();
    assert_eq!(document, stage.service.discovery());
    assert_eq!((document.seq_window, document.min_close_grace), (64, 3_600));
}

#[tokio::test]
async fn other_methods_and_paths_are_refused_without_a_price() {
    let stage = Stage::new().await;
    for (method, at, allow) in [
        (Method::POST, path::DISCOVERY, "GET, HEAD"),
        (Method::DELETE, path::CHANNEL, "GET, HEAD"),
        (Method::GET, path::CREDENTIAL, "POST"),
        (Method::PUT, path::CLOSE, "POST"),
    ] {
        let answer = bare(&stage.router, method, at).await;
        assert_eq!((answer.code(), answer.header("allow")), ((405, "METHOD_NOT_ALLOWED"), allow), "{at}");
    }
    for at in ["/.well-known/amp/", "/.well-known/amp", "/.well-known/amp/other"] {
        assert_eq!(bare(&stage.router, Method::GET, at).await.code(), (404, "NOT_FOUND"), "{at}");
    }
}

#[tokio::test]
async fn a_client_that_lost_its_state_learns_it_with_any_seq() {
    let stage = Stage::new().await;
    stage.quote(10).await.paid();
    stage.quote(25).await.paid();
    let answer = get_with(&stage.router, path::CHANNEL, &stage.bench.credential(0).await).await;
    let status: ChannelStatus = serde_json::from_value(answer.body).unwrap();
    assert_eq!((status.spent.get(), status.balance.get(), status.last_seq.get()), (20, 9_980, 25));
    let proof = status.metering_proof.unwrap();
    let key = crate::signer::Signer::public_key(&stage.bench.recipient).to_bytes();
    assert!(crate::signed::verify_metering_proof(&proof, &key));
    assert_eq!((proof.owed.get(), proof.calls, proof.seq_start.get(), proof.seq_end.get()), (20, 2, 10, 25));
}

#[tokio::test]
async fn the_status_of_a_channel_never_used_is_empty() {
    let stage = Stage::new().await;
    let status = stage.service.channel_status(&stage.bench.credential(0).await).await.unwrap();
    assert_eq!((status.spent.get(), status.balance.get(), status.last_seq.get()), (0, 10_000, 0));
    assert_eq!(status.metering_proof, None);
}

#[tokio::test]
async fn the_status_is_for_the_signer_alone() {
    let stage = Stage::new().await;
    let mut forged = stage.bench.credential(0).await;
    forged.sig.0[1] ^= 1;
    assert_eq!(get_with(&stage.router, path::CHANNEL, &forged).await.code(), (401, "AMP_INVALID_SIG"));
    assert_eq!(bare(&stage.router, Method::GET, path::CHANNEL).await.code(), (402, "AMP_NO_CHANNEL"));
}

#[tokio::test]
async fn a_raised_ceiling_pays_for_lower_seqs_after_a_restart_too() {
    let stage = Stage::new().await;
    let answer = post_with(&stage.router, path::CREDENTIAL, &stage.bench.credential(500).await).await;
    assert_eq!(answer.paid(), ("10000", "0", "0"));
    assert_eq!(answer.body["last_seq"], "500");
    let replayed = post_with(&stage.router, path::CREDENTIAL, &stage.bench.credential(500).await).await;
    assert_eq!(replayed.code(), (400, "AMP_INVALID_SEQ"));
    let stage = stage.restart().await;
    assert_eq!(stage.quote(1).await.paid(), ("9990", "10", "10"));
}

#[tokio::test]
async fn a_credential_may_come_as_json_and_anything_else_is_refused() {
    let stage = Stage::new().await;
    let post =
        |body: Vec<u8>| call(&stage.router, Request::post(path::CREDENTIAL).body(body.into()).unwrap());
    let credential = serde_json::to_vec(&stage.bench.credential(500).await).unwrap();
    assert_eq!(post(credential).await.paid(), ("10000", "0", "0"));
    assert_eq!(post(b"{}".to_vec()).await.code(), (402, "AMP_NO_CHANNEL"));
    assert_eq!(post(vec![b'{'; 5_000]).await.code(), (413, "TOO_LARGE"));
}
