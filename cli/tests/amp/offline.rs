//! Commands that need no cluster, and what the command line itself refuses.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::{
    Json, Router,
    routing::{get, post},
};
use serde_json::{Value, json};

use crate::town::{Said, bare, offline};

#[test]
fn a_new_keypair_is_private_and_never_overwrites_another() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("agent.json");
    let path = file.to_str().unwrap();
    let made = offline(home.path(), &["keygen", path]);
    let signer = amp_sdk::signer::KeypairSigner::from_file(&file).unwrap();
    let address = amp_sdk::signer::Signer::public_key(&signer).to_string();
    assert_eq!(made.ok().trim(), address);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let before = std::fs::read(&file).unwrap();
    offline(home.path(), &["keygen", path]).fails(1, &["is there one already"]);
    assert_eq!(std::fs::read(&file).unwrap(), before);
    let other = home.path().join("other.json");
    let made = offline(home.path(), &["keygen", other.to_str().unwrap(), "--json"]).json();
    assert_eq!(made["file"], other.to_str().unwrap());
}

#[test]
fn a_missing_keypair_is_named_with_what_to_do() {
    let home = tempfile::tempdir().unwrap();
    offline(home.path(), &["list"]).fails(1, &[".config/solana/id.json", "amp keygen"]);
    let said = offline(home.path(), &["list", "--keypair", "none.json", "--json"]);
    said.fails(1, &[r#""exit":1"#, r#""kind":"failed""#, "amp keygen none.json"]);
}

#[test]
fn a_key_in_a_wallet_of_hardware_is_refused_with_what_to_do() {
    let home = tempfile::tempdir().unwrap();
    let config = home.path().join("config.yml");
    std::fs::write(&config, "json_rpc_url: http://127.0.0.1:1\nkeypair_path: usb://ledger\n").unwrap();
    let said = offline(home.path(), &["list", "--solana-config", config.to_str().unwrap()]);
    said.fails(1, &["usb://ledger", "--keypair"]);
}

#[test]
fn a_broken_configuration_and_a_strange_address_are_named() {
    let home = tempfile::tempdir().unwrap();
    let config = home.path().join("config.yml");
    std::fs::write(&config, "json_rpc_url: [").unwrap();
    let path = config.to_str().unwrap();
    offline(home.path(), &["list", "-C", path]).fails(1, &[path, "--solana-config"]);
    offline(home.path(), &["list", "-C", "/no/such/file"]).fails(1, &["/no/such/file"]);
    offline(home.path(), &["list", "--rpc", "devnett"])
        .fails(2, &["devnett", "mainnet-beta, devnet, testnet"]);
}

#[test]
fn a_node_that_is_not_there_is_told_from_everything_else() {
    let home = tempfile::tempdir().unwrap();
    let key = home.path().join("key.json");
    offline(home.path(), &["keygen", key.to_str().unwrap()]).ok();
    let said = offline(
        home.path(),
        &["list", "--funder", "-k", key.to_str().unwrap(), "--rpc", "http://127.0.0.1:1", "--json"],
    );
    said.fails(11, &["did not answer", "amp doctor", r#""kind":"unreachable""#]);
}

#[test]
fn an_unknown_provider_must_be_named_a_network() {
    // nothing answers there, and nothing is guessed
    let home = tempfile::tempdir().unwrap();
    let key = home.path().join("key.json");
    offline(home.path(), &["keygen", key.to_str().unwrap()]).ok();
    let (key, there) = (key.to_str().unwrap(), "http://127.0.0.2:1");
    let said = offline(home.path(), &["close", "--all", "-k", key, "--rpc", there]);
    said.fails(11, &["did not answer"]);
    // the store is there all the same
    offline(home.path(), &["list", "-k", key, "--rpc", there]).says(&["no channels"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_asked_once_of_which_cluster_it_is() {
    let asked = Arc::new(AtomicU64::new(0));
    let count = asked.clone();
    let answer = |Json(request): Json<Value>| async move {
        let is_genesis = request["method"] == "getGenesisHash";
        count.fetch_add(u64::from(is_genesis), Ordering::SeqCst);
        let genesis = "EtWTRABZaYq6iMfeYKouRu166VU2xqa1wcaWoxkTNXHn";
        Json(json!({"jsonrpc": "2.0", "id": request["id"], "result": is_genesis.then_some(genesis)}))
    };
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    // an address that tells of no cluster
    let node = format!("http://0.0.0.0:{}", listener.local_addr().unwrap().port());
    let server =
        tokio::spawn(async move { axum::serve(listener, Router::new().route("/", post(answer))).await });
    let home = tempfile::tempdir().unwrap();
    let key = home.path().join("key.json");
    offline(home.path(), &["keygen", key.to_str().unwrap()]).ok();
    let mut command = bare(home.path());
    let program = amp_sdk::chain::PROGRAM_ID.to_string();
    command.args(["call", "http://127.0.0.1:1/", "--rpc", &node, "--program-id", &program, "-k"]).arg(&key);
    let said: Said = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap().into();
    server.abort();
    said.fails(11, &["127.0.0.1:1"]);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[test]
fn amounts_that_are_none_are_refused_by_the_command_line() {
    let home = tempfile::tempdir().unwrap();
    for amount in ["-1", "1e6", "1.", "1.5u", "ten", "18446744073709551616u"] {
        let said = offline(home.path(), &["top-up", "http://127.0.0.1:1/", "--", amount]);
        said.fails(2, &["not an amount", "1500000u"]);
    }
}

#[test]
fn a_target_is_a_url_or_an_address() {
    let home = tempfile::tempdir().unwrap();
    for arguments in [["show", "quotes"], ["close", "quotes"], ["request-close", "1111"]] {
        offline(home.path(), &arguments)
            .fails(2, &["neither the URL of a service nor the address of a channel"]);
    }
    offline(home.path(), &["close"]).fails(2, &["<TARGET>"]);
    offline(home.path(), &["list", "--funder", "x"]).fails(2, &["not an address"]);
    offline(home.path(), &["watch", "--every", "soon"]).fails(2, &["--every"]);
    offline(home.path(), &["watch", "--every", "99ms"]).fails(2, &["--every", "at least 100ms"]);
    offline(home.path(), &["watch", "--looks", "0"]).fails(2, &["--looks"]);
    offline(home.path(), &["bench", "http://127.0.0.1:1/", "-n", "0"]).fails(2, &["--calls"]);
    offline(home.path(), &["demo", "--calls", "0"]).fails(2, &["--calls"]);
}

#[test]
fn completions_know_every_command_and_only_known_shells() {
    let home = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        offline(home.path(), &["completions", shell]).says(&["request-close", "doctor", "max-price"]);
    }
    offline(home.path(), &["completions", "cobol"]).fails(2, &["possible values", "bash"]);
}

#[test]
fn there_is_a_manual_page_for_every_command() {
    let home = tempfile::tempdir().unwrap();
    offline(home.path(), &["man"]).says(&[".TH amp 1", "Exit codes", "doctor"]);
    let folder = home.path().join("man1");
    offline(home.path(), &["man", "--folder", folder.to_str().unwrap()]).ok();
    let help = offline(home.path(), &["help"]);
    let names = commands_in(help.ok());
    assert!(names.len() >= 21, "{names:?}");
    for name in names {
        let page = std::fs::read_to_string(folder.join(format!("amp-{name}.1"))).unwrap();
        assert!(page.contains(&format!("amp\\-{}", name.replace('-', "\\-"))), "{name}: {page}");
    }
    assert!(folder.join("amp-receipt-verify.1").exists());
    let file = home.path().join("a-file");
    std::fs::write(&file, "").unwrap();
    offline(home.path(), &["man", "--folder", file.to_str().unwrap()]).fails(1, &["can't create"]);
}

#[test]
fn help_has_the_exit_codes_and_how_amounts_are_written() {
    let home = tempfile::tempdir().unwrap();
    offline(home.path(), &["--help"]).says(&["Exit codes", "not known what came of it", "1500000u"]);
    offline(home.path(), &["--version"]).says(&["amp 0."]);
    offline(home.path(), &["pay"]).fails(2, &["unrecognized subcommand"]);
}

#[cfg(feature = "demo")]
#[test]
fn the_demo_adds_up_and_says_so() {
    let home = tempfile::tempdir().unwrap();
    let said = offline(home.path(), &["demo", "--calls", "20", "--parallel", "4"]);
    said.says(&[
        "closed with the service's statement",
        "OpenChannel",
        "20 calls at 250 base units, 4 transactions",
    ]);
    let report = offline(home.path(), &["demo", "--calls", "10", "--json"]).json();
    assert_eq!((&report["calls"], &report["vault_after"]), (&10.into(), &0.into()));
}

const DOCUMENT: &str = r#"{"amp_version":"1.0","recipient":"4vJ9JU1bJJE96FWSJKvHsmmFADCg4gpZQff4P3bkLKi",
    "program_id":"AMPchanne1111111111111111111111111111111111","network":"solana:devnet",
    "pricing":{"default":{"mode":"per-call","rate":"100","token":"8qbHbw2BbbTHBW1sbeqakYXVKRQM8Ne7pLK7m6CVfeR",
    "min_deposit":"5000","settle_interval":60},"routes":{"/v1/chat":{"mode":"per-compute","rate":"250","per":"1000"}},
    "tools":{"forecast":{"mode":"per-call","rate":"0"}}}}"#;

/// Runs the command beside a server of one document.
async fn discover(document: &'static str, path: &'static str, arguments: &[&str]) -> Said {
    let app = Router::new().route(path, get(move || async move { document }));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    let home = tempfile::tempdir().unwrap();
    let mut command = bare(home.path());
    command.args(["discover", &origin, "--rpc", "http://127.0.0.1:1"]).args(arguments);
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    server.abort();
    output.into()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_cluster_discovery_shows_base_units() {
    let said = discover(DOCUMENT, "/.well-known/amp.json", &[]).await;
    said.says(&[
        "solana:devnet",
        "/v1/chat",
        "250u for 1000 units of work",
        "tool forecast",
        "free",
        "all else",
        "100u a call",
        "5000u",
    ]);
    let json = discover(DOCUMENT, "/.well-known/amp.json", &["--json"]).await.json();
    assert_eq!(json["pricing"]["default"]["rate"], "100");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_document_tells_the_terminal_nothing() {
    const HOSTILE: &str = r#"{"amp_version":"1.0","recipient":"4vJ9JU1bJJE96FWSJKvHsmmFADCg4gpZQff4P3bkLKi",
        "program_id":"AMPchanne1111111111111111111111111111111111","network":"\u001b[2Jsolana:devnet",
        "pricing":{"default":{"mode":"per-call","rate":"1","token":"8qbHbw2BbbTHBW1sbeqakYXVKRQM8Ne7pLK7m6CVfeR",
        "min_deposit":"1","settle_interval":60},"routes":{"/\u001b]0;x\u0007":{"mode":"per-call","rate":"2"}}}}"#;
    let said = discover(HOSTILE, "/.well-known/amp.json", &[]).await;
    assert!(said.ok().contains("[2Jsolana:devnet") && !said.out.contains('\u{1b}'), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_is_no_amp_service_is_called_that() {
    discover("hello", "/", &[]).await.fails(5, &["no AMP service"]);
    discover("hello", "/.well-known/amp.json", &[]).await.fails(5, &["not a discovery document"]);
    let home = tempfile::tempdir().unwrap();
    offline(home.path(), &["discover", "http://127.0.0.1:1"]).fails(11, &["does not answer"]);
    offline(home.path(), &["discover", "quotes"]).fails(2, &["relative URL"]);
}

/// The commands that the help lists.
pub(crate) fn commands_in(help: &str) -> Vec<&str> {
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let (commands, _) = commands.split_once("\n\n").unwrap();
    let listed = commands.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    listed.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").collect()
}
