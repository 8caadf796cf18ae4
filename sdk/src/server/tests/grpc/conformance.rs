//! The tables that every binding must answer to.

use super::*;
use crate::grpc::{ERROR, proto::payments_client::PaymentsClient};
use crate::server::tests::conformance::{Fields, Grpc, Verdict, all_refusals, conform};

/// The error body in a status, whatever it says.
fn body(status: &Status) -> serde_json::Value {
    let bytes = status.metadata().get_bin(ERROR).expect("an error body").to_bytes().unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

#[tokio::test]
async fn grpc_gives_every_verdict_of_the_table() {
    conform(async |service: AmpService, sent: Vec<Option<Fields>>| {
        let (channel, _) = open(&service).await;
        let mut verdicts = Vec::new();
        for fields in sent {
            let mut metadata = MetadataMap::new();
            if let Some(Fields { channel, seq, sig }) = fields {
                for (name, value) in [(header::CHANNEL, channel), (header::SEQ, seq), (header::SIG, sig)] {
                    metadata.insert(name, value.parse().unwrap());
                }
            }
            verdicts.push(match unary(&channel, "Quote", metadata).await {
                Ok(answer) => {
                    let [balance, spent, cost] =
                        amounts(answer.metadata()).map(|text| Amount::new(text.parse().unwrap()));
                    Verdict::Paid { cost, spent, balance }
                }
                Err(status) => Verdict::Refused(body(&status)),
            });
        }
        verdicts
    })
    .await;
}

#[test]
fn grpc_writes_every_refusal_of_the_table() {
    for (denial, expected) in all_refusals() {
        let status = Status::from(denial);
        let code = i32::from(status.code());
        // the names of the specification, not those of Rust
        let words = format!("{:?}", status.code());
        let name = words.char_indices().fold(String::new(), |name, (at, letter)| {
            let gap = if at > 0 && letter.is_uppercase() { "_" } else { "" };
            format!("{name}{gap}{}", letter.to_ascii_uppercase())
        });
        assert_eq!(Grpc { code: u8::try_from(code).unwrap(), status: name }, expected.grpc);
        assert_eq!(error_body(&status), Some(expected.body));
    }
}

#[tokio::test]
async fn the_layer_serves_tonics_routes_on_axums_server_as_well() {
    let bench = Bench::new();
    let service = bench.service_with(prices(bench.config())).await;
    let routes = tonic::service::Routes::new(Handlers { gate: Arc::default() });
    let app = routes.into_axum_router().layer(AmpGrpcLayer::new(service.clone()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let app = app.into_make_service_with_connect_info::<std::net::SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, app).await });
    let channel = Channel::from_shared(origin).unwrap().connect().await.unwrap();
    let paid = unary(&channel, "Quote", signed(&bench.credential(10).await)).await.unwrap();
    assert_eq!(amounts(paid.metadata()), ["9990", "10", "10"]);
    assert_eq!(code(&unary(&channel, "Quote", MetadataMap::new()).await.unwrap_err()).1, "AMP_NO_CHANNEL");
    let document = PaymentsClient::new(channel).discovery(crate::grpc::proto::DiscoveryRequest {}).await;
    assert_eq!(document.unwrap().into_inner().seq_window, 64);
}
