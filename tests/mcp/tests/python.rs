//! The official SDK for Python as the client: that a server of this SDK's is paid by what is none of ours.

#![allow(
    clippy::expect_used,
    clippy::arithmetic_side_effects,
    reason = "a panic fails the test, as it should"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use amp_mcp_tests::PRICE;
use serde_json::{Value, json};

/// The interpreter that `toolchain/python.sh` made; `None`, and a loud word, where there is none.
fn python() -> Option<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../toolchain/python.sh");
    let said =
        Command::new(script).args(["where", "tests/mcp/python/requirements.txt"]).output().expect("a shell");
    let path = String::from_utf8(said.stdout).expect("a path");
    if path.trim().is_empty() {
        let why = "NO PYTHON WITH THE MCP SDK HERE: what needs it is NOT TESTED. Run `make python`.";
        assert!(std::env::var_os("AMP_REQUIRE_PYTHON").is_none(), "{why}");
        eprintln!("\n*** {why}\n");
        return None;
    }
    Some(PathBuf::from(path.trim()))
}

/// What the agent saw.
fn pay(python: &Path, mode: &str) -> Value {
    let agent = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/agent.py");
    let shop = env!("CARGO_BIN_EXE_amp-mcp-shop");
    let done = Command::new(python).arg(agent).args([shop, mode]).output().expect("the interpreter");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    serde_json::from_slice(&done.stdout).expect("JSON")
}

#[test]
fn the_official_python_sdk_pays_signs_and_is_refused_as_anybody() {
    let Some(python) = python() else { return };
    // with the handshake, and without it as since 2026-07-28
    for (mode, protocol) in [("legacy", "2025-11-25"), ("auto", "2026-07-28")] {
        let seen = pay(&python, mode);
        assert_eq!(seen["protocol"], protocol);
        assert_eq!(seen["rate"], PRICE.to_string());
        let refused = |code: &str| json!({"code": -32602, "message": code, "rate": PRICE.to_string()});
        assert_eq!(seen["unpaid"], refused("AMP_NO_CHANNEL"));
        assert_eq!(seen["replayed"], refused("AMP_INVALID_SEQ"));
        assert_eq!(seen["forged"], refused("AMP_INVALID_SIG"));
        let spent = |receipt: &Value| receipt["spent"].as_str().map(str::to_owned);
        let receipts = seen["receipts"].as_array().expect("receipts");
        let expected: Vec<_> = (1..=3).map(|call| Some((call * PRICE).to_string())).collect();
        assert_eq!(receipts.iter().map(spent).collect::<Vec<_>>(), expected);
        assert_eq!((&seen["failed"], &seen["free"]), (&json!("0"), &json!("42")));
        assert_eq!(spent(&seen["field"]), Some((4 * PRICE).to_string()));
        let last = (4 * PRICE + 1).to_string();
        assert_eq!((spent(&seen), &seen["last_seq"]), (Some((4 * PRICE).to_string()), &json!(last)));
        assert_eq!((&seen["required"], &seen["work"]), (&json!(33), &json!("75")));
        assert_eq!(seen["earned"], 4 * PRICE + 75, "the program takes Python's signatures");
    }
}
