//! Answers that are paid for while they leave, as a client sees them.

#![allow(clippy::arithmetic_side_effects, reason = "an overflow fails the test, as it should")]

use std::time::Duration;

use amp_protocol::json::PricingMode;
use amp_protocol::money::Amount;
use amp_protocol::rate::{Per, Rate};
use axum::body::Bytes;
use futures::StreamExt as _;
use futures::stream;
use http_body_util::BodyExt as _;
use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::server::{Meter, ServiceConfig};

/// A base unit for ten.
const TENTH: Rate = Rate { amount: Amount::new(1), per: Per::new(10).unwrap() };

fn metered(config: ServiceConfig) -> ServiceConfig {
    config
        .metered_route("/bytes", PricingMode::PerByte, TENTH)
        .metered_route("/events", PricingMode::PerByte, TENTH)
        .metered_route("/ticks", PricingMode::PerSecond, Rate::each(Amount::new(5)))
        .metered_route("/work", PricingMode::PerCompute, Rate::each(Amount::new(3)))
        .metered_route("/whole", PricingMode::PerByte, TENTH)
        .metered_route("/fails", PricingMode::PerByte, TENTH)
        .stream_wait(Duration::from_millis(500))
}

fn endless(piece: &'static str) -> Body {
    Body::from_stream(stream::repeat(Ok::<_, std::convert::Infallible>(Bytes::from(piece))))
}

/// `/bytes`, `/events` and `/ticks` have no end; `/work` reports a unit for each of its lines.
fn streams(service: &AmpService) -> Router {
    let events =
        || async { ([("content-type", "text/event-stream; charset=utf-8")], endless("data: 1234\n\n")) };
    let ticks = || async {
        let pieces = stream::unfold((), async |()| {
            sleep(Duration::from_millis(100)).await;
            Some((Ok::<_, std::convert::Infallible>(Bytes::from("tick")), ()))
        });
        Body::from_stream(pieces)
    };
    let work = |Extension(meter): Extension<Meter>| async move {
        let lines = stream::unfold((meter, 0), async |(meter, n)| {
            if n == 20 || meter.spend(1).await.is_err() {
                return None;
            }
            Some((Ok::<_, std::convert::Infallible>(Bytes::from("line\n")), (meter, n + 1)))
        });
        Body::from_stream(lines)
    };
    Router::new()
        .route("/bytes", get(|| async { endless("0123456789abcdef") }))
        .route("/events", get(events))
        .route("/ticks", get(ticks))
        .route("/work", get(work))
        .route("/whole", get(|| async { "x".repeat(1_005) }))
        .route("/fails", get(|| async { (StatusCode::IM_A_TEAPOT, endless("failed")) }))
        .layer(AmpLayer::new(service.clone()))
}

async fn stage() -> (Stage, Router) {
    let stage = Stage::with(metered).await;
    let router = streams(&stage.service);
    (stage, router)
}

async fn begin(stage: &Stage, router: &Router, path: &str, seq: u64) -> http::Response<Body> {
    let credential = stage.bench.credential(seq).await;
    let request = signed(Request::get(path), &credential).body(Body::empty()).unwrap();
    router.clone().oneshot(request).await.unwrap()
}

/// Data and trailers until the end, or the error it ended with.
async fn read(body: Body) -> (Vec<u8>, Option<HeaderMap>, Option<axum::Error>) {
    let (mut data, mut trailers, mut body) = (Vec::new(), None, body);
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => match frame.into_data() {
                Ok(bytes) => data.extend_from_slice(&bytes),
                Err(frame) => trailers = frame.into_trailers().ok(),
            },
            Err(error) => return (data, trailers, Some(error)),
        }
    }
    (data, trailers, None)
}

async fn spent(stage: &Stage) -> u64 {
    let book = stage.service.core.books.of(CHANNEL).pop().unwrap();
    book.drained(Duration::from_secs(5)).await;
    stage.service.channel_status(&stage.bench.credential(0).await).await.unwrap().spent.get()
}

#[tokio::test]
async fn bytes_are_charged_as_they_leave_and_the_trailers_say_what_it_was() {
    let (stage, router) = stage().await;
    let response = begin(&stage, &router, "/whole", 5_000).await;
    let (data, trailers, error) = read(response.into_body()).await;
    assert!((data.len(), error.is_none()) == (1_005, true));
    let trailers = trailers.unwrap();
    let said = [header::COST, header::SPENT, header::BALANCE]
        .map(|name| trailers[name].to_str().unwrap().to_owned());
    assert_eq!(said, ["101", "101", "9899"]);
    assert_eq!(spent(&stage).await, 101);
}

#[tokio::test]
async fn at_the_ceiling_bytes_wait_for_more_to_be_signed_and_an_end_before_the_end_breaks_the_body() {
    let (stage, router) = stage().await;
    let mut body = begin(&stage, &router, "/bytes", 20).await.into_body();
    let mut left = 0;
    while let Ok(frame) = timeout(Duration::from_millis(100), body.frame()).await {
        left += frame.unwrap().unwrap().into_data().unwrap().len();
    }
    assert_eq!(left, 200, "all that 20 base units pay for, and a piece was cut for it");
    stage.service.raise_ceiling(&stage.bench.credential(30).await).await.unwrap();
    let (data, _, error) = read(body).await;
    assert_eq!(data.len(), 100);
    assert!(error.unwrap().to_string().contains("AMP_UNDERFUNDED"));
    assert_eq!(spent(&stage).await, 30);
}

#[tokio::test]
async fn a_stream_of_events_says_what_it_needs_and_how_it_ended_between_its_events() {
    let (stage, router) = stage().await;
    let response = begin(&stage, &router, "/events", 20).await;
    let (data, _, error) = read(response.into_body()).await;
    assert!(error.is_none(), "a stock client sees a clean end");
    let text = String::from_utf8(data).unwrap();
    let events: Vec<&str> = text.split_terminator("\n\n").collect();
    let paid = events.iter().filter(|event| **event == "data: 1234").count();
    assert_eq!(paid, 16, "of 12 bytes each, and none is cut");
    let [need, end] = [events[events.len() - 2], events[events.len() - 1]];
    let (name, need) = need.split_once("\ndata: ").unwrap();
    let need: Value = serde_json::from_str(need).unwrap();
    assert_eq!(
        (name, &need["error"], &need["required_seq"]),
        ("event: amp-need", &"AMP_UNDERFUNDED".into(), &"21".into())
    );
    let (name, end) = end.split_once("\ndata: ").unwrap();
    let end: Value = serde_json::from_str(end).unwrap();
    assert_eq!(
        (name, &end["cost"], &end["refusal"]["error"]),
        ("event: amp-end", &"20".into(), &"AMP_UNDERFUNDED".into())
    );
    assert_eq!(spent(&stage).await, 20, "192 bytes");
}

#[tokio::test]
async fn seconds_are_charged_as_they_begin_and_not_while_the_stream_waits() {
    let (stage, router) = stage().await;
    let begun = Instant::now();
    let mut body = begin(&stage, &router, "/ticks", 10).await.into_body();
    while let Ok(frame) = timeout(Duration::from_millis(300), body.frame()).await {
        frame.unwrap().unwrap();
    }
    assert!(begun.elapsed() >= Duration::from_secs(2), "two seconds are paid for");
    stage.service.raise_ceiling(&stage.bench.credential(15).await).await.unwrap();
    let again = Instant::now();
    let (_, _, error) = read(body).await;
    assert!(error.is_some() && again.elapsed() >= Duration::from_secs(1));
    assert_eq!(spent(&stage).await, 15);
}

#[tokio::test]
async fn work_is_charged_as_its_handler_reports_it() {
    let (stage, router) = stage().await;
    let response = begin(&stage, &router, "/work", 1_000).await;
    let (data, trailers, _) = read(response.into_body()).await;
    assert_eq!((data.len(), trailers.unwrap()[header::COST].to_str().unwrap()), (100, "60"));
}

#[tokio::test]
async fn work_that_is_not_paid_for_is_not_done() {
    let (stage, router) = stage().await;
    let response = begin(&stage, &router, "/work", 14).await;
    let (data, ..) = read(response.into_body()).await;
    assert_eq!((data.len(), spent(&stage).await), (4 * 5, 4 * 3));
}

#[tokio::test]
async fn an_answer_that_failed_costs_nothing() {
    let (stage, router) = stage().await;
    let response = begin(&stage, &router, "/fails", 1_000).await;
    assert_eq!(
        (response.status(), &response.headers()[header::COST]),
        (StatusCode::IM_A_TEAPOT, &"0".parse().unwrap())
    );
    drop(response);
    assert_eq!(spent(&stage).await, 0);
}

#[tokio::test]
async fn a_request_under_a_key_is_refused_where_its_answer_can_not_be_kept() {
    let (stage, router) = stage().await;
    let credential = stage.bench.credential(100).await;
    let request = signed(Request::get("/bytes"), &credential).header("idempotency-key", "a");
    let answer = call(&router, request.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.code(), (422, "IDEMPOTENCY_NOT_POSSIBLE"));
    assert_eq!(bare(&router, Method::GET, "/bytes").await.code(), (402, "AMP_NO_CHANNEL"));
}

#[tokio::test]
async fn a_path_whose_readings_count_different_things_is_refused() {
    let (_stage, router) = stage().await;
    let answer = bare(&router, Method::GET, "/quote/../bytes").await;
    assert_eq!(answer.code(), (400, "AMBIGUOUS_PATH"));
}

#[tokio::test]
async fn a_close_ends_a_stream_and_is_answered_with_all_that_has_left() {
    let (stage, router) = stage().await;
    let mut body = begin(&stage, &router, "/ticks", 1_000).await.into_body();
    body.frame().await.unwrap().unwrap();
    let closing = tokio::spawn({
        let (service, credential) = (stage.service.clone(), stage.bench.credential(1_000).await);
        async move { service.close(&credential).await.unwrap() }
    });
    let (_, _, error) = read(body).await;
    assert!(error.unwrap().to_string().contains("AMP_CLOSED"));
    assert_eq!(closing.await.unwrap().close_statement.owed_total.get(), 5);
}

#[tokio::test]
async fn whenever_a_client_goes_away_it_has_paid_for_what_has_left_and_for_nothing_else() {
    let (stage, router) = stage().await;
    let mut expected = 0;
    for (n, seq) in (0..1_000_u64).zip(9_000..) {
        let path = ["/bytes", "/events", "/work"][usize::try_from(n % 3).unwrap()];
        let mut body = begin(&stage, &router, path, seq).await.into_body().into_data_stream();
        // all of it must fit into the deposit, and reported work is dear
        let most = if path == "/work" { 4 } else { 12 };
        let (mut bytes, pieces) = (0, (n * 7) % most);
        for _ in 0..pieces {
            // each of these is polled once for certain, and may be dropped while it waits for the disk
            match timeout(Duration::from_micros(n % 11 * 20), body.next()).await {
                Ok(Some(piece)) => bytes += piece.unwrap().len() as u64,
                Ok(None) | Err(_) => break,
            }
        }
        drop(body);
        let book = stage.service.core.books.of(CHANNEL).pop().unwrap();
        book.drained(Duration::from_secs(5)).await;
        let found = spent(&stage).await;
        if path == "/work" {
            // a line may have been paid for, and its client gone before it left
            let lines = bytes / 5;
            assert!((lines * 3..=lines * 3 + 3).contains(&(found - expected)), "{n}");
        } else {
            assert_eq!(found - expected, bytes.div_ceil(10), "{n}: {bytes} bytes of {path}");
        }
        expected = found;
    }
}
