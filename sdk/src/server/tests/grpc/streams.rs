use super::*;
use amp_protocol::money::Seq;

#[tokio::test]
async fn each_message_of_a_stream_costs_the_price_of_a_call() {
    let stage = Stage::new().await;
    let (count, failed, trailers) = drain(stage.stream("Count", 1_000, 50).await.unwrap()).await;
    assert_eq!((count, failed.map(|status| status.code())), (50, None));
    assert_eq!(amounts(&trailers), ["9500", "500", "500"]);
    for (seq, count) in [(1_001, 0), (1_002, 1), (1_003, 2)] {
        let (found, _, trailers) = drain(stage.stream("Trickle", seq, count).await.unwrap()).await;
        assert_eq!((found, amounts(&trailers)[2]), (count, &*(count * 10).to_string()));
    }
    assert_eq!(stage.spent().await, 530);
}

#[tokio::test]
async fn a_stream_by_the_byte_costs_the_bytes_of_its_encoded_messages() {
    let stage = Stage::new().await;
    let (count, _, trailers) = drain(stage.stream("PerByte", 9_000, 70).await.unwrap()).await;
    let cost = (70 * ENCODED * 3).div_ceil(4);
    assert_eq!((count, amounts(&trailers)[2]), (70, &*cost.to_string()));
    assert_eq!(stage.spent().await, cost);
}

#[tokio::test]
async fn a_stream_by_the_second_costs_each_second_that_has_begun() {
    let stage = Stage::new().await;
    // nine times a quarter of a second: two whole ones, and the third has begun
    let (count, _, trailers) = drain(stage.stream("PerSecond", 100, 9).await.unwrap()).await;
    assert_eq!((count, amounts(&trailers)[2]), (9, "21"));
}

#[tokio::test]
async fn a_second_that_is_waited_for_costs_nothing() {
    let stage = Stage::with(|config| config.stream_wait(Duration::from_secs(20))).await;
    let stream = tokio::spawn(drain(stage.stream("PerSecond", 7, 7).await.unwrap()));
    // one second is paid for; it waits in the second one
    tokio::time::sleep(Duration::from_millis(3_000)).await;
    stage.raise(100).await;
    let (count, _, trailers) = stream.await.unwrap();
    assert_eq!((count, amounts(&trailers)[2]), (7, "14"));
}

#[tokio::test]
async fn a_stream_by_compute_costs_what_its_handler_reports() {
    let stage = Stage::new().await;
    let (count, _, trailers) = drain(stage.stream("PerCompute", 9_000, 20).await.unwrap()).await;
    // 0 + 1 + .. + 19, of 2 each
    assert_eq!((count, amounts(&trailers)[2]), (20, "380"));
}

#[tokio::test]
async fn a_stream_at_the_ceiling_says_what_it_needs_and_goes_on_when_that_is_signed() {
    let stage = Stage::with(|config| config.stream_wait(Duration::from_secs(20))).await;
    for (method, first, more, cost) in
        [("Count", 30, 80, 80), ("PerByte", 180, 692, 612), ("PerCompute", 700, 756, 56)]
    {
        let stream = tokio::spawn(drain(stage.stream(method, first, 8).await.unwrap()));
        let status = async || stage.service.channel_status(&stage.bench.credential(0).await).await.unwrap();
        let needed = loop {
            if stream.is_finished() {
                break None;
            }
            if let Some(seq) = status().await.required_seq {
                break Some(seq);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        assert!(needed.is_some_and(|seq| seq > Seq::new(first)), "{method}: {needed:?}");
        stage.raise(more).await;
        let (count, failed, trailers) = stream.await.unwrap();
        assert_eq!((count, amounts(&trailers)[2]), (8, &*cost.to_string()), "{method}: {failed:?}");
    }
}

#[tokio::test]
async fn a_stream_for_which_nothing_more_is_signed_ends_with_its_refusal_and_its_receipt() {
    let stage = Stage::new().await;
    let (count, failed, trailers) = drain(stage.stream("Count", 35, 8).await.unwrap()).await;
    let failed = failed.unwrap();
    assert_eq!(count, 3);
    assert_eq!(code(&failed), (tonic::Code::FailedPrecondition, "AMP_UNDERFUNDED"));
    let body = error_body(&failed).unwrap();
    assert_eq!((body.required_seq, body.amp_pricing.is_some()), (Some(Seq::new(40)), true));
    assert_eq!(amounts(&trailers), ["9970", "30", "30"]);
    assert_eq!(stage.spent().await, 30);
}

#[tokio::test]
async fn a_handler_that_is_not_paid_ends_its_stream_with_the_refusal() {
    let stage = Stage::new().await;
    // 0 + 1 + 2 + 3 units of 2 each are 12, with 4 more 20
    let (count, failed, trailers) = drain(stage.stream("PerCompute", 19, 8).await.unwrap()).await;
    assert_eq!((count, code(&failed.unwrap()).1), (4, "AMP_UNDERFUNDED"));
    assert_eq!(amounts(&trailers)[2], "12");
}

#[tokio::test]
async fn a_stream_that_fails_is_charged_for_what_it_delivered() {
    let stage = Stage::new().await;
    let (count, failed, trailers) = drain(stage.stream("Break", 1_000, 5).await.unwrap()).await;
    assert_eq!((count, code(&failed.unwrap())), (5, (tonic::Code::DataLoss, "none")));
    assert_eq!(amounts(&trailers)[2], "50");
}

#[tokio::test]
async fn what_was_not_even_authorized_for_the_first_thing_is_refused_at_once() {
    let stage = Stage::new().await;
    for (method, seq) in [("Count", 9), ("PerSecond", 6), ("PerCompute", 1)] {
        let refused = stage.stream(method, seq, 3).await.unwrap_err();
        assert_eq!(code(&refused), (tonic::Code::FailedPrecondition, "AMP_UNDERFUNDED"), "{method}");
    }
    assert_eq!(stage.spent().await, 0);
}

#[tokio::test]
async fn a_close_ends_a_stream_and_its_statement_has_all_that_was_delivered() {
    let stage = Stage::new().await;
    for (seq, method) in [(100, "Held"), (100, "PerByte")] {
        let stage = if method == "Held" { &stage } else { &Stage::new().await };
        let mut stream = stage.stream("Held", seq, 3).await.unwrap();
        assert!(stream.message().await.unwrap().is_some());
        let ended = tokio::spawn(async move { stream.message().await });
        let closed = stage.service.close(&stage.bench.credential(seq).await).await.unwrap();
        assert_eq!(closed.close_statement.owed_total.get(), 10);
        assert_eq!(code(&ended.await.unwrap().unwrap_err()).1, "AMP_CLOSED");
    }
}
