//! `migrations/program-id.sh`, which records the id that clients pin: run in a copy of what it writes.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const SCRIPT: &str = "migrations/program-id.sh";
const TABLE: &str = "sdk/protocol/src/deployment.rs";
const ANCHOR: &str = "Anchor.toml";
const FIRST: &str = "4zMMC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncDU";
const OTHER: &str = "8qbHbw2BbbTHBW1sbeqakYXVKRQM8Ne7pLK7m6CVfeR";
const CLUSTERS: [(&str, &str); 4] = [
    ("localnet", "[programs.localnet]"),
    ("devnet", "[programs.devnet]"),
    ("testnet", "[programs.testnet]"),
    ("mainnet-beta", "[programs.mainnet]"),
];

/// The files that it reads and writes, as they are checked in.
struct Copy(tempfile::TempDir);

impl Copy {
    fn new() -> Self {
        let (root, copy) =
            (Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."), tempfile::tempdir().unwrap());
        for file in [SCRIPT, TABLE, ANCHOR] {
            let to = copy.path().join(file);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(root.join(file), to).unwrap();
        }
        Self(copy)
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path(file)).unwrap()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new("bash").arg(self.path(SCRIPT)).args(arguments).output().unwrap()
    }

    /// What it says is recorded.
    fn recorded(&self, cluster: &str) -> Option<String> {
        let said = self.run(&[cluster]);
        said.status.success().then(|| String::from_utf8(said.stdout).unwrap().trim().to_owned())
    }
}

fn complaint(output: &Output) -> String {
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn an_id_is_recorded_for_its_cluster_alone_in_both_places() {
    for (cluster, section) in CLUSTERS {
        let copy = Copy::new();
        let before: Vec<_> = CLUSTERS.map(|(other, _)| copy.recorded(other)).into();
        let lines = (copy.read(TABLE).lines().count(), copy.read(ANCHOR).lines().count());
        assert!(copy.run(&[cluster, FIRST, "--replace"]).status.success());
        for ((other, _), before) in CLUSTERS.iter().zip(before) {
            let expected = if *other == cluster { Some(FIRST.to_owned()) } else { before };
            assert_eq!(copy.recorded(other), expected, "{other} after {cluster}");
        }
        let anchor = copy.read(ANCHOR);
        assert!(anchor.contains(&format!("{section}\namp = \"{FIRST}\"\n")), "{anchor}");
        assert_eq!(copy.read(TABLE).matches(FIRST).count(), 1);
        assert_eq!(anchor.matches(FIRST).count(), 1);
        // a second time changes nothing more
        let recorded = (copy.read(TABLE), copy.read(ANCHOR));
        assert!(copy.run(&[cluster, FIRST]).status.success());
        assert_eq!((copy.read(TABLE), copy.read(ANCHOR)), recorded);
        assert_eq!(recorded.0.lines().count(), lines.0);
        assert!(recorded.1.lines().count() <= lines.1 + 1);
    }
}

#[test]
fn another_id_than_the_recorded_one_is_refused_unless_it_is_meant() {
    let copy = Copy::new();
    assert!(copy.run(&["mainnet-beta", FIRST, "--replace"]).status.success());
    let before = (copy.read(TABLE), copy.read(ANCHOR));
    assert!(complaint(&copy.run(&["mainnet-beta", OTHER])).contains("--replace"));
    assert_eq!((copy.read(TABLE), copy.read(ANCHOR)), before);
    assert!(copy.run(&["mainnet-beta", OTHER, "--replace"]).status.success());
    assert_eq!(copy.recorded("mainnet-beta").as_deref(), Some(OTHER));
    assert!(!copy.read(TABLE).contains(FIRST) && !copy.read(ANCHOR).contains(FIRST));
}

#[test]
fn what_is_no_id_or_no_cluster_is_refused_and_changes_nothing() {
    let copy = Copy::new();
    let before = (copy.read(TABLE), copy.read(ANCHOR));
    for id in ["", "0OIl", "4zMMC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncD&", "\"); evil"] {
        assert!(complaint(&copy.run(&["devnet", id, "--replace"])).contains("no program id"), "{id}");
    }
    assert!(complaint(&copy.run(&["mainnet", FIRST])).contains("no cluster mainnet"));
    assert!(complaint(&copy.run(&["elsewhere"])).contains("no cluster elsewhere"));
    assert_eq!((copy.read(TABLE), copy.read(ANCHOR)), before);
}
