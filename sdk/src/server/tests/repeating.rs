use amp_protocol::money::Amount;

use super::*;

/// `path` paid with this seq, under a name.
async fn named(stage: &Stage, path: &str, seq: u64, name: &str) -> Answer {
    let request = signed(Request::get(path), &stage.bench.credential(seq).await);
    call(&stage.router, request.header("idempotency-key", name).body(Body::empty()).unwrap()).await
}

fn in_flight(stage: &Stage) -> usize {
    stage.service.core.books.of(CHANNEL).pop().map_or(0, |book| book.ledger().in_flight())
}

fn is_replayed(answer: &Answer) -> bool {
    answer.header("idempotent-replayed") == "true"
}

#[tokio::test]
async fn the_same_name_gets_the_same_answer_and_is_charged_once() {
    let stage = Stage::new().await;
    let first = named(&stage, "/quote", 10, "a").await;
    assert_eq!((first.paid(), is_replayed(&first)), (("9990", "10", "10"), false));
    let again = named(&stage, "/quote", 20, "a").await;
    assert_eq!((again.paid(), is_replayed(&again)), (("9990", "10", "0"), true));
    assert_eq!(again.body, first.body);
    assert_eq!(again.headers["content-type"], "application/json");
    // the seq of a repeated request is neither used nor kept
    assert_eq!(stage.quote(20).await.paid(), ("9980", "20", "10"));
}

#[tokio::test]
async fn the_very_same_request_sent_again_is_answered_although_its_seq_is_used() {
    let stage = Stage::new().await;
    named(&stage, "/quote", 10, "a").await.paid();
    assert!(is_replayed(&named(&stage, "/quote", 10, "a").await));
    assert_eq!(stage.quote(10).await.code(), (400, "AMP_INVALID_SEQ"));
}

#[tokio::test]
async fn a_name_outlives_a_restart() {
    let stage = Stage::new().await;
    named(&stage, "/quote", 10, "a").await.paid();
    let stage = stage.restart().await;
    let again = named(&stage, "/quote", 20, "a").await;
    assert_eq!((again.paid(), is_replayed(&again)), (("9990", "10", "0"), true));
}

#[tokio::test]
async fn other_names_other_signers_and_other_channels_are_other_requests() {
    let stage = Stage::new().await;
    let (delegate, _) = stage.bench.delegate(1_000);
    stage.bench.another([201; 32]);
    named(&stage, "/quote", 10, "a").await.paid();
    assert!(!is_replayed(&named(&stage, "/quote", 20, "b").await));
    for credential in
        [stage.bench.delegated(&delegate, 10).await, stage.bench.credential_on([201; 32], 10).await]
    {
        let request = signed(Request::get("/quote"), &credential).header("idempotency-key", "a");
        let answer = call(&stage.router, request.body(Body::empty()).unwrap()).await;
        assert_eq!((answer.header(header::COST), is_replayed(&answer)), ("10", false), "{}", answer.body);
    }
}

#[tokio::test]
async fn a_name_that_was_used_for_another_request_is_refused_and_costs_nothing() {
    let stage = Stage::new().await;
    named(&stage, "/quote", 10, "a").await.paid();
    let other = named(&stage, "/quote?x=1", 20, "a").await;
    assert_eq!(other.code(), (422, "IDEMPOTENCY_KEY_REUSED"));
    assert_eq!(stage.quote(20).await.paid(), ("9980", "20", "10"));
}

#[tokio::test]
async fn while_the_first_is_under_way_the_second_is_told_to_wait() {
    let stage = Stage::new().await;
    let slow = named(&stage, "/slow", 10, "a");
    let second = async {
        eventually("the first is admitted", || in_flight(&stage) == 1).await;
        let waiting = named(&stage, "/slow", 20, "a").await;
        stage.gate.notify_one();
        waiting
    };
    let (first, second) = tokio::join!(slow, second);
    assert_eq!((second.code(), second.header("retry-after")), ((409, "IDEMPOTENCY_IN_PROGRESS"), "1"));
    first.paid();
    assert_eq!(named(&stage, "/slow", 30, "a").await.paid(), ("9990", "10", "0"));
}

#[tokio::test]
async fn a_client_that_goes_away_can_come_back_for_its_answer() {
    let stage = Stage::new().await;
    {
        let mut gone = Box::pin(named(&stage, "/slow", 10, "a"));
        // until its handler runs: before that nothing has been done, and nothing is kept
        for _ in 0..50 {
            assert!(futures::poll!(&mut gone).is_pending());
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
    stage.gate.notify_one();
    eventually("it is answered", || in_flight(&stage) == 0).await;
    let back = named(&stage, "/slow", 20, "a").await;
    assert_eq!((back.paid(), is_replayed(&back)), (("9990", "10", "0"), true));
}

#[tokio::test]
async fn a_failure_is_not_kept_since_it_was_not_charged() {
    let stage = Stage::new().await;
    for seq in [10, 20] {
        let failed = named(&stage, "/fail", seq, "a").await;
        assert_eq!((failed.status.as_u16(), failed.header(header::COST)), (500, "0"));
        assert!(!is_replayed(&failed));
    }
}

#[tokio::test]
async fn an_answer_that_is_too_large_to_be_kept_is_given_once_and_never_charged_again() {
    let stage = Stage::with(|config| config.kept_answer_limit(5)).await;
    let first = named(&stage, "/quote", 10, "a").await;
    assert!(first.body.as_str().unwrap().len() > 5, "it leaves whole");
    first.paid();
    assert_eq!(named(&stage, "/quote", 20, "a").await.code(), (410, "IDEMPOTENCY_ANSWER_NOT_KEPT"));
    assert_eq!(stage.quote(20).await.paid(), ("9980", "20", "10"));
}

#[tokio::test]
async fn what_is_no_name_is_refused() {
    let stage = Stage::new().await;
    for name in ["", &"a".repeat(256)] {
        assert_eq!(named(&stage, "/quote", 10, name).await.code(), (400, "IDEMPOTENCY_KEY_MALFORMED"));
    }
    let twice = signed(Request::get("/quote"), &stage.bench.credential(10).await);
    let twice = twice.header("idempotency-key", "a").header("idempotency-key", "a");
    let twice = call(&stage.router, twice.body(Body::empty()).unwrap()).await;
    assert_eq!(twice.code(), (400, "IDEMPOTENCY_KEY_MALFORMED"));
    assert_eq!(stage.quote(10).await.paid(), ("9990", "10", "10"));
}

#[tokio::test]
async fn a_credential_that_was_read_on_chain_opens_no_answer_it_did_not_pay_for() {
    let stage = Stage::new().await;
    named(&stage, "/quote", 10, "a").await.paid();
    stage.quote(20).await.paid();
    assert_eq!(named(&stage, "/quote", 20, "a").await.code(), (400, "AMP_INVALID_SEQ"));
    assert!(is_replayed(&named(&stage, "/quote", 15, "a").await));
}

#[tokio::test]
async fn a_stranger_learns_nothing_of_an_answer() {
    let stage = Stage::new().await;
    named(&stage, "/quote", 10, "a").await.paid();
    let stranger = stage.bench.signed_by(&KeypairSigner::generate(), 9, 20).await;
    let request = signed(Request::get("/quote"), &stranger).header("idempotency-key", "a");
    let answer = call(&stage.router, request.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.code(), (401, "AMP_INVALID_SIG"));
}

#[tokio::test]
async fn a_charge_that_is_not_on_disk_leaves_no_answer_behind() {
    let stage = Stage::new().await;
    stage.bench.disk(Disk::FullAfter(0));
    assert_eq!(named(&stage, "/quote", 10, "a").await.code(), (503, "UNAVAILABLE"));
    stage.bench.disk(Disk::Works);
    let then = named(&stage, "/quote", 20, "a").await;
    assert_eq!((then.paid(), is_replayed(&then)), (("9990", "10", "10"), false));
    let price = Amount::new(10);
    assert_eq!(stage.service.channel_status(&stage.bench.credential(0).await).await.unwrap().spent, price);
}
