//! Clients and connections that go away at any moment: charged is what was delivered.

use http_body_util::BodyExt as _;
use tower::{Layer as _, ServiceExt as _};

use super::*;

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Lets a stream run, drops it at a random moment, and returns how many messages it had handed out.
async fn begin_and_drop(service: &AmpService, dice: &mut Dice, request: HttpRequest<Body>) -> u64 {
    let layered = AmpGrpcLayer::new(service.clone()).layer(Handlers { gate: Arc::default() });
    let (most, patience) = (dice.below(12), Duration::from_micros(dice.below(4_000)));
    let mut delivered = 0;
    // dropped while it is called, while it waits, or between two messages
    let _ = tokio::time::timeout(patience, async {
        let mut body = layered.oneshot(request).await.unwrap().into_body();
        while delivered < most {
            let Some(Ok(frame)) = body.frame().await else { break };
            delivered += u64::from(frame.is_data());
        }
    })
    .await;
    delivered
}

#[tokio::test]
async fn streams_dropped_at_200_random_moments_are_charged_for_what_they_delivered() {
    let stage = Stage::new().await;
    // enough for all of them
    stage.bench.chain.change_channel(|account| {
        (account.books.deposited, account.terms.rate_limit) = (Amount::new(1_000_000), 1_000_000);
    });
    let mut dice = Dice(11);
    let mut expected = 0;
    let mut delivered_in_all = 0;
    for round in 0..200 {
        let method = ["Count", "PerByte"][usize::try_from(dice.below(2)).unwrap()];
        let path = format!("http://any/test.Test/{method}");
        let mut request = HttpRequest::post(path).body(message_of(10)).unwrap();
        // some reach their ceiling, and wait when they are dropped
        let seq = expected + 30 + dice.below(400);
        let credential = stage.bench.credential(seq).await;
        request.headers_mut().extend(signed(&credential).into_headers());
        let delivered = begin_and_drop(&stage.service, &mut dice, request).await;
        expected += match method {
            "Count" => delivered * 10,
            _ => (delivered * ENCODED * 3).div_ceil(4),
        };
        delivered_in_all += delivered;
        let spent = if stage.service.core.books.of(CHANNEL).is_empty() { 0 } else { stage.spent().await };
        assert_eq!(spent, expected, "round {round}: {method}, {delivered} delivered");
    }
    assert!(delivered_in_all > 50, "{delivered_in_all}");
}

/// A request's body: a number, encoded.
fn message_of(count: u8) -> Body {
    let frame = bytes::Bytes::from(vec![0, 0, 0, 0, 2, 8, count]);
    Body::new(http_body_util::Full::new(frame))
}

#[tokio::test]
async fn a_connection_that_breaks_is_charged_for_no_less_than_was_received() {
    let stage = Stage::new().await;
    let mut received = 0;
    for round in 1..=10_u64 {
        let mut stream = stage.stream("Count", round * 500, 40).await.unwrap();
        for _ in 0..round {
            received += u64::from(stream.message().await.unwrap().is_some());
        }
        drop(stream);
        let spent = stage.spent().await;
        assert!(spent >= received * 10, "{spent} for {received} messages");
        // what was on its way when it broke is delivered for all that the service knows
        received = spent / 10;
    }
}
