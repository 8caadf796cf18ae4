use super::*;
use amp_protocol::code::Code;
use amp_protocol::money::Amount;
use amp_protocol::text::network;

#[tokio::test]
async fn no_credential_is_asked_for_payment_with_everything_needed_to_open() {
    let stage = Stage::new().await;
    let answer = bare(&stage.router, Method::GET, "/quote").await;
    assert_eq!(answer.code(), (402, "AMP_NO_CHANNEL"));
    assert_eq!(answer.header(header::VERSION), "1.0");
    let pricing: amp_protocol::json::Pricing = serde_json::from_str(answer.header(header::PRICING)).unwrap();
    assert_eq!((pricing.rate, pricing.token.0), (Amount::new(10), super::super::testing::MINT));
    let recipient = crate::signer::Signer::public_key(&stage.bench.recipient).to_string();
    assert_eq!(answer.header(header::RECIPIENT), recipient);
    assert_eq!(answer.header(header::PROGRAM), crate::chain::PROGRAM_ID.to_string());
    assert_eq!(answer.header(header::NETWORK), network::LOCALNET);
}

#[tokio::test]
async fn an_unknown_channel_is_a_402_with_the_price() {
    let stage = Stage::new().await;
    stage.bench.chain.remove(CHANNEL);
    let answer = stage.quote(10).await;
    assert_eq!(answer.code(), (402, "AMP_NO_CHANNEL"));
    assert!(!answer.header(header::PRICING).is_empty());
    assert_eq!(answer.body["channel"], amp_protocol::json::Base58(CHANNEL).to_string());
}

#[tokio::test]
async fn a_ceiling_below_the_price_names_the_seq_and_uses_nothing_up() {
    let stage = Stage::new().await;
    let answer = stage.quote(9).await;
    assert_eq!(answer.code(), (402, "AMP_UNDERFUNDED"));
    assert_eq!((&answer.body["shortage"], &answer.body["required_seq"]), (&"ceiling".into(), &"10".into()));
    assert_eq!(stage.quote(10).await.paid(), ("9990", "10", "10"));
    assert_eq!(stage.quote(20).await.paid(), ("9980", "20", "10"));
}

#[tokio::test]
async fn a_ceiling_above_the_deposit_is_served_once_a_top_up_has_landed() {
    let stage = Stage::new().await;
    let answer = stage.quote(10_001).await;
    assert_eq!(answer.code(), (402, "AMP_UNDERFUNDED"));
    assert_eq!(answer.body["shortage"], "balance");
    stage.bench.chain.change_channel(|account| account.books.deposited = Amount::new(20_000));
    assert_eq!(stage.quote(10_001).await.paid(), ("19990", "10", "10"));
}

#[tokio::test]
async fn a_closing_channel_is_gone() {
    let stage = Stage::new().await;
    stage.bench.chain.change_channel(|account| (account.books.closing, account.closing_at) = (true, 1));
    assert_eq!(stage.quote(10).await.code(), (410, "AMP_CLOSED"));
}

#[tokio::test]
async fn a_channel_that_was_served_and_closed_is_gone_to_its_signer_and_unknown_to_others() {
    let stage = Stage::with(|config| config.channel_max_age(std::time::Duration::from_millis(1))).await;
    stage.quote(10).await.paid();
    stage.bench.chain.remove(CHANNEL);
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    assert_eq!(stage.quote(20).await.code(), (410, "AMP_CLOSED"));
    let mut forged = stage.bench.credential(20).await;
    forged.sig.0[3] ^= 1;
    assert_eq!(get_with(&stage.router, "/quote", &forged).await.code(), (402, "AMP_NO_CHANNEL"));
}

#[tokio::test]
async fn what_the_rate_can_not_collect_waits_and_says_how_long() {
    let stage = Stage::new().await;
    stage.bench.chain.change_channel(|account| account.terms.rate_limit = 15);
    stage.quote(10).await.paid();
    let answer = stage.quote(20).await;
    assert_eq!(answer.code(), (429, "AMP_RATE_EXCEEDED"));
    let seconds: u64 = answer.header("retry-after").parse().unwrap();
    assert!((1..=120).contains(&seconds) && answer.body["retry_after"] == seconds, "{seconds}");
    // refused, it made the worker settle; the window after that has room again
    let chain = stage.bench.chain.clone();
    eventually("the claim is booked", || chain.settled() == Amount::new(10)).await;
    stage.bench.chain.advance(60);
    tokio::time::sleep(std::time::Duration::from_millis(1_050)).await;
    assert_eq!(stage.quote(20).await.paid(), ("9980", "20", "10"));
}

#[tokio::test]
async fn a_replayed_seq_is_refused_with_the_last_one() {
    let stage = Stage::new().await;
    stage.quote(30).await.paid();
    let answer = stage.quote(30).await;
    assert_eq!(answer.code(), (400, "AMP_INVALID_SEQ"));
    assert_eq!(answer.body["last_seq"], "30");
    assert_eq!(stage.quote(29).await.paid(), ("9980", "20", "10"));
}

#[tokio::test]
async fn a_signature_that_does_not_verify_learns_and_changes_nothing() {
    let stage = Stage::new().await;
    stage.quote(30).await.paid();
    let good = stage.bench.credential(30).await;
    let other_epoch = stage.bench.credential_in(8, 40).await;
    let mut bent = stage.bench.credential(40).await;
    bent.sig.0[0] ^= 1;
    let other_seq = CredentialBody { seq: amp_protocol::money::Seq::new(9_000), ..good };
    for forged in [other_epoch, bent, other_seq] {
        let answer = get_with(&stage.router, "/quote", &forged).await;
        assert_eq!(answer.code(), (401, "AMP_INVALID_SIG"));
        assert!(answer.body.get("last_seq").is_none() && answer.body.get("balance").is_none());
    }
    assert_eq!(stage.quote(31).await.paid(), ("9980", "20", "10"));
}

#[tokio::test]
async fn a_settlement_before_its_time_is_too_early_and_says_when() {
    let stage = Stage::new().await;
    stage.quote(10).await.paid();
    stage.bench.chain.change_channel(|account| account.terms.settle_interval = 3_600);
    let denial = stage.service.settle(CHANNEL.into()).await.unwrap_err();
    let pricing = stage.service.pricing("/");
    let response = super::super::middleware::response_of(&stage.service, &pricing, &denial);
    assert_eq!((denial.code(), response.status().as_u16()), (Some(Code::SettleEarly), 425));
    let seconds: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((3_500..=3_600).contains(&seconds), "{seconds}");
    assert_eq!(stage.bench.chain.sent(), 0);
}

#[tokio::test]
async fn a_deposit_below_the_minimum_is_refused_until_it_is_topped_up() {
    let stage = Stage::with(|config| config.min_deposit(Amount::new(10_001))).await;
    let answer = stage.quote(10).await;
    assert_eq!(answer.code(), (400, "AMP_DEPOSIT_LOW"));
    assert_eq!(answer.body["min_deposit"], "10001");
    stage.bench.chain.change_channel(|account| account.books.deposited = Amount::new(10_001));
    assert_eq!(stage.quote(10).await.paid(), ("9991", "10", "10"));
}

#[tokio::test]
async fn every_code_has_its_status_and_every_402_its_price() {
    let stage = Stage::new().await;
    let pricing = stage.service.pricing("/");
    for code in Code::ALL {
        let denial = super::super::Denial::new(*code, None, "why");
        let response = super::super::middleware::response_of(&stage.service, &pricing, &denial);
        assert_eq!(response.status().as_u16(), code.http_status(), "{code}");
        assert_eq!(response.headers().contains_key(header::PRICING), code.http_status() == 402, "{code}");
    }
}

#[tokio::test]
async fn malformed_credentials_are_refused_by_field_and_never_break_anything() {
    let stage = Stage::new().await;
    let good = stage.bench.credential(10).await;
    let (channel, seq, sig) = (good.channel.to_string(), good.seq.to_string(), good.sig.to_string());
    for (fields, code) in [
        ([Some("x!"), Some(&*seq), Some(&*sig)], (402, "AMP_NO_CHANNEL")),
        ([None, Some(&*seq), Some(&*sig)], (402, "AMP_NO_CHANNEL")),
        ([Some(&*channel), Some("-1"), Some(&*sig)], (400, "AMP_INVALID_SEQ")),
        ([Some(&*channel), Some("+10"), Some(&*sig)], (400, "AMP_INVALID_SEQ")),
        ([Some(&*channel), Some("0"), Some(&*sig)], (401, "AMP_INVALID_SIG")),
        ([Some(&*channel), Some("18446744073709551616"), Some(&*sig)], (400, "AMP_INVALID_SEQ")),
        ([Some(&*channel), Some(&*seq), Some("sig")], (401, "AMP_INVALID_SIG")),
        ([Some(&*channel), Some(&*seq), None], (401, "AMP_INVALID_SIG")),
    ] {
        let mut request = Request::get("/quote");
        for (name, value) in [header::CHANNEL, header::SEQ, header::SIG].into_iter().zip(fields) {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        let answer = call(&stage.router, request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.code(), code, "{fields:?}");
    }
    stage.quote(10).await.paid();
}
