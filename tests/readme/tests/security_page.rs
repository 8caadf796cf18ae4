//! docs/security.md names, for each attack, the test in which it is tried: each must exist.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The names of all functions in the Rust sources below `folder`.
fn functions(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            functions(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            names.extend(
                text.split("fn ").skip(1).filter_map(|rest| rest.split('(').next()).map(str::to_owned),
            );
        }
    }
}

/// The names in backquotes in the last column of the page's tables whose header ends in "test".
fn named_tests(page: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut in_table = false;
    for line in page.lines() {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        in_table = line.starts_with('|') && (in_table || cells.last() == Some(&"test"));
        if in_table {
            let quoted = cells.last().unwrap().split('`').skip(1).step_by(2);
            names.extend(quoted.map(str::to_owned));
        }
    }
    names
}

#[test]
fn every_test_that_the_security_page_names_exists() {
    let page = std::fs::read_to_string(root().join("docs/security.md")).unwrap();
    let named = named_tests(&page);
    assert!(named.len() > 60, "only {} names found: has the page's form changed?", named.len());
    let mut known = BTreeSet::new();
    for folder in ["tests", "sdk", "programs", "cli"] {
        functions(&root().join(folder), &mut known);
    }
    let missing: Vec<_> = named.iter().filter(|name| !known.contains(*name)).collect();
    assert!(missing.is_empty(), "named in docs/security.md, but not in the sources: {missing:#?}");
}
