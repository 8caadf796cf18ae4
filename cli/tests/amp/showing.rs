//! `show`, `list`, `watch`.

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

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_prints_what_changes_and_nothing_else() {
    let town = Town::found().await;
    let channel = town.with_channel(1).await.to_string();
    let said = town.amp(&["watch", "--looks", "3", "--every", "10ms"]).await;
    assert_eq!(said.ok().matches(&channel).count(), 1, "{said:?}");
    let lines = town.amp(&["watch", "--funder", "--looks", "2", "--every", "10ms", "--json"]).await;
    let lines: Vec<serde_json::Value> =
        lines.ok().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), &lines[0]["channels"][0]["channel"]), (1, &channel.into()));
    town.amp(&["watch", "--funder", "--rpc", "http://127.0.0.1:1"]).await.fails(11, &["did not answer"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_sees_a_call_that_is_made_meanwhile() {
    let town = Town::found().await;
    town.with_channel(1).await;
    let mut watch = town.command(&["watch", "--every", "50ms", "--json"]);
    let mut child = watch.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    let (mut lines, first) = tokio::task::spawn_blocking(move || {
        let first = lines.next().unwrap().unwrap();
        (lines, first)
    })
    .await
    .unwrap();
    town.amp(&["call", &town.url("/quote")]).await.ok();
    // signed, then charged: the last of the changes is what counts
    let (spent, child) = tokio::task::spawn_blocking(move || {
        let changed =
            lines.by_ref().map(|line| serde_json::from_str::<serde_json::Value>(&line.unwrap()).unwrap());
        let spent = changed.map(|line| line["channels"][0]["spent"].clone()).find(|spent| spent == "500");
        child.kill().unwrap();
        (spent, child)
    })
    .await
    .unwrap();
    let first: serde_json::Value = serde_json::from_str(&first).unwrap();
    assert_eq!((&first["channels"][0]["spent"], spent), (&"250".into(), Some("500".into())));
    drop(child.wait_with_output());
}

#[tokio::test(flavor = "multi_thread")]
async fn at_a_terminal_a_watch_is_drawn_in_place() {
    const CLEAR: &str = "\u{1b}[H\u{1b}[2J";
    let town = Town::found().await;
    let channel = town.with_channel(1).await.to_string();
    let (screen, terminal) = crate::town::terminal();
    let mut watch = town.command(&["watch", "--looks", "3", "--every", "10ms"]);
    watch.stdout(std::process::Stdio::from(terminal));
    let drawn = tokio::task::spawn_blocking(move || {
        let mut child = watch.spawn().unwrap();
        // its end of the terminal is the last one
        drop(watch);
        let (mut drawn, mut screen, mut part) = (Vec::new(), screen, [0; 4096]);
        // Linux calls it an error when the last writer has gone
        while let Ok(count @ 1..) = std::io::Read::read(&mut screen, &mut part) {
            drawn.extend_from_slice(&part[..count]);
        }
        assert!(child.wait().unwrap().success());
        String::from_utf8(drawn).unwrap()
    })
    .await
    .unwrap();
    assert_eq!((drawn.matches(CLEAR).count(), drawn.matches(&channel).count()), (3, 3), "{drawn}");
}
