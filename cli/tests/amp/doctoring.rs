//! `doctor`.

use crate::town::Town;

#[tokio::test(flavor = "multi_thread")]
async fn where_all_is_well_the_doctor_says_so_for_each_thing() {
    let town = Town::found().await;
    let url = town.url("/quote");
    let said = town.amp(&["doctor", &url]).await;
    assert!(!said.ok().contains("WRONG"), "{said:?}");
    said.says(&[
        "solana:localnet",
        &town.agent.to_string(),
        "SOL",
        "0 channels",
        "0.00025 ",
        "an opening deposits 0.25 ",
    ]);
    let json = town.amp(&["doctor", "--json"]).await.json();
    let what: Vec<&str> =
        json.as_array().unwrap().iter().map(|check| check["what"].as_str().unwrap()).collect();
    assert_eq!(what, ["configuration", "cluster", "clock", "key", "program", "SOL", "store"]);
    town.with_channel(0).await;
    town.amp(&["doctor", &url]).await.says(&["1 channels, 1 open", "has 0.25 "]);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_thing_that_is_wrong_is_named_with_what_to_do() {
    let town = Town::found().await;
    let url = town.url("/quote");
    let doctor = async |more: &[&str]| {
        let mut arguments = vec!["doctor"];
        arguments.extend(more);
        let said = town.amp(&arguments).await;
        said.fails(10, &["wrong"]);
        said.out
    };
    for (arguments, parts) in [
        (vec!["--rpc", "http://127.0.0.1:1"], ["cluster", "did not answer"]),
        (vec!["--rpc", "devnett"], ["configuration", "devnett"]),
        (vec!["--network", "devnet"], ["cluster", "solana:devnet was asked for"]),
        (vec!["--program-id", "4zMMC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncDU"], ["program", "--program-id"]),
        (vec!["-k", "none.json"], ["key", "amp keygen"]),
        (vec!["-k", "deputy.json"], ["SOL", "has no SOL"]),
        (vec!["--store", "agent.json/a.db"], ["store", "agent.json"]),
        (vec![&url, "--max-price", "1u"], ["service", "--max-price"]),
        (vec![&url, "--mint", "4zMMC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncDU"], ["service", "--mint"]),
        (vec!["http://127.0.0.1:1/"], ["service", "127.0.0.1:1"]),
        (vec![&url, "--max-deposit", "200", "--deposit", "150"], ["tokens", "holds 100.00 "]),
    ] {
        let out = doctor(&arguments).await;
        let line = out.lines().find(|line| line.starts_with("WRONG") && line.contains(parts[0]));
        assert!(line.is_some_and(|line| line.contains(parts[1])), "{arguments:?}: {parts:?}\n{out}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_off_and_a_key_that_others_can_read_are_worth_a_look() {
    use std::os::unix::fs::PermissionsExt;
    let town = Town::found().await;
    town.chain.advance_seconds(600);
    std::fs::set_permissions(town.file("agent.json"), std::fs::Permissions::from_mode(0o644)).unwrap();
    town.amp(&["doctor"]).await.says(&["look", "s from the cluster's", "chmod 600"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_is_looked_at_with_what_the_key_has_to_do_with_it() {
    let town = Town::found().await;
    let channel = town.with_channel(0).await.to_string();
    let deputy = town.deputy().to_string();
    town.amp(&["doctor", &channel]).await.says(&["open, 0.25 ", "its funder, its authorized signer"]);
    town.amp(&["doctor", &channel, "-k", "service.json"]).await.says(&["its recipient"]);
    let stranger = ["doctor", &channel, "-k", "deputy.json"];
    town.chain.airdrop(&town.deputy(), 1_000_000_000).unwrap();
    assert!(
        town.amp(&stranger).await.fails(10, &["1 thing is wrong"]).out.contains("can neither spend from it")
    );
    town.amp(&["delegate", &channel, &deputy, "0.01", "--yes"]).await.ok();
    town.amp(&stranger).await.says(&["its delegate, live until"]);
    town.amp(&["revoke", &channel, &deputy, "--yes"]).await.ok();
    assert!(town.amp(&stranger).await.fails(10, &["wrong"]).out.contains("its delegate, revoked"));
    town.amp(&["request-close", &channel, "--yes"]).await.ok();
    town.amp(&["doctor", &channel]).await.says(&["look", "closable in 1h", "request-close"]);
    let none = "4zMMC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncDU";
    assert!(town.amp(&["doctor", none]).await.fails(10, &["wrong"]).out.contains("there is no channel"));
    town.amp(&["doctor", "quotes"]).await.fails(2, &["neither the URL"]);
}
