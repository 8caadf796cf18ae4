//! grpcio as the client, without a line of ours: raw metadata, a credential that Python signs, trailers and errors.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use amp_e2e_tests::{Market, Opening, PAGE_PRICE, PRICE};
use serde_json::{Value, json};

const SEED: [u8; 32] = [42; 32];

/// The interpreter that `toolchain/python.sh` made; `None`, and a loud word, where there is none.
fn python() -> Option<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../toolchain/python.sh");
    let said = Command::new(script).args(["where", "tests/e2e/python/requirements.txt"]).output().unwrap();
    let path = String::from_utf8(said.stdout).unwrap();
    if path.trim().is_empty() {
        let why = "NO PYTHON WITH GRPCIO HERE: that others' clients can pay over gRPC is NOT TESTED. Run `make python`.";
        assert!(std::env::var_os("AMP_REQUIRE_PYTHON").is_none(), "{why}");
        eprintln!("\n*** {why}\n");
        return None;
    }
    Some(PathBuf::from(path.trim()))
}

fn pay(python: &Path, arguments: [&str; 4]) -> Value {
    let agent = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/agent.py");
    let done = Command::new(python).arg(agent).args(arguments).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    serde_json::from_slice(&done.stdout).unwrap()
}

#[tokio::test]
async fn grpcio_pays_signs_reads_trailers_and_is_refused_as_anybody() {
    let Some(python) = python() else { return };
    let market = Market::builder().service(|config| config.stream_wait(Duration::from_secs(3))).open().await;
    let funder = market.person_of_seed(SEED);
    let channel = market.open_channel(&funder, Opening::default()).await;
    let epoch = market.account(&channel).await.unwrap().opened_slot.to_string();
    let seed: String = SEED.iter().map(|byte| format!("{byte:02x}")).collect();
    let target = market.grpc_origin().trim_start_matches("http://");
    let seen = pay(&python, [target, &channel.to_string(), &epoch, &seed]);

    let refused = |name: &str| (seen[name]["code"].clone(), seen[name]["body"]["error"].clone());
    assert_eq!(refused("unpaid"), (json!("FAILED_PRECONDITION"), json!("AMP_NO_CHANNEL")));
    assert_eq!(seen["unpaid"]["body"]["amp_pricing"]["rate"], PRICE.to_string());
    assert_eq!(seen["paid"], json!({"balance": "24750", "spent": "250", "cost": "250"}));
    assert_eq!(refused("replayed"), (json!("INVALID_ARGUMENT"), json!("AMP_INVALID_SEQ")));
    assert_eq!(seen["replayed"]["body"]["last_seq"], "250");
    assert_eq!(refused("forged"), (json!("UNAUTHENTICATED"), json!("AMP_INVALID_SIG")));
    assert_eq!(refused("low"), (json!("FAILED_PRECONDITION"), json!("AMP_UNDERFUNDED")));
    assert_eq!(seen["low"]["body"]["required_seq"], "500");
    assert_eq!(
        seen["failed"],
        json!({"code": "DATA_LOSS", "body": null, "balance": "24750", "spent": "250", "cost": "0"})
    );
    assert_eq!((&seen["pages"], &seen["stream"]["cost"]), (&json!(25), &json!("250")));
    // 750 were signed for, 500 are spent
    let ended = &seen["ended"];
    assert_eq!((&ended["delivered"], &ended["cost"]), (&json!(25), &json!("250")));
    assert_eq!(refused("ended"), (json!("FAILED_PRECONDITION"), json!("AMP_UNDERFUNDED")));
    assert_eq!(ended["body"]["required_seq"], (750 + PAGE_PRICE).to_string());
    assert!(seen["discovery"].as_u64() > Some(100) && seen["status"].as_u64() > Some(100), "{seen}");

    market.settle_all().await;
    // the program takes Python's signatures
    market.end_having_earned(PRICE + 50 * PAGE_PRICE);
}
