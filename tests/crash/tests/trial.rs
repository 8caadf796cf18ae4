//! A few rounds of the trial, and that it can fail.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use amp_crash::{Books, Report, Trial};
use amp_test_postgres::TestPostgres;

async fn run(rounds: u64, books: Books) -> Report {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_amp-crash"));
    let folder = tempfile::tempdir().unwrap();
    Trial { program, rounds, seed: 1, books }.run(folder.path(), |_| ()).await.unwrap()
}

#[tokio::test]
async fn a_service_that_is_killed_keeps_its_promises() {
    let report = run(6, Books::Sqlite).await;
    assert!(report.violations.is_empty(), "{report}");
    assert!(report.served > 0 && report.replays_refused > 0 && report.claimed > 0, "{report}");
    assert!(report.streams > 0 && report.streamed > 0, "{report}");
}

#[tokio::test]
async fn a_store_that_answers_before_it_has_written_is_found_out() {
    let report = run(6, Books::Forgetful).await;
    let broken = |what: &str| report.violations.iter().any(|violation| violation.contains(what));
    assert!(broken("served twice") || broken("spent is"), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_processes_on_one_database_either_may_be_killed() {
    if TestPostgres::start().is_none() {
        return;
    }
    let report = run(8, Books::Postgres).await;
    assert!(report.violations.is_empty(), "{report}");
    assert!(report.served > 0 && report.replays_refused > 0 && report.claimed > 0, "{report}");
}
