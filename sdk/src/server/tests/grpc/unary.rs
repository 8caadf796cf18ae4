use super::*;
use crate::server::testing::Disk;
use crate::server::{ChargeOn, Denial};
use amp_protocol::code::Code;

#[tokio::test]
async fn a_paid_call_is_served_with_its_account_in_the_trailers_and_the_handler_knows_who_pays() {
    let stage = Stage::new().await;
    let answer = stage.call("Quote", 10).await.unwrap();
    assert_eq!(amounts(answer.metadata()), ["9990", "10", "10"]);
    let paid = format!("{} 10 10", solana_address::Address::from(CHANNEL));
    assert_eq!(String::from_utf8(answer.into_inner()).unwrap(), paid);
    assert_eq!(amounts(stage.call("Quote", 20).await.unwrap().metadata()), ["9980", "20", "10"]);
}

#[tokio::test]
async fn a_free_method_asks_for_nothing() {
    let stage = Stage::new().await;
    let answer = stage.unary("Free", MetadataMap::new()).await.unwrap();
    assert_eq!((amounts(answer.metadata()), answer.get_ref().len()), (["", "", ""], 0));
}

#[tokio::test]
async fn a_prefix_prices_a_whole_service_and_a_method_its_own() {
    let stage = Stage::with(|config| {
        config.route("/test.Test", Amount::new(4)).route("/test.Test/Quote", Amount::new(6))
    })
    .await;
    assert_eq!(amounts(stage.call("Quote", 6).await.unwrap().metadata()), ["9994", "6", "6"]);
    let failed = stage.call("Slow", 9).await.unwrap_err();
    assert_eq!(error_body(&failed).unwrap().price, Some(Amount::new(4)));
}

#[tokio::test]
async fn a_failed_call_is_not_charged_and_its_seq_is_used_up() {
    let stage = Stage::new().await;
    let failed = stage.call("Fail", 10).await.unwrap_err();
    assert_eq!(code(&failed), (tonic::Code::DataLoss, "none"));
    assert_eq!(amounts(failed.metadata()), ["10000", "0", "0"]);
    assert_eq!(code(&stage.call("Quote", 10).await.unwrap_err()).1, "AMP_INVALID_SEQ");
}

#[tokio::test]
async fn a_method_that_charges_always_charges_its_failures_and_what_is_abandoned() {
    let stage = Stage::with(|config| {
        config
            .route_charges_on("/test.Test/Fail", ChargeOn::Always)
            .route_charges_on("/test.Test/Slow", ChargeOn::Always)
    })
    .await;
    let failed = stage.call("Fail", 10).await.unwrap_err();
    assert_eq!((failed.code(), amounts(failed.metadata())), (tonic::Code::DataLoss, ["9990", "10", "10"]));
    let abandoned = tokio::time::timeout(Duration::from_millis(100), stage.call("Slow", 20)).await;
    assert!(abandoned.is_err());
    crate::server::tests::eventually("it is charged", || {
        let book = stage.service.core.books.of(CHANNEL).pop().unwrap();
        book.ledger().owed_total(&stage.bench.account()) == Some(Amount::new(20))
    })
    .await;
}

#[tokio::test]
async fn a_call_whose_client_goes_away_is_not_charged() {
    let stage = Stage::new().await;
    let abandoned = tokio::time::timeout(Duration::from_millis(100), stage.call("Slow", 10)).await;
    assert!(abandoned.is_err());
    assert_eq!(stage.spent().await, 0);
    stage.gate.notify_one();
    assert_eq!(amounts(stage.call("Quote", 11).await.unwrap().metadata()), ["9990", "10", "10"]);
}

#[tokio::test]
async fn an_answer_that_can_not_be_stored_does_not_leave_and_is_not_charged() {
    let stage = Stage::new().await;
    stage.bench.disk(Disk::FailsFirst(1));
    let failed = stage.call("Quote", 10).await.unwrap_err();
    assert_eq!((failed.code(), error_body(&failed)), (tonic::Code::Unavailable, None));
    assert_eq!(stage.spent().await, 0);
}

#[tokio::test]
async fn calls_side_by_side_take_each_its_price_and_nothing_ahead() {
    let stage = Stage::new().await;
    let calls = (1..=40).map(|call| stage.call("Quote", call * 10));
    // the last is signed for no more than all of them cost: none may set anything aside beyond its price
    for answer in futures::future::join_all(calls.rev()).await {
        answer.unwrap();
    }
    assert_eq!(stage.spent().await, 400);
}

#[tokio::test]
async fn nobody_but_the_layer_says_what_a_call_cost() {
    let bench = Bench::new();
    let service = bench.service_with(bench.config()).await;
    let liar = service_fn(|_: HttpRequest<Body>| async {
        let mut response = Status::internal("failed").into_http::<Body>();
        response.headers_mut().insert(header::COST, 9_999.into());
        Ok::<_, Infallible>(response)
    });
    let layered = tower::Layer::layer(&AmpGrpcLayer::new(service), liar);
    let request = HttpRequest::post("/any.Any/Thing").body(Body::empty()).unwrap();
    let (mut parts, body) = request.into_parts();
    parts.headers = signed(&bench.credential(10).await).into_headers();
    let answer = tower::ServiceExt::oneshot(layered, HttpRequest::from_parts(parts, body)).await.unwrap();
    let costs: Vec<_> = answer.headers().get_all(header::COST).iter().collect();
    assert_eq!(costs, ["0"]);
}

#[tokio::test]
async fn a_path_that_can_be_read_in_two_ways_reaches_nobody() {
    let stage =
        Stage::with(|config| config.route("/", Amount::ZERO).route("/test.Test/Quote", Amount::new(10)))
            .await;
    let layered =
        tower::Layer::layer(&AmpGrpcLayer::new(stage.service.clone()), Handlers { gate: Arc::default() });
    for path in ["/test.Test/%51uote", "//test.Test/Quote", "/./test.Test/Quote", "/x/../test.Test/Quote"] {
        let request = HttpRequest::post(path).body(Body::empty()).unwrap();
        let answer = tower::ServiceExt::oneshot(layered.clone(), request).await.unwrap();
        assert_eq!(answer.headers()["grpc-status"], "12", "{path}");
    }
}

#[test]
fn a_denial_is_what_a_handler_returns() {
    let status = Status::from(Denial::new(Code::Underfunded, None, "sign more"));
    assert_eq!(code(&status), (tonic::Code::FailedPrecondition, "AMP_UNDERFUNDED"));
}
