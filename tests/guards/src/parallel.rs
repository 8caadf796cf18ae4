//! The same work on many things, several at a time, each worker with a bench of its own.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Result, bail};

/// What `work` makes of the items, `jobs` at a time, in their order. `set_up` makes what a worker needs.
///
/// # Errors
/// The first failure: its worker stops, and the others go on to the end.
pub fn each<I: Sync, W, T: Send>(
    items: &[I],
    jobs: usize,
    set_up: impl Fn(usize) -> Result<W> + Sync,
    work: impl Fn(&W, &I) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let next = AtomicUsize::new(0);
    let made = Mutex::new(BTreeMap::new());
    let run = |job: usize| -> Result<()> {
        let worker = set_up(job)?;
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(number) else { return Ok(()) };
            let done = work(&worker, item)?;
            made.lock().unwrap_or_else(PoisonError::into_inner).insert(number, done);
        }
    };
    let run = &run;
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs.max(1)).map(|job| scope.spawn(move || run(job))).collect();
        workers.into_iter().try_for_each(|worker| match worker.join() {
            Ok(done) => done,
            Err(_) => bail!("a worker panicked"),
        })
    })?;
    Ok(made.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect())
}
