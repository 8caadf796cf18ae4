//! The `amp` command as a person meets it: what it makes, and what it says when something is wrong.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;
use std::process::{Command, Output};

use axum::{Router, routing::get};

fn amp(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_amp"));
    // what the person who runs the tests has set must not matter
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AMP_")) {
        command.env_remove(name);
    }
    command.args(arguments).output().unwrap()
}

fn says(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_new_keypair_is_private_and_never_overwrites_another() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("agent.json");
    let made = amp(&["keygen", text(&file)]);
    assert!(made.status.success(), "{}", says(&made));
    let signer = amp_sdk::signer::KeypairSigner::from_file(&file).unwrap();
    assert_eq!(says(&made).trim(), amp_sdk::signer::Signer::public_key(&signer).to_string());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let before = std::fs::read(&file).unwrap();
    let again = amp(&["keygen", text(&file)]);
    assert!(!again.status.success() && says(&again).contains("is there one already"), "{}", says(&again));
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

#[test]
fn a_missing_keypair_is_named_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let (keypair, store) = (folder.path().join("none.json"), folder.path().join("client.db"));
    let mint = "4zMMC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncDU";
    let output = amp(&[
        "get",
        "http://127.0.0.1:1/",
        "--mint",
        mint,
        "--keypair",
        text(&keypair),
        "--store",
        text(&store),
    ]);
    assert_eq!(output.status.code(), Some(1));
    assert!(says(&output).contains("amp keygen"), "{}", says(&output));
}

#[test]
fn paying_without_naming_a_mint_is_refused_before_anything_else() {
    let output = amp(&["get", "http://127.0.0.1:1/", "--keypair", "none.json"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(says(&output).contains("--mint"), "{}", says(&output));
}

#[test]
fn amounts_are_base_units_and_nothing_else() {
    for amount in ["1.5", "-1", "1e6", "18446744073709551616"] {
        let output = amp(&["top-up", "http://127.0.0.1:1/", amount, "--keypair", "k", "--mint", "m"]);
        assert_eq!(output.status.code(), Some(2), "{amount}: {}", says(&output));
    }
}

const DOCUMENT: &str = r#"{"amp_version":"1.0","recipient":"4vJ9JU1bJJE96FWSJKvHsmmFADCg4gpZQff4P3bkLKi",
    "program_id":"AMPchanne1111111111111111111111111111111111","network":"solana:devnet",
    "pricing":{"default":{"mode":"per-call","rate":"100","token":"8qbHbw2BbbTHBW1sbeqakYXVKRQM8Ne7pLK7m6CVfeR",
    "min_deposit":"5000","settle_interval":60},"routes":{"/v1/chat":{"mode":"per-call","rate":"250"}}}}"#;

/// Runs the blocking command beside the server it talks to.
async fn discover(document: &'static str, path: &'static str, arguments: &[&str]) -> Output {
    let app = Router::new().route(path, get(move || async move { document }));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    let mut all = vec!["discover".to_owned(), origin];
    all.extend(arguments.iter().map(ToString::to_string));
    let output =
        tokio::task::spawn_blocking(move || amp(&all.iter().map(String::as_str).collect::<Vec<_>>()));
    let output = output.await.unwrap();
    server.abort();
    output
}

#[tokio::test(flavor = "multi_thread")]
async fn discovery_shows_who_is_paid_and_what_it_costs() {
    let output = discover(DOCUMENT, "/.well-known/amp.json", &[]).await;
    let said = says(&output);
    assert!(output.status.success(), "{said}");
    for part in ["solana:devnet", "/v1/chat", "250", "all else", "100", "5000 base units"] {
        assert!(said.contains(part), "{part} is missing:\n{said}");
    }
    let output = discover(DOCUMENT, "/.well-known/amp.json", &["--json"]).await;
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["pricing"]["default"]["rate"], "100");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_is_no_amp_service_is_called_that() {
    let output = discover("hello", "/", &[]).await;
    assert!(!output.status.success() && says(&output).contains("no AMP service"), "{}", says(&output));
    let output = discover("hello", "/.well-known/amp.json", &[]).await;
    assert!(says(&output).contains("not a discovery document"), "{}", says(&output));
}
