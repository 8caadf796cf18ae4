//! `call`.

use amp_sdk::signer::Signer as _;

use crate::town::{FILM, Town};

#[tokio::test(flavor = "multi_thread")]
async fn a_call_opens_a_channel_pays_and_goes_on_with_it() {
    let town = Town::found().await;
    let url = town.url("/quote");
    let first = town.amp(&["call", &url, "--yes"]).await;
    assert_eq!(first.ok(), "42");
    first.says(&["200: cost 0.00025 ", "spent 0.00025 ", "seq 250"]);
    // no --yes: the channel is open, and nothing is asked
    let second = town.amp(&["call", &url]).await;
    second.says(&["spent 0.0005 ", "0.2495 "]);
    let third = town.amp(&["call", &url, "--json"]).await.json();
    assert_eq!((&third["status"], &third["body"]), (&200.into(), &"42".into()));
    assert_eq!((&third["payment"]["cost"], &third["payment"]["spent"]), (&"250".into(), &"750".into()));
    assert_eq!(third["token"]["decimals"], 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_opening_a_call_resumes_its_channel() {
    let town = Town::found().await;
    let channel = town.with_channel(0).await;
    let called = town.amp(&["call", &town.url("/quote"), "--json"]).await.json();
    assert_eq!(called["payment"]["channel"], channel.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_made_in_curls_words() {
    let town = Town::found().await;
    town.with_channel(0).await;
    let echo = town.url("/echo");
    assert_eq!(town.amp(&["call", &echo, "-d", "hello"]).await.ok(), "you said hello");
    std::fs::write(town.file("body.txt"), "a file").unwrap();
    let posted =
        town.amp(&["call", &echo, "-X", "POST", "-H", "Content-Type: text/plain", "-d", "@body.txt"]).await;
    assert_eq!(posted.ok(), "you said a file");
    town.amp(&["call", &echo, "-d", "x", "-i"]).await.says(&["HTTP 200", "amp-cost: 250", "\n\nyou said x"]);
    town.amp(&["call", &town.url("/quote"), "-o", "quote.txt"]).await.ok();
    assert_eq!(std::fs::read_to_string(town.file("quote.txt")).unwrap(), "42");
    let binary = town.amp(&["call", &town.url("/bytes"), "--json"]).await.json();
    assert_eq!(binary["body_base64"], "/wD+");
    town.amp(&["call", &echo, "-H", "no colon"]).await.fails(2, &["is no header", "Name: value"]);
    town.amp(&["call", &echo, "-d", "@none.txt"]).await.fails(1, &["can't read none.txt"]);
    town.amp(&["call", &echo, "-X", "G E T"]).await.fails(2, &["--request"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_free_needs_no_channel_and_what_fails_ends_with_its_code() {
    let town = Town::found().await;
    let free = town.amp(&["call", &town.url("/free")]).await;
    assert_eq!((free.ok(), free.err.trim()), ("nothing", "200: free"));
    assert!(town.amp(&["list"]).await.ok().contains("no channels"));
    town.with_channel(0).await;
    let broken = town.amp(&["call", &town.url("/broken")]).await;
    assert_eq!(broken.out, "out of order");
    broken.fails(12, &["500", "spent 0.00 "]);
    // no AMP service at all: as curl would
    let other = town.amp(&["call", &format!("{}/", town.node.url())]).await;
    other.fails(12, &["405", "free"]);
    town.amp(&["call", "http://127.0.0.1:1/"]).await.fails(11, &["127.0.0.1:1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_price_above_the_limit_is_not_paid() {
    let town = Town::found().await;
    town.with_channel(0).await;
    let said = town.amp(&["call", &town.url("/quote"), "--max-price", "249u", "--json"]).await;
    said.fails(4, &["--max-price allows 0.000249 ", r#""kind":"limit""#]);
    assert_eq!(town.amp(&["list", "--json"]).await.json()[0]["last_seq"], "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deposit_that_is_used_up_is_added_to_only_when_that_is_allowed() {
    let town = Town::found().await;
    let url = town.url("/quote");
    town.amp(&["call", &url, "--deposit", "250u", "--yes"]).await.ok();
    let said = town.amp(&["call", &url, "--deposit", "250u"]).await;
    said.fails(6, &["0.00025 ", "0.0005 ", "amp top-up", "--top-up"]);
    town.amp(&["call", &url, "--deposit", "250u", "--top-up"]).await.says(&["spent 0.0005 "]);
    let json = town.amp(&["call", &url, "--deposit", "250u", "--json"]).await;
    json.fails(6, &[r#""code":"AMP_UNDERFUNDED""#, r#""kind":"funds""#]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hot_key_signs_credentials_in_the_funders_place() {
    let town = Town::found().await;
    let url = town.url("/quote");
    town.amp(&["call", &url, "--yes", "--hot-key", "deputy.json"]).await.ok();
    let shown = town.amp(&["show", &url, "--hot-key", "deputy.json", "--json"]).await.json();
    let signer = town.key("deputy.json").public_key().to_string();
    assert_eq!(shown["chain"]["authorized_signer"], signer);
    assert_eq!(shown["chain"]["funder"], town.agent.to_string());
    // without it the store has none
    town.amp(&["show", &url]).await.fails(9, &["no channel"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_metered_answer_costs_what_came_of_it() {
    let town = Town::found().await;
    let film = town.amp(&["call", &town.url("/film"), "--yes", "--json"]).await.json();
    assert_eq!(film["body"].as_str().unwrap().len(), FILM);
    assert_eq!(film["payment"]["cost"], FILM.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_call_opens_a_channel_in_a_closed_ones_place_without_asking() {
    let town = Town::found().await;
    let url = town.url("/quote");
    let channel = town.with_channel(1).await.to_string();
    // another store of the same key closes it: this one believes it open
    town.amp(&["request-close", &channel, "--yes", "--store", "other.db"]).await.ok();
    town.chain.advance_seconds(crate::town::GRACE);
    town.amp(&["request-close", &channel, "--yes", "--store", "other.db"]).await.says(&["closed"]);
    // what the service knows of it has aged
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    town.amp(&["call", &url]).await.fails(3, &["is gone", "call again to open another"]);
    assert_eq!(town.tokens(&town.agent), crate::town::TOKENS);
    town.amp(&["call", &url, "--yes"]).await.says(&["spent 0.00025 "]);
}
