//! `discover`, `open`, `top-up`.

use amp_sdk::chain::PROGRAM_ID;
use amp_sdk::protocol::money::Amount;

use crate::town::{TOKENS, Town};

#[tokio::test(flavor = "multi_thread")]
async fn discovery_shows_prices_in_tokens() {
    let town = Town::found().await;
    let said = town.amp(&["discover", &town.origin]).await;
    let mint = town.mint.address.to_string();
    said.says(&[
        "/film",
        "a byte",
        "0.00025 ",
        "a call",
        "/free",
        "free",
        "solana:localnet",
        "1h or more",
        &mint,
    ]);
    let json = town.amp(&["discover", &town.origin, "--json"]).await.json();
    assert_eq!(json["recipient"], town.recipient.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opening_deposits_what_it_says_once() {
    let town = Town::found().await;
    let url = town.url("/quote");
    let said = town.amp(&["open", &url, "--yes"]).await;
    said.says(&["opened: channel", &town.origin, "0.25 "]);
    assert_eq!(town.tokens(&town.agent), TOKENS - 250_000);
    // again: the same channel, and nothing is asked
    let again = town.amp(&["open", &url, "--json"]).await.json();
    assert_eq!((&again["opened"], &again["deposited"]), (&false.into(), &"250000".into()));
    assert!(said.out.contains(again["channel"].as_str().unwrap()));
    assert_eq!(town.tokens(&town.agent), TOKENS - 250_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deposit_is_what_was_asked_for_in_tokens_or_base_units() {
    let town = Town::found().await;
    let url = town.url("/quote");
    let opened = town.amp(&["open", &url, "--deposit", "0.5", "--yes", "--json"]).await.json();
    assert_eq!((&opened["opened"], &opened["deposited"]), (&true.into(), &"500000".into()));
    town.amp(&["top-up", &url, "1000u", "--yes"]).await.says(&["added 0.001 ", "0.501 "]);
    let topped =
        town.amp(&["top-up", opened["channel"].as_str().unwrap(), "0.2", "--yes", "--json"]).await.json();
    assert_eq!(topped["deposited"], "701000");
    assert_eq!(town.tokens(&town.agent), TOKENS - 701_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_opened_or_topped_up_outside_the_limits() {
    let town = Town::found().await;
    let url = town.url("/quote");
    let open = async |more: &[&str]| {
        let mut arguments = vec!["open", &url, "--yes"];
        arguments.extend(more);
        town.amp(&arguments).await
    };
    open(&["--deposit", "2"]).await.fails(4, &["would hold 2.00 ", "--max-deposit allows 1.00 "]);
    open(&["--max-price", "0.0001"]).await.fails(4, &["0.00025", "--max-price allows 0.0001 "]);
    open(&["--budget", "0.1"]).await.fails(4, &["--budget"]);
    open(&["--max-grace", "30s"]).await.fails(4, &["--max-grace allows 30 s"]);
    open(&["--mint", "4zMMC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncDU"])
        .await
        .fails(4, &["is not allowed", "--mint"]);
    open(&["--mint", "USDC"]).await.fails(2, &["neither an address nor a known token of solana:localnet"]);
    open(&["--deposit", "0.0000001"]).await.fails(2, &["6 decimals"]);
    open(&["--deposit", "0.1 USDC"]).await.fails(2, &["not USDC"]);
    open(&["--network", "devnet"]).await.fails(2, &["no AMP program is recorded", "--program-id"]);
    let program = PROGRAM_ID.to_string();
    open(&["--network", "devnet", "--program-id", &program])
        .await
        .fails(5, &["solana:localnet", "solana:devnet", "--rpc"]);
    open(&["--program-id", "4zMMC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncDU"]).await.fails(5, &["never pay it"]);
    assert_eq!(town.tokens(&town.agent), TOKENS);

    town.with_channel(0).await;
    town.amp(&["top-up", &url, "1", "--yes"]).await.fails(4, &["--max-deposit"]);
    assert_eq!(town.tokens(&town.agent), TOKENS - 250_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_funder_without_tokens_or_sol_is_told_what_is_missing() {
    let town = Town::found().await;
    let url = town.url("/quote");
    let poor = ["open", &url, "--yes", "-k", "deputy.json"];
    let account = town.mint.account_of(&town.deputy()).to_string();
    town.amp(&poor).await.fails(6, &["holds 0.00 ", "0.25 ", &account]);
    town.chain.mint_to(&town.mint, &town.deputy(), Amount::new(TOKENS)).unwrap();
    town.amp(&poor).await.fails(6, &["SOL"]);
    let said = town.amp(&["top-up", &url, "1", "--yes"]).await;
    said.fails(9, &["no channel", "amp open"]);
    let none = "4zMMC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncDU";
    town.amp(&["top-up", none, "1", "--yes"]).await.fails(9, &[none, "request-close"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_takes_no_amp_is_not_opened_a_channel_to() {
    let town = Town::found().await;
    let said = town.amp(&["open", &format!("{}/", town.node.url()), "--yes"]).await;
    said.fails(5, &["no discovery document"]);
    town.amp(&["open", "http://127.0.0.1:1/", "--yes"]).await.fails(11, &["127.0.0.1:1"]);
    town.amp(&["open", "ftp://quotes.example/", "--yes"]).await.fails(2, &["no http"]);
}
