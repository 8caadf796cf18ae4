use super::*;
use amp_protocol::money::Amount;
use futures::future::join_all;

#[tokio::test]
async fn a_paid_request_is_served_with_its_account_and_the_handler_knows_who_pays() {
    let stage = Stage::new().await;
    let answer = stage.quote(10).await;
    assert_eq!(answer.paid(), ("9990", "10", "10"));
    assert_eq!(answer.body, format!("{} 10 10", solana_address::Address::from(CHANNEL)));
}

#[tokio::test]
async fn a_free_route_asks_for_nothing() {
    let stage = Stage::new().await;
    let answer = bare(&stage.router, Method::GET, "/free").await;
    assert_eq!((answer.status.as_u16(), answer.body), (200, "free".into()));
    assert!(!answer.headers.contains_key(header::COST));
}

#[tokio::test]
async fn an_encoded_path_costs_what_the_plain_one_does() {
    let stage = Stage::with(|config| config.route("/", Amount::ZERO).route("/quote", Amount::new(10))).await;
    assert_eq!(bare(&stage.router, Method::GET, "/%71uote").await.status.as_u16(), 402);
}

#[tokio::test]
async fn a_failed_answer_is_not_charged_and_its_seq_is_used_up() {
    let stage = Stage::new().await;
    let answer = get_with(&stage.router, "/fail", &stage.bench.credential(10).await).await;
    assert_eq!(answer.status.as_u16(), 500);
    assert_eq!((answer.header(header::SPENT), answer.header(header::COST)), ("0", "0"));
    assert_eq!(stage.quote(10).await.code(), (400, "AMP_INVALID_SEQ"));
    // the used seq authorized 10, and nothing of it was spent
    assert_eq!(stage.quote(9).await.paid(), ("9990", "10", "10"));
    let stage = stage.restart().await;
    assert_eq!(stage.quote(10).await.code(), (400, "AMP_INVALID_SEQ"));
}

#[tokio::test]
async fn an_unknown_path_is_a_404_that_costs_nothing() {
    let stage = Stage::new().await;
    let answer = get_with(&stage.router, "/nothing", &stage.bench.credential(10).await).await;
    assert_eq!((answer.status.as_u16(), answer.header(header::COST)), (404, "0"));
    assert_eq!(bare(&stage.router, Method::GET, "/nothing").await.code(), (402, "AMP_NO_CHANNEL"));
}

#[tokio::test]
async fn a_service_that_charges_always_charges_failures_too() {
    let stage = Stage::with(|config| config.charge_on(crate::server::ChargeOn::Always)).await;
    let answer = get_with(&stage.router, "/fail", &stage.bench.credential(10).await).await;
    assert_eq!((answer.status.as_u16(), answer.header(header::COST)), (500, "10"));
}

#[tokio::test]
async fn a_service_that_charges_always_charges_a_client_that_goes_away() {
    let stage = Stage::with(|config| config.charge_on(crate::server::ChargeOn::Always)).await;
    let credential = stage.bench.credential(10).await;
    let abandoned = get_with(&stage.router, "/slow", &credential);
    assert!(tokio::time::timeout(std::time::Duration::from_millis(100), abandoned).await.is_err());
    let status = async || stage.service.channel_status(&credential).await.unwrap();
    for _ in 0..100 {
        if !status().await.spent.is_zero() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!((status().await.spent.get(), status().await.last_seq.get()), (10, 10));
    assert_eq!(stage.quote(20).await.paid(), ("9980", "20", "10"));
}

#[tokio::test]
async fn parallel_requests_in_any_order_are_each_charged_once() {
    let stage = Stage::new().await;
    let answers = join_all((1..=60u64).rev().map(|n| stage.quote(n * 10))).await;
    assert!(answers.iter().all(|answer| answer.header(header::COST) == "10"));
    let status = stage.service.channel_status(&stage.bench.credential(0).await).await.unwrap();
    assert_eq!((status.spent.get(), status.last_seq.get(), status.balance.get()), (600, 600, 9_400));
}

#[tokio::test]
async fn of_many_copies_of_one_request_one_is_served() {
    let stage = Stage::new().await;
    let answers = join_all((0..30).map(|_| stage.quote(10))).await;
    let served = answers.iter().filter(|answer| answer.status.is_success()).count();
    let replayed = answers.iter().filter(|answer| answer.code() == (400, "AMP_INVALID_SEQ")).count();
    assert_eq!((served, replayed), (1, 29));
}

#[tokio::test]
async fn parallel_requests_do_not_share_one_ceiling() {
    let stage = Stage::new().await;
    // together they cost 300; the highest of them authorizes 39
    let answers = join_all((10..40u64).map(|seq| stage.quote(seq))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status.is_success()).count(), 3);
    assert!(answers.iter().all(|a| a.status.is_success() || a.code() == (402, "AMP_UNDERFUNDED")));
}

#[tokio::test]
async fn a_client_that_goes_away_frees_the_price_and_its_seq_stays_used() {
    let stage = Stage::new().await;
    let credential = stage.bench.credential(10).await;
    let abandoned = get_with(&stage.router, "/slow", &credential);
    assert!(tokio::time::timeout(std::time::Duration::from_millis(100), abandoned).await.is_err());
    assert_eq!(stage.quote(10).await.code(), (400, "AMP_INVALID_SEQ"));
    assert_eq!(stage.quote(9).await.paid(), ("9990", "10", "10"));
}

#[tokio::test]
async fn a_reopened_channel_is_served_anew_and_old_credentials_die_with_the_old_one() {
    let stage = Stage::new().await;
    stage.quote(50).await.paid();
    stage.bench.chain.change_channel(|account| account.opened_slot += 1);
    let opened_slot = stage.bench.chain.channel().opened_slot;
    let reopened = stage.bench.credential_in(opened_slot, 10).await;
    assert_eq!(get_with(&stage.router, "/quote", &reopened).await.paid(), ("9990", "10", "10"));
    assert_eq!(stage.quote(60).await.code(), (401, "AMP_INVALID_SIG"));
}

#[tokio::test]
async fn an_unreachable_chain_is_a_503_that_tells_no_secrets() {
    let stage = Stage::new().await;
    stage.bench.chain.go_down(true);
    let answer = stage.quote(10).await;
    assert_eq!(answer.code(), (503, "UNAVAILABLE"));
    assert!(!answer.header("retry-after").is_empty());
    assert!(!answer.body.to_string().contains("secret-key"), "{}", answer.body);
    stage.bench.chain.go_down(false);
    stage.quote(10).await.paid();
}

/// It names the address alone: landing late, it would close the next incarnation before it has paid.
#[tokio::test]
async fn while_a_close_of_the_last_incarnation_may_land_the_next_is_not_served() {
    let stage = Stage::new().await;
    let opened_slot = stage.bench.account().opened_slot;
    let last = crate::server::store::Incarnation { channel: CHANNEL, opened_slot: opened_slot - 1 };
    stage.service.core.books.open(last).close_is_sent();
    assert_eq!(stage.quote(10).await.status.as_u16(), 503);
}
