//! `show`, `list`.

use crate::town::Town;

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_is_shown_as_the_chain_the_store_and_the_service_have_it() {
    let town = Town::found().await;
    let url = town.url("/quote");
    let channel = town.with_channel(2).await.to_string();
    let said = town.amp(&["show", &url]).await;
    said.says(&[
        &channel,
        "open",
        "deposited",
        "0.25 ",
        "seq 500",
        "0.0005 ",
        "signed and checked",
        "close grace 1h",
    ]);
    let json = town.amp(&["show", &channel, "--json"]).await.json();
    assert_eq!((&json["chain"]["deposited"], &json["store"]["spent"]), (&"250000".into(), &"500".into()));
    assert_eq!(json["service"]["metering_proof"]["owed"], "500");
    let offline = town.amp(&["show", &url, "--offline", "--json"]).await.json();
    assert_eq!(offline["service"], serde_json::Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn anybody_can_look_at_a_channel_and_what_is_none_is_said() {
    let town = Town::found().await;
    let channel = town.with_channel(1).await.to_string();
    let json = town.amp(&["show", &channel, "-k", "none.json", "--json"]).await.json();
    assert_eq!((&json["chain"]["claimed"], &json["store"]), (&"0".into(), &serde_json::Value::Null));
    let none = "4zMMC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncDU";
    town.amp(&["show", none]).await.fails(9, &["there is no channel", none]);
    town.amp(&["show", "http://127.0.0.1:1"]).await.fails(9, &["no channel to http://127.0.0.1:1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_does_not_answer_hides_nothing_else() {
    let town = Town::found().await;
    let url = town.url("/quote");
    town.with_channel(1).await;
    town.burn_down();
    town.amp(&["show", &url]).await.says(&["service says", "nothing:", "0.00025 "]);
}

#[tokio::test(flavor = "multi_thread")]
async fn channels_are_listed_from_the_store_and_by_whoever_has_to_do_with_them() {
    let town = Town::found().await;
    assert!(town.amp(&["list"]).await.ok().contains("amp open URL"));
    let channel = town.with_channel(1).await.to_string();
    town.amp(&["list"]).await.says(&[&town.origin, "open", &channel, "0.25 ", "0.00025 ", "0.24975 "]);
    let stored = town.amp(&["list", "--json"]).await.json();
    assert_eq!((&stored[0]["spent"], &stored[0]["left"]), (&"250".into(), &"249750".into()));
    // of the own key where none is given
    for arguments in [vec!["list", "--funder"], vec!["list", "--recipient", "-k", "service.json"]] {
        town.amp(&arguments).await.says(&[&channel, "open", "0.25 "]);
        let mut json = arguments.clone();
        json.push("--json");
        assert_eq!(town.amp(&json).await.json()[0]["channel"], channel);
    }
    let recipient = town.recipient.to_string();
    assert_eq!(town.amp(&["list", "--recipient", &recipient, "--json"]).await.json()[0]["channel"], channel);
    town.amp(&["list", "--funder", &recipient]).await.says(&["no channels"]);
    town.amp(&["list", "--delegate", &recipient]).await.says(&["no delegations"]);
    town.amp(&["list", "--funder", "--recipient"]).await.fails(2, &["cannot be used with"]);
}
