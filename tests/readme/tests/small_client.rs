//! A client alone brings none of the frameworks that services and the other transports are built on.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::process::Command;

/// The crates that the SDK is built of with these features, those of builds and tests aside.
fn crates(features: &[&str]) -> BTreeSet<String> {
    let mut command = Command::new(env!("CARGO"));
    command.args(["tree", "--locked", "--offline", "--package", "amp-sdk", "--edges", "normal"]);
    command.args(["--prefix", "none", "--format", "{p}"]).args(features);
    let output = command.current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).unwrap();
    tree.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn the_client_alone_holds_no_framework_and_the_default_features_none_of_another_transport() {
    let alone = ["--no-default-features", "--features", "client"];
    for (features, without) in [
        (&alone[..], &["axum", "rmcp", "tokio-postgres", "tokio-tungstenite", "tonic"][..]),
        (&[], &["rmcp", "tokio-postgres", "tonic"]),
    ] {
        let crates = crates(features);
        assert!(crates.contains("amp-protocol") && crates.contains("reqwest"), "{crates:?}");
        let found: Vec<_> = without.iter().filter(|name| crates.contains(**name)).collect();
        assert!(found.is_empty(), "{features:?} bring {found:?}");
        let all = self::crates(&["--all-features"]);
        assert!(without.iter().all(|name| all.contains(*name)), "what is looked for would be found");
    }
}
