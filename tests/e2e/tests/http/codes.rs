//! Each of the nine codes that a request can meet, over real HTTP.

use amp_e2e_tests::{DEPOSIT, INTERVAL, Market, Opening, PRICE};
use amp_protocol::code::Code;
use amp_protocol::json::Shortage;
use amp_protocol::money::{Amount, Seq};
use amp_protocol::rules::Terms;
use amp_protocol::text::header;
use amp_sdk::server::Denial;
use amp_sdk::signer::{KeypairSigner, Signer};
use solana_address::Address;

/// A credential of the funder's for its own channel as it is now.
async fn signed(
    market: &Market,
    funder: &KeypairSigner,
    channel: &Address,
    seq: u64,
) -> amp_protocol::json::CredentialBody {
    let epoch = market.account(channel).await.expect("a channel").opened_slot;
    market.sign(funder, channel, epoch, Seq::new(seq)).await
}

#[tokio::test]
async fn no_credential_an_unknown_channel_and_another_services_channel_are_no_channel() {
    let market = Market::open().await;
    let funder = market.person();
    let none = market.get("/quote").await.refused(Code::NoChannel);
    assert_eq!(none.channel, None);

    let nowhere = Address::from([7; 32]);
    let made_up = market.sign(&funder, &nowhere, 1, Seq::new(PRICE)).await;
    let unknown = market.get_with("/quote", &made_up).await;
    assert_eq!(unknown.refused(Code::NoChannel).channel, Some(nowhere.to_bytes().into()));
    assert_eq!(unknown.header(header::VERSION), "1.0", "a 402 says how to pay");

    let rival = market.person().public_key();
    let theirs = market.open_channel(&funder, Opening { recipient: Some(rival), ..Opening::default() }).await;
    let credential = signed(&market, &funder, &theirs, PRICE).await;
    let refused = market.get_with("/quote", &credential).await.refused(Code::NoChannel);
    assert_eq!(refused.channel, Some(theirs.to_bytes().into()));
    assert!(refused.message.contains("pays another service"), "{}", refused.message);
    assert_eq!(market.served(), 0);
    // the rival's vault is not among those that are counted: take the deposit back
    market.request_close(&funder, &theirs).await;
    market.chain.advance_seconds(amp_e2e_tests::GRACE);
    market.close_as(&funder, &theirs).await.unwrap();
    market.end();
}

#[tokio::test]
async fn a_channel_on_terms_that_the_service_does_not_serve_is_no_channel() {
    let market = Market::open().await;
    let funder = market.person();
    let terms = Opening::default().terms;
    for (nonce, terms, hint) in [
        (0, Terms { close_grace: amp_e2e_tests::GRACE - 1, ..terms }, "close_grace"),
        (1, Terms { settle_interval: INTERVAL + 1, ..terms }, "settle_interval"),
    ] {
        let channel = market.open_channel(&funder, Opening { nonce, terms, ..Opening::default() }).await;
        let credential = signed(&market, &funder, &channel, PRICE).await;
        let refused = market.get_with("/quote", &credential).await.refused(Code::NoChannel);
        assert!(refused.message.contains(hint), "{}", refused.message);
    }
    market.end_having_earned(0);
}

#[tokio::test]
async fn a_ceiling_below_the_price_is_underfunded_and_names_the_seq_that_would_do() {
    let market = Market::open().await;
    let funder = market.person();
    let terms = Terms { unit_price: 100, ..Opening::default().terms };
    let channel = market.open_channel(&funder, Opening { terms, ..Opening::default() }).await;
    let short = market.get_with("/quote", &signed(&market, &funder, &channel, 2).await).await;
    let refused = short.refused(Code::Underfunded);
    assert_eq!(short.status, 402);
    assert_eq!(refused.shortage, Some(Shortage::Ceiling));
    assert_eq!(refused.price, Some(Amount::new(PRICE)));
    assert_eq!(refused.required_seq, Some(Seq::new(3)), "3 * 100 covers 250, 2 * 100 does not");
    let paid = market.get_with("/quote", &signed(&market, &funder, &channel, 3).await).await;
    assert_eq!((paid.status, paid.paid()), (200, [DEPOSIT - PRICE, PRICE, PRICE]));
    // 300 are authorized, 250 used: the rest counts for the next call
    let next = market.get_with("/quote", &signed(&market, &funder, &channel, 4).await).await;
    assert_eq!(next.refused(Code::Underfunded).required_seq, Some(Seq::new(5)));
    let next = market.get_with("/quote", &signed(&market, &funder, &channel, 5).await).await;
    assert_eq!(next.paid(), [DEPOSIT - 2 * PRICE, 2 * PRICE, PRICE]);
    market.settle_all().await;
    market.end();
}

#[tokio::test]
async fn a_deposit_that_is_used_up_is_underfunded_until_it_is_topped_up() {
    let market = Market::open().await;
    let funder = market.person();
    let deposit = 2 * PRICE + 100;
    let channel = market.open_channel(&funder, Opening { deposit, ..Opening::default() }).await;
    for call in 1..=2 {
        let credential = signed(&market, &funder, &channel, call * PRICE).await;
        assert_eq!(market.get_with("/quote", &credential).await.status, 200);
    }
    // all that the deposit covers, and still not the price
    let all = signed(&market, &funder, &channel, deposit).await;
    let refused = market.get_with("/quote", &all).await.refused(Code::Underfunded);
    assert_eq!(refused.shortage, Some(Shortage::Balance));
    assert_eq!((refused.price, refused.balance), (Some(Amount::new(PRICE)), Some(Amount::new(100))));
    assert_eq!(refused.required_seq, Some(Seq::new(3 * PRICE)));
    // and more than it covers
    let above = signed(&market, &funder, &channel, 3 * PRICE).await;
    let refused = market.get_with("/quote", &above).await.refused(Code::Underfunded);
    assert_eq!((refused.shortage, refused.balance), (Some(Shortage::Balance), Some(Amount::new(100))));

    market.top_up_as(&funder, &channel, PRICE).await;
    let paid = market.get_with("/quote", &above).await;
    assert_eq!((paid.status, paid.paid()), (200, [100, 3 * PRICE, PRICE]));
    market.settle_all().await;
    market.end();
}

#[tokio::test]
async fn what_passes_the_rate_limit_waits_for_the_next_window() {
    let market = Market::open().await;
    let funder = market.person();
    let terms = Terms { rate_limit: 2 * PRICE, ..Opening::default().terms };
    let channel = market.open_channel(&funder, Opening { terms, ..Opening::default() }).await;
    for call in 1..=2 {
        let credential = signed(&market, &funder, &channel, call * PRICE).await;
        assert_eq!(market.get_with("/quote", &credential).await.status, 200);
    }
    let third = signed(&market, &funder, &channel, 3 * PRICE).await;
    let limited = async |at_most: u64| {
        let answer = market.get_with("/quote", &third).await;
        let refused = answer.refused(Code::RateExceeded);
        assert_eq!((answer.status, refused.price), (429, Some(Amount::new(PRICE))));
        let after = refused.retry_after.expect("when to come back");
        assert_eq!(answer.header("retry-after"), after.to_string());
        // the service's clock may have ticked once since it asked the chain
        assert!((at_most - 1..=at_most).contains(&after), "{after}");
    };
    // what is owed now fills the next window: there is room only in the one after
    limited(2 * u64::from(INTERVAL)).await;
    market.chain.advance_seconds(INTERVAL);
    // the refusal made the worker settle soon, which may be now
    let paid = market.service().settle(channel).await.unwrap().paid;
    assert!(paid == Amount::new(2 * PRICE) || paid.is_zero());
    assert_eq!(market.earned(), 2 * PRICE);
    limited(u64::from(INTERVAL)).await;
    // the service looks at the clock at most once a second for requests
    market.chain.advance_seconds(INTERVAL);
    let _ = market.service().settle(channel).await;
    let served = market.get_with("/quote", &third).await;
    assert_eq!((served.status, served.paid()[1]), (200, 3 * PRICE), "{}", served.text());
    market.settle_all().await;
    market.end();
}

#[tokio::test]
async fn a_price_above_the_rate_limit_is_refused_for_ever() {
    let market = Market::open().await;
    let funder = market.person();
    let terms = Terms { rate_limit: PRICE - 1, ..Opening::default().terms };
    let channel = market.open_channel(&funder, Opening { terms, ..Opening::default() }).await;
    let credential = signed(&market, &funder, &channel, PRICE).await;
    let refused = market.get_with("/quote", &credential).await.refused(Code::RateExceeded);
    assert!(refused.message.contains("never"), "{}", refused.message);
    market.end_having_earned(0);
}

#[tokio::test]
async fn a_replayed_or_forgotten_seq_is_invalid_and_the_last_one_is_named() {
    let market = Market::builder().service(|config| config.seq_window(4)).open().await;
    let funder = market.person();
    let channel = market.open_channel(&funder, Opening::default()).await;
    let at = async |seq| market.get_with("/quote", &signed(&market, &funder, &channel, seq).await).await;
    let refused = async |seq, last| {
        let body = at(seq).await.refused(Code::InvalidSeq);
        assert_eq!(body.last_seq, Some(Seq::new(last)), "{seq}");
    };
    assert_eq!(at(2 * PRICE).await.status, 200);
    refused(2 * PRICE, 2 * PRICE).await;
    refused(0, 2 * PRICE).await;
    // below the highest, but never seen: a parallel request that was overtaken
    assert_eq!(at(2 * PRICE - 1).await.status, 200);
    refused(2 * PRICE - 1, 2 * PRICE).await;
    for call in 3..=6 {
        assert_eq!(at(call * PRICE).await.status, 200);
    }
    // with four remembered, whatever is not above the newest forgotten one is too old to know
    refused(2 * PRICE, 6 * PRICE).await;
    refused(2 * PRICE - 2, 6 * PRICE).await;
    let new = at(2 * PRICE + 1).await.refused(Code::Underfunded);
    assert_eq!(new.required_seq, Some(Seq::new(7 * PRICE)), "new, but all that was authorized is spent");
    market.settle_all().await;
    assert_eq!(market.earned(), 6 * PRICE);
    market.end();
}

#[tokio::test]
async fn another_key_another_seq_and_another_epoch_are_invalid_signatures() {
    let market = Market::open().await;
    let (funder, thief) = (market.person(), market.person());
    let channel = market.open_channel(&funder, Opening::default()).await;
    let epoch = market.account(&channel).await.unwrap().opened_slot;
    let seq = Seq::new(PRICE);
    let good = market.sign(&funder, &channel, epoch, seq).await;
    let bad = [
        market.sign(&thief, &channel, epoch, seq).await,
        market.sign(&market.recipient, &channel, epoch, seq).await,
        market.sign(&funder, &channel, epoch + 1, seq).await,
        amp_protocol::json::CredentialBody { seq: Seq::new(PRICE + 1), ..good },
        amp_protocol::json::CredentialBody { sig: [0; 64].into(), ..good },
    ];
    for credential in bad {
        let answer = market.get_with("/quote", &credential).await;
        answer.refused(Code::InvalidSig);
        assert_eq!(answer.status, 401);
    }
    assert_eq!(market.get_with("/quote", &good).await.status, 200);
    market.settle_all().await;
    market.end();
}

#[tokio::test]
async fn what_was_signed_for_an_earlier_incarnation_is_worth_nothing_in_the_next() {
    let market = Market::open().await;
    let (funder, stranger) = (market.person(), market.person());
    let channel = market.open_channel(&funder, Opening::default()).await;
    let first = signed(&market, &funder, &channel, PRICE).await;
    let unused = signed(&market, &funder, &channel, 2 * PRICE).await;
    assert_eq!(market.get_with("/quote", &first).await.status, 200);
    market.settle_all().await;
    market.request_close(&funder, &channel).await;
    market.chain.advance_seconds(amp_e2e_tests::GRACE);
    market.close_as(&stranger, &channel).await.unwrap();

    let again = market.open_channel(&funder, Opening::default()).await;
    assert_eq!(again, channel, "the same address");
    // the view may be this old
    tokio::time::sleep(std::time::Duration::from_millis(60)).await;
    for old in [first, unused] {
        market.get_with("/quote", &old).await.refused(Code::InvalidSig);
    }
    // the same seq as before: books, replay window and spent have begun anew
    let anew = market.get_with("/quote", &signed(&market, &funder, &channel, PRICE).await).await;
    assert_eq!((anew.status, anew.paid()), (200, [DEPOSIT - PRICE, PRICE, PRICE]), "{}", anew.text());
    market.chain.advance_seconds(INTERVAL);
    market.service().settle(channel).await.unwrap();
    market.end();
}

#[tokio::test]
async fn a_deposit_below_the_minimum_is_refused_until_it_is_topped_up() {
    let market = Market::builder().service(|config| config.min_deposit(Amount::new(5_000))).open().await;
    let funder = market.person();
    let channel = market.open_channel(&funder, Opening { deposit: 4_999, ..Opening::default() }).await;
    let credential = signed(&market, &funder, &channel, PRICE).await;
    let answer = market.get_with("/quote", &credential).await;
    assert_eq!(answer.refused(Code::DepositLow).min_deposit, Some(Amount::new(5_000)));
    assert_eq!(answer.status, 400);
    market.top_up_as(&funder, &channel, 1).await;
    assert_eq!(market.get_with("/quote", &credential).await.paid(), [5_000 - PRICE, PRICE, PRICE]);
    market.settle_all().await;
    market.end();
}

#[tokio::test]
async fn a_settlement_before_the_interval_is_early_and_says_for_how_long() {
    let market = Market::open().await;
    let agent = market.hire().await;
    let channel = agent.buy(&market.url("/quote")).await.channel;
    let early = async |seconds: u64| match market.service().settle(channel).await {
        Err(Denial::Refused(body)) => {
            assert_eq!((body.error, body.error.http_status()), (Code::SettleEarly, 425));
            let after = body.retry_after.expect("when");
            assert!((seconds - 1..=seconds).contains(&after), "{after}");
        }
        other => panic!("{other:?}"),
    };
    early(INTERVAL.into()).await;
    market.chain.advance_seconds(INTERVAL - 10);
    early(10).await;
    assert_eq!(market.count_of("Settle"), 0);
    market.chain.advance_seconds(10);
    assert_eq!(market.service().settle(channel).await.unwrap().paid, Amount::new(PRICE));
    // nothing owed is no error, however early
    assert_eq!(market.service().settle(channel).await.unwrap().paid, Amount::ZERO);
    let unknown = market.service().settle(Address::from([9; 32])).await.unwrap_err();
    assert_eq!(unknown.code(), Some(Code::NoChannel));
    market.end();
}

#[tokio::test]
async fn a_credential_in_a_json_body_raises_the_ceiling_like_one_in_headers() {
    let market = Market::open().await;
    let funder = market.person();
    let channel = market.open_channel(&funder, Opening::default()).await;
    let raise = async |seq| {
        let credential = signed(&market, &funder, &channel, seq).await;
        let path = amp_protocol::text::path::CREDENTIAL;
        market.send(market.request(reqwest::Method::POST, path, None).json(&credential)).await
    };
    let raised = raise(4 * PRICE).await;
    assert_eq!((raised.status, raised.paid()), (200, [DEPOSIT, 0, 0]), "{}", raised.text());
    raise(4 * PRICE).await.refused(Code::InvalidSeq);
    // the ceiling is there for lower seqs that were overtaken
    for seq in 1..=4 {
        let credential = signed(&market, &funder, &channel, seq).await;
        assert_eq!(market.get_with("/quote", &credential).await.status, 200);
    }
    let fifth = signed(&market, &funder, &channel, 5).await;
    let refused = market.get_with("/quote", &fifth).await.refused(Code::Underfunded);
    assert_eq!(refused.required_seq, Some(Seq::new(5 * PRICE)));
    market.settle_all().await;
    market.end();
}

#[tokio::test]
async fn what_the_client_raised_and_did_not_use_is_never_claimed() {
    let market = Market::open().await;
    let agent = market.hire().await;
    let url = market.url("/quote");
    assert_eq!(agent.client.raise_ceiling(&url, Amount::new(4 * PRICE)).await.unwrap(), Seq::new(4 * PRICE));
    let paid = agent.buy(&url).await;
    assert_eq!((paid.seq, paid.spent), (Seq::new(4 * PRICE + 1), Some(Amount::new(PRICE))));
    market.settle_all().await;
    assert_eq!(market.earned(), PRICE);
    agent.client.close(market.origin()).await.unwrap();
    market.end();
}
