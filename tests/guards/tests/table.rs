//! The table against the sources: without building anything, a row can't go stale and no guard can be new.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;

use amp_guards::coverage::uncovered;
use amp_guards::named_test::NamedTest;
use amp_guards::page::foreign_errors;
use amp_guards::sources::Sources;
use amp_guards::table::{Section, load};
use amp_guards::workspace;
use amp_protocol::rejection::Rejection;

const INSTRUCTIONS: [&str; 9] = [
    "open_channel",
    "top_up",
    "settle",
    "request_close",
    "close_channel",
    "set_delegate",
    "revoke_delegate",
    "close_delegation",
    "chain_channel",
];

fn table() -> Vec<Section> {
    load(&workspace()).unwrap()
}

fn sources() -> Sources {
    Sources::read(&workspace()).unwrap()
}

#[test]
fn every_row_points_at_source_text_that_occurs_exactly_once() {
    let (sources, table) = (sources(), table());
    let mut stale = Vec::new();
    for section in &table {
        for guard in &section.guard {
            if let Err(error) = sources.edited(&guard.edits()) {
                stale.push(format!("{}: {error}", guard.id));
            }
        }
        for line in &section.handed_on {
            let there = sources.position(&line.file, &line.text).and_then(|_| sources.text(&line.to));
            stale.extend(there.err().map(|error| error.to_string()));
        }
    }
    assert!(stale.is_empty(), "{} rows are stale:\n{}", stale.len(), stale.join("\n"));
}

#[test]
fn every_row_names_tests_that_exist_or_says_why_there_is_none() {
    let mut missing = Vec::new();
    for guard in table().iter().flat_map(|section| &section.guard) {
        match (&guard.unreachable, guard.tests.is_empty()) {
            (None, true) => missing.push(format!("{}: no test and no reason", guard.id)),
            (Some(_), false) => missing.push(format!("{}: tests and a reason for none", guard.id)),
            _ => {}
        }
        for test in &guard.tests {
            let exists = NamedTest::parse(test).and_then(|test| test.exists(&workspace()));
            missing.extend(exists.err().map(|error| format!("{}: {error:#}", guard.id)));
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn every_row_is_named_once_and_speaks_of_instructions_and_errors_that_exist() {
    let foreign = foreign_errors(&workspace()).unwrap();
    let mut ids = BTreeSet::new();
    for guard in table().iter().flat_map(|section| &section.guard) {
        assert!(ids.insert(guard.id.clone()), "{} is there twice", guard.id);
        assert!(!guard.instructions.is_empty(), "{}: no instruction", guard.id);
        for instruction in &guard.instructions {
            assert!(INSTRUCTIONS.contains(&instruction.as_str()), "{}: {instruction}", guard.id);
        }
        let known = Rejection::ALL.iter().any(|rejection| rejection.name() == guard.error);
        assert!(known || foreign.contains_key(&guard.error), "{}: no error {}", guard.id, guard.error);
    }
}

/// A rejection without a row would be a rule that nobody claims to hold.
#[test]
fn every_rejection_has_a_row_that_a_test_proves() {
    let table = table();
    let rows = table.iter().flat_map(|section| &section.guard);
    let proven: BTreeSet<_> =
        rows.filter(|guard| guard.unreachable.is_none()).map(|guard| guard.error.as_str()).collect();
    let without: Vec<_> =
        Rejection::ALL.iter().filter(|rejection| !proven.contains(rejection.name())).collect();
    assert!(without.is_empty(), "no row for {without:?}");
}

/// Every place in the program, and in the rules that it runs, that looks like a guard.
#[test]
fn every_place_that_looks_like_a_guard_has_a_row() {
    let uncovered = uncovered(&sources(), &table()).unwrap();
    let lines: Vec<_> = uncovered
        .iter()
        .map(|place| format!("{}:{}: {} in: {}", place.file, place.line, place.word, place.text))
        .collect();
    assert!(
        lines.is_empty(),
        "{} places have no row in tests/guards/table:\n{}",
        lines.len(),
        lines.join("\n")
    );
}
