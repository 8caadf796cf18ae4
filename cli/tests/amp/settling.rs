//! `settle`: the recipient's claim by hand.

use amp_sdk::chain::{PROGRAM_ID, channel};
use amp_sdk::protocol::json::CredentialBody;
use amp_sdk::protocol::money::Seq;
use amp_sdk::signed::sign_credential;
use solana_address::Address;

use crate::town::{INTERVAL, Town};

/// What the agent's key, or another, signs for a channel of the town's.
async fn signed(town: &Town, at: &Address, key: &str, seq: u64) -> String {
    let account = channel(&town.chain, &PROGRAM_ID, at).await.unwrap().unwrap();
    let credential: CredentialBody =
        sign_credential(&town.key(key), at, account.opened_slot, Seq::new(seq)).await.unwrap();
    serde_json::to_string(&credential).unwrap()
}

async fn settle(town: &Town, credential: &str, owed: &str, more: &[&str]) -> crate::town::Said {
    let mut arguments = vec!["settle", credential, "--owed", owed, "-k", "service.json", "--yes"];
    arguments.extend(more);
    town.amp(&arguments).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_credential_is_worth_what_was_metered() {
    let town = Town::found().await;
    let at = town.with_channel(0).await;
    let credential = signed(&town, &at, "agent.json", 1_000).await;
    settle(&town, &credential, "0.0005", &[]).await.fails(7, &["can be settled from 2"]);
    town.chain.advance_seconds(INTERVAL);
    settle(&town, &credential, "0.0005", &[]).await.says(&["settled: 0.0005 "]);
    assert_eq!(town.tokens(&town.recipient), 500);
    town.chain.advance_seconds(INTERVAL);
    let paid = settle(&town, &credential, "1000u", &["--json"]).await.json();
    assert_eq!((&paid["paid"], &paid["owed"]), (&"500".into(), &"1000".into()));
    assert_eq!(paid["signer"], town.agent.to_string());
    assert_eq!(town.tokens(&town.recipient), 1_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delegates_credential_is_found_to_be_its() {
    let town = Town::found().await;
    let at = town.with_channel(0).await;
    let deputy = town.deputy();
    town.amp(&["delegate", &at.to_string(), &deputy.to_string(), "0.01", "--yes"]).await.ok();
    let found = amp_sdk::chain::delegations(&town.chain, &PROGRAM_ID, &at).await.unwrap();
    let created = found[0].1.created_slot;
    let credential = sign_credential(&town.key("deputy.json"), &at, created, Seq::new(300)).await.unwrap();
    let text = format!("AMP-Channel: {at}\nAMP-Seq: 300\nAMP-Sig: {}", credential.sig);
    std::fs::write(town.file("credential.txt"), text).unwrap();
    town.chain.advance_seconds(INTERVAL);
    let paid = settle(&town, "@credential.txt", "300u", &["--json"]).await.json();
    assert_eq!((&paid["paid"], &paid["signer"]), (&"300".into(), &deputy.to_string().into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_program_would_refuse_is_refused_before_a_fee_is_paid() {
    let town = Town::found().await;
    let at = town.with_channel(0).await;
    let credential = signed(&town, &at, "agent.json", 1_000).await;
    town.chain.advance_seconds(INTERVAL);
    let before = (town.chain.lamports(&town.recipient), town.chain.executed().len());
    settle(&town, &credential, "1001u", &[])
        .await
        .fails(7, &["owed is above what the credential authorizes"]);
    settle(&town, &credential, "0u", &[]).await.fails(7, &["owed is not above what this signer has paid"]);
    let forged = signed(&town, &at, "deputy.json", 1_000).await;
    settle(&town, &forged, "10u", &[]).await.fails(10, &["signed by none of the keys"]);
    let said = town.amp(&["settle", &credential, "--owed", "10u", "--yes"]).await;
    said.fails(7, &["pays", &town.recipient.to_string(), "only that key"]);
    settle(&town, "{}", "10u", &[]).await.fails(2, &["not a credential"]);
    settle(&town, "@none.json", "10u", &[]).await.fails(1, &["can't read none.json"]);
    let other = credential.replace(&at.to_string(), "4zMMC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncDU");
    settle(&town, &other, "10u", &[]).await.fails(9, &["there is no channel"]);
    let said = town.amp(&["settle", &credential, "--owed", "10u", "-k", "service.json"]).await;
    said.fails(3, &["Claim 0.00001 ", "--yes"]);
    assert_eq!((town.chain.lamports(&town.recipient), town.chain.executed().len()), before);
}
