//! `delegate`, `revoke`, and spending as a delegate.

use crate::town::Town;

#[tokio::test(flavor = "multi_thread")]
async fn a_delegate_spends_from_the_channel_it_was_given_until_it_is_revoked() {
    let town = Town::found().await;
    let url = town.url("/quote");
    let channel = town.with_channel(1).await.to_string();
    let deputy = town.deputy().to_string();
    let said = town.amp(&["delegate", &url, &deputy, "0.01", "--expires", "2h", "--yes"]).await;
    said.says(&[&deputy, "0.01 ", "--channel", &channel, "until 2"]);

    let store = ["-k", "deputy.json", "--store", "deputy.db"];
    let call = ["call", &url, "--channel", &channel, store[0], store[1], store[2], store[3]];
    let called = town.amp(&call).await;
    assert_eq!(called.ok(), "42");
    called.says(&["cost 0.00025 ", "0.00975 "]);

    let listed = town.amp(&["list", "--delegate", &deputy, "--json"]).await.json();
    assert_eq!((&listed[0]["channel"], &listed[0]["limit"]), (&channel.as_str().into(), &"10000".into()));
    town.amp(&["list", "--delegate", "-k", "deputy.json"]).await.says(&[&channel, "0.01 ", "live until"]);
    town.amp(&["show", &url]).await.says(&[&deputy, "live until", "0.01 "]);

    let raised = town
        .amp(&["delegate", &channel, &deputy, "0.02", "--expires", "never", "--yes", "--json"])
        .await
        .json();
    assert_eq!((&raised["limit"], &raised["expires_at"]), (&"20000".into(), &serde_json::Value::Null));
    town.amp(&["delegate", &url, &deputy, "0.01", "--yes"])
        .await
        .fails(7, &["can be raised but not lowered"]);

    let revoked = town.amp(&["revoke", &url, &deputy, "--yes"]).await;
    revoked.says(&["can spend nothing more", "0.02 "]);
    town.amp(&["revoke", &url, &deputy, "--yes", "--json"]).await.fails(7, &["already revoked"]);
    town.amp(&call).await.fails(7, &["revoked"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_no_delegate_and_what_is_no_channel_is_said() {
    let town = Town::found().await;
    let url = town.url("/quote");
    let deputy = town.deputy().to_string();
    town.amp(&["delegate", &url, &deputy, "0.01", "--yes"]).await.fails(9, &["amp open"]);
    let channel = town.with_channel(0).await.to_string();
    town.amp(&["revoke", &url, &deputy, "--yes"]).await.fails(9, &["is not delegated to"]);
    let other = town.recipient.to_string();
    town.amp(&["delegate", &channel, &other, "0.01", "--yes"]).await.ok();
    town.chain.advance_slots(1);
    let revoked = town.amp(&["revoke", &channel, &other, "--yes", "--json"]).await.json();
    assert_eq!((&revoked["delegate"], revoked["revoked_at"].is_number()), (&other.as_str().into(), true));
    town.amp(&["delegate", &url, "nobody", "0.01"]).await.fails(2, &["<DELEGATE>"]);
    town.amp(&["delegate", &url, &deputy, "0.01", "--expires", "later"]).await.fails(2, &["--expires"]);
    town.amp(&["delegate", &url, &deputy, "0", "--yes"]).await.fails(7, &["amount must be above zero"]);
    let own = town.agent.to_string();
    town.amp(&["delegate", &url, &own, "0.01", "--yes"]).await.fails(7, &["authorized signer"]);
    let said = town.amp(&["call", &url, "--channel", &channel, "-k", "deputy.json", "--store", "d.db"]).await;
    said.fails(7, &["it is not delegated to this key"]);
    let said = town.amp(&["call", &url, "--channel", &channel, "--deposit", "1"]).await;
    said.fails(2, &["--deposit", "--channel"]);
}
