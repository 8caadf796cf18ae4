//! What fuzzing has found is tried again by every `cargo test`, without a fuzzer.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use amp_fuzz_targets::{TARGETS, Target, Verdict};

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus")
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Runs one kept input; says which it was, if it fails.
fn verdict(target: &Target, name: &str) -> Verdict {
    let input = std::fs::read(corpus().join(target.name).join(name)).unwrap();
    std::panic::catch_unwind(|| (target.run)(&input))
        .unwrap_or_else(|_| panic!("fuzz/corpus/{}/{name} fails", target.name))
}

#[test]
fn every_kept_input_keeps_its_promises_and_no_corpus_is_all_good_or_all_bad() {
    for target in TARGETS {
        let kept = names(&corpus().join(target.name));
        let verdicts: BTreeSet<Verdict> = kept.iter().map(|name| verdict(target, name)).collect();
        let both = BTreeSet::from([Verdict::Accepted, Verdict::Refused]);
        assert_eq!(verdicts, both, "{}: too few kinds of inputs to test anything", target.name);
    }
}

/// A change of what a sequence is written as would leave a corpus that is read by nobody.
#[test]
fn what_was_made_by_a_grammar_is_still_read_by_it() {
    for target in TARGETS.iter().filter(|target| target.grammar.is_some()) {
        for name in names(&corpus().join(target.name)) {
            let refused = verdict(target, &name) == Verdict::Refused;
            assert_eq!(
                refused,
                name.starts_with("not-"),
                "{name}: remove it, fuzz anew, then fuzz/run.sh corpus"
            );
        }
    }
}

#[test]
fn the_empty_input_keeps_its_promises_everywhere() {
    for target in TARGETS {
        (target.run)(&[]);
    }
}

#[test]
fn every_target_has_a_corpus_and_nothing_else_has() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    assert_eq!(names(&corpus()), targets);
}
