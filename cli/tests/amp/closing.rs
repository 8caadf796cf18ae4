//! `close` and `request-close`.

use crate::town::{GRACE, TOKENS, Town};

#[tokio::test(flavor = "multi_thread")]
async fn a_close_pays_the_service_and_brings_the_rest_back() {
    let town = Town::found().await;
    let url = town.url("/quote");
    town.with_channel(2).await;
    town.amp(&["close", &url, "--yes"]).await.says(&["closed: 0.2495 ", "0.0005 "]);
    assert_eq!((town.tokens(&town.agent), town.tokens(&town.recipient)), (TOKENS - 500, 500));
    town.amp(&["close", &url, "--yes"]).await.fails(9, &["closed already"]);
    town.amp(&["list", "--all"]).await.says(&["closed", "0.25 "]);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_channels_close_at_once_and_where_none_is_open_that_is_said() {
    let town = Town::found().await;
    town.amp(&["close", "--all", "--yes"]).await.says(&["no channel is open"]);
    town.with_channel(1).await;
    let closed = town.amp(&["close", "--all", "--yes", "--json"]).await.json();
    assert_eq!(closed[0]["outcome"]["closed"]["payout"], "250");
    assert_eq!(closed[0]["channel"]["service"], town.origin);
    assert_eq!(town.amp(&["close", "--all", "--yes", "--json"]).await.json(), serde_json::json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_service_a_channel_closes_after_its_grace() {
    let town = Town::found().await;
    let url = town.url("/quote");
    town.with_channel(1).await;
    town.burn_down();
    let said = town.amp(&["close", &url, "--yes"]).await;
    said.says(&["a close is requested", "run this again from"]);
    town.amp(&["call", &url]).await.fails(11, &["127.0.0.1"]);
    let early = town.amp(&["close", &url, "--yes", "--json"]).await.json();
    assert!(early["requested"]["closable_from"].is_number(), "{early}");
    town.amp(&["show", &url]).await.says(&["closable in 1h", "closing in this store"]);
    town.chain.advance_seconds(GRACE);
    town.amp(&["close", &url, "--yes"]).await.says(&["closed: 0.25 ", "0.00 "]);
    assert_eq!(town.tokens(&town.agent), TOKENS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_of_a_lost_store_is_closed_by_its_address() {
    let town = Town::found().await;
    let channel = town.with_channel(1).await.to_string();
    let lost =
        |command: &'static str| [command, channel.as_str(), "--yes", "--store", "new.db"].map(str::to_owned);
    let run = async |arguments: [String; 5], json: bool| {
        let mut arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        arguments.extend(json.then_some("--json"));
        town.amp(&arguments).await
    };
    run(lost("close"), false).await.fails(9, &["this store has no channel", "request-close"]);
    run(lost("request-close"), false).await.says(&["a close is requested", "run this again from"]);
    let again = run(lost("request-close"), true).await.json();
    assert_eq!(again["requested"]["closable_from"], town.chain.clock_now().unix_timestamp + i64::from(GRACE));
    town.chain.advance_seconds(GRACE);
    // the service settled nothing in its grace: the whole deposit comes back
    run(lost("request-close"), false).await.says(&["closed: 0.25 "]);
    run(lost("request-close"), false).await.fails(9, &["there is no channel"]);
    assert_eq!(town.tokens(&town.agent), TOKENS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_close_that_was_asked_for_ends_payments_from_this_store() {
    let town = Town::found().await;
    let url = town.url("/quote");
    let channel = town.with_channel(1).await.to_string();
    town.amp(&["request-close", &url, "--yes"]).await.says(&["a close is requested"]);
    assert_eq!(town.amp(&["list", "--json"]).await.json()[0]["state"], "closing");
    let said = town.amp(&["request-close", &channel, "--yes", "-k", "service.json"]).await;
    said.fails(7, &["is funded by", &town.agent.to_string()]);
    let none = "4zMMC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncDU";
    town.amp(&["request-close", none, "--yes"]).await.fails(9, &["there is no channel", none]);
    town.amp(&["close", "http://127.0.0.1:1", "--yes"]).await.fails(9, &["no channel to http://127.0.0.1:1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_all_leaves_the_channels_of_another_cluster_as_they_are() {
    let town = Town::found().await;
    let channel = town.with_channel(1).await.to_string();
    let program = amp_sdk::chain::PROGRAM_ID.to_string();
    let elsewhere = ["close", "--all", "--yes", "--network", "devnet", "--program-id", &program];
    let said = town.amp(&elsewhere).await;
    said.says(&["left as it is", &channel, "solana:localnet", "solana:devnet"]);
    let json = town.amp(&[&elsewhere[..], &["--json"]].concat()).await.json();
    assert_eq!(
        (&json[0]["channel"]["channel"], json.as_array().unwrap().len()),
        (&channel.as_str().into(), 1)
    );
    assert!(json[0]["outcome"]["skipped"].as_str().unwrap().contains("solana:localnet"), "{json}");
    let one = [&["close", &town.origin][..], &elsewhere[2..]].concat();
    town.amp(&one).await.fails(9, &["not on this cluster", "solana:localnet", "--network"]);
    let listed = town.amp(&["list", "--json"]).await.json();
    assert_eq!((&listed[0]["state"], &listed[0]["network"]), (&"open".into(), &"solana:localnet".into()));
    town.amp(&["close", "--all", "--yes"]).await.says(&["closed: 0.24975 "]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_of_another_cluster_keeps_no_other_from_closing() {
    let (there, town) = (Town::on_devnet().await, Town::found().await);
    let store = town.file("both.db");
    let close = ["close", "--all", "--yes", "--store", store.to_str().unwrap()];
    let open = async |town: &Town| {
        let arguments = ["open", &town.url("/quote"), "--yes", "--store", store.to_str().unwrap()];
        town.amp(&arguments).await.ok();
        town.chain.advance_slots(1);
    };
    open(&there).await;
    open(&town).await;
    let said = town.amp(&close).await;
    said.says(&["left as it is", &there.origin, "solana:devnet", "closed: 0.25 "]);
    let listed = town.amp(&["list", "--json", "--store", close[4]]).await.json();
    assert_eq!((&listed[0]["state"], &listed[0]["service"]), (&"open".into(), &there.origin.as_str().into()));
    assert_eq!(listed.as_array().unwrap().len(), 1);
    there.amp(&close).await.says(&["closed: 0.25 USDC"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_close_is_told_though_the_node_does_not_tell_the_time_after_it() {
    let town = Town::found().await;
    town.with_channel(2).await;
    town.node.tell_no_time_after_the_next();
    let closed = town.amp(&["close", &town.origin, "--yes", "--json"]).await.json();
    assert_eq!(closed["closed"]["payout"], "500");
    assert_eq!(town.tokens(&town.agent), TOKENS - 500);
}
