//! A long search, on several threads.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::regressions;
use crate::search::{Failure, Origin, Search};
use crate::tally::Tally;

/// How long, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Soak {
    /// Decides the sequences.
    pub seed: u64,
    /// Threads, each with a chain of its own.
    pub threads: u32,
    /// No sequence begins later than this.
    pub time: Duration,
    /// No sequence begins after so many operations.
    pub operations: u64,
    /// No more sequences than this: so many are the same ones in every run of a seed.
    pub sequences: u64,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Report {
    /// What was done.
    pub tally: Tally,
    /// How long it took.
    pub time: Duration,
    /// What was found, shortened.
    pub failures: Vec<Failure>,
}

impl Report {
    /// Operations a second, all threads together.
    pub fn rate(&self) -> f64 {
        self.tally.operations as f64 / self.time.as_secs_f64()
    }
}

impl Soak {
    /// Runs the regressions, then numbered sequences until there is no more time, enough is done, or
    /// something is found.
    pub fn run(&self, progress: impl Fn(&Tally, Duration) + Sync) -> Report {
        let begun = Instant::now();
        let (next, done, found) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
        let report = Mutex::new(Report::default());
        let in_report =
            |add: &dyn Fn(&mut Report)| add(&mut report.lock().unwrap_or_else(PoisonError::into_inner));
        let search = || {
            let search = Search::new(self.seed);
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let enough = at >= self.sequences
                    || done.load(Ordering::Relaxed) >= self.operations
                    || begun.elapsed() >= self.time;
                if enough || found.load(Ordering::Relaxed) {
                    return;
                }
                let mut tally = Tally::default();
                let outcome = search.attempt(at, None, &mut tally);
                done.fetch_add(tally.operations, Ordering::Relaxed);
                if outcome.is_err() {
                    found.store(true, Ordering::Relaxed);
                }
                let failure = outcome.err();
                in_report(&|report| {
                    report.tally.add(&tally);
                    report.failures.extend(failure.clone().map(|failure| *failure));
                    progress(&report.tally, begun.elapsed());
                });
            }
        };
        let first = self.replay();
        if first.is_empty() {
            std::thread::scope(|scope| (0..self.threads.max(1)).for_each(|_| drop(scope.spawn(search))));
        }
        let mut report = report.into_inner().unwrap_or_else(PoisonError::into_inner);
        report.failures.extend(first);
        report.time = begun.elapsed();
        report
    }

    /// What still fails of what once did.
    fn replay(&self) -> Vec<Failure> {
        let search = Search::new(self.seed);
        let failing = regressions::all().into_iter().filter_map(|(name, sequence)| {
            let (_, divergence) = search.run(&sequence, None, &mut Tally::default()).err()?;
            Some(Failure { origin: Origin::Kept(name), sequence, divergence })
        });
        failing.collect()
    }
}
