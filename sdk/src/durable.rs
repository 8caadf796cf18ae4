//! A SQLite database with one writer and group commit: what [`Database::write`] returned for is on
//! disk. Client and service both store through it.
//!
//! Jobs that arrive while a commit is under way share the next one, so that a hundred parallel
//! requests wait for one or two syncs of the disk and not for a hundred.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

/// Most jobs that share one commit: bounds how long the first of them waits.
const GROUP: usize = 512;
/// How often the writer lets others run first, while each time more jobs come of it.
const YIELDS: usize = 4;
/// Most jobs that wait for a later commit. Further callers wait for room, so that a slow disk slows
/// them down and does not fill the memory.
const QUEUE: usize = 2 * GROUP;
/// How long another process may hold the database before a job gives up.
const BUSY: Duration = Duration::from_secs(10);

/// Why something could not be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum DurableError {
    /// The database can't be opened.
    #[error("can't open the database {path}: {reason}", path = path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
    /// It was written by a newer release.
    #[error("the database {path} has schema {found}, this release knows {known}; use the release that wrote it", path = path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema version.
        found: i64,
        /// The newest this release knows.
        known: i64,
    },
    /// SQLite failed: a full disk, a broken file.
    #[error("the database failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The transaction could not begin, did not run to its end or failed to commit: the job's effect
    /// is not on disk.
    #[error("the database could not commit: {0}")]
    Commit(String),
    /// The writer thread is gone.
    #[error("the database is closed")]
    Closed,
}

/// Whether other processes may use the database at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Several processes take turns, a transaction each.
    Shared,
    /// This process alone, for as long as it runs: state is cached above it.
    Exclusive,
}

/// What jobs leave to be written together: one statement for many of them.
pub trait Gather: Send + 'static {
    /// Writes what was left since the last call. It is called in the transaction of the jobs that left it, at
    /// their end and before any job that has statements of its own, so that all are done in their order.
    fn write(&mut self, connection: &Connection) -> rusqlite::Result<()>;

    /// The transaction is not on disk: neither is what was written or left in it.
    fn lost(&mut self);
}

/// Nothing is left.
impl Gather for () {
    fn write(&mut self, _connection: &Connection) -> rusqlite::Result<()> {
        Ok(())
    }

    fn lost(&mut self) {}
}

/// A write that waits for its turn, and then for its commit.
trait Job<G>: Send {
    /// Runs its statements, or leaves what it has. Fails where the whole transaction must.
    fn run(&mut self, gathered: &mut G, connection: &mut Connection) -> rusqlite::Result<()>;
    /// Tells the caller what came of the transaction.
    fn answer(self: Box<Self>, commit: Result<(), String>);
}

type Caller<T> = oneshot::Sender<Result<T, DurableError>>;

/// A job with statements of its own, which may fail alone.
struct Write<T, F> {
    statements: Option<F>,
    done: Option<rusqlite::Result<T>>,
    caller: Caller<T>,
}

impl<G, T, F> Job<G> for Write<T, F>
where
    G: Gather,
    T: Send,
    F: FnOnce(&mut G, &Connection) -> rusqlite::Result<T> + Send,
{
    fn run(&mut self, gathered: &mut G, connection: &mut Connection) -> rusqlite::Result<()> {
        let Some(statements) = self.statements.take() else { return Ok(()) };
        gathered.write(connection)?;
        let mut savepoint = connection.savepoint()?;
        let done = statements(gathered, &savepoint);
        if done.is_err() {
            // the job's own statements only: the group's other jobs stay
            let _ = savepoint.rollback();
        }
        self.done = Some(done);
        savepoint.commit()
    }

    fn answer(self: Box<Self>, commit: Result<(), String>) {
        let outcome = match (self.done, commit) {
            (Some(Err(error)), _) => Err(DurableError::Sqlite(error)),
            (_, Err(reason)) => Err(DurableError::Commit(reason)),
            (Some(Ok(value)), Ok(())) => Ok(value),
            (None, Ok(())) => Err(DurableError::Commit("the job was not run".to_owned())),
        };
        // the caller may have gone away; the job is done all the same
        let _ = self.caller.send(outcome);
    }
}

/// A job that leaves something to be written.
struct Leave<F> {
    leave: Option<F>,
    caller: Caller<()>,
}

impl<G, F: FnOnce(&mut G) + Send> Job<G> for Leave<F> {
    fn run(&mut self, gathered: &mut G, _connection: &mut Connection) -> rusqlite::Result<()> {
        if let Some(leave) = self.leave.take() {
            leave(gathered);
        }
        Ok(())
    }

    fn answer(self: Box<Self>, commit: Result<(), String>) {
        let left = self.leave.is_none();
        let outcome = match commit {
            Ok(()) if !left => Err(DurableError::Commit("the job was not run".to_owned())),
            commit => commit.map_err(DurableError::Commit),
        };
        let _ = self.caller.send(outcome);
    }
}

/// A handle to the writer thread. Clones share it; it ends with the last of them.
pub struct Database<G = ()> {
    jobs: mpsc::Sender<Box<dyn Job<G>>>,
}

impl<G> fmt::Debug for Database<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Database")
    }
}

impl<G> Clone for Database<G> {
    fn clone(&self) -> Self {
        Self { jobs: self.jobs.clone() }
    }
}

impl Database {
    /// Opens or creates the file, and brings its schema up to date: `migrations[n]` leads from
    /// schema `n` to `n + 1`.
    pub fn open(path: &Path, sharing: Sharing, migrations: &[&str]) -> Result<Self, DurableError> {
        Self::gathering(path, sharing, migrations, ())
    }
}

impl<G: Gather> Database<G> {
    /// The same, with a place for what jobs [leave](Self::leave).
    pub fn gathering(
        path: &Path,
        sharing: Sharing,
        migrations: &[&str],
        gathered: G,
    ) -> Result<Self, DurableError> {
        let open = |reason: String| DurableError::Open { path: path.to_owned(), reason };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|error| open(error.to_string()))?;
        }
        let mut connection = Connection::open(path).map_err(|error| open(error.to_string()))?;
        restrict(path).map_err(|error| open(error.to_string()))?;
        prepare(&mut connection, sharing).map_err(|error| open(busy_hint(&error)))?;
        migrate(&mut connection, path, migrations)?;
        let (jobs, queue) = mpsc::channel(QUEUE);
        std::thread::Builder::new()
            .name("amp-database".to_owned())
            .spawn(move || run(connection, queue, gathered))
            .map_err(|error| open(error.to_string()))?;
        Ok(Self { jobs })
    }

    /// Runs `job` in a transaction and returns once it is on disk. Where `job` or the commit fails,
    /// nothing of it is. Where too many wait already it waits for room first: a caller that is dropped
    /// before there is some has written nothing.
    pub async fn write<T, F>(&self, job: F) -> Result<T, DurableError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.write_with(|_, connection| job(connection)).await
    }

    /// The same for a job that needs what was gathered. That must not take for written what `job` wrote
    /// before it failed.
    pub async fn write_with<T, F>(&self, job: F) -> Result<T, DurableError>
    where
        T: Send + 'static,
        F: FnOnce(&mut G, &Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let (caller, outcome) = oneshot::channel();
        self.run(Box::new(Write { statements: Some(job), done: None, caller }), outcome).await
    }

    /// Runs `leave`, and returns once what it left is on disk.
    pub async fn leave<F>(&self, leave: F) -> Result<(), DurableError>
    where
        F: FnOnce(&mut G) + Send + 'static,
    {
        let (caller, outcome) = oneshot::channel();
        self.run(Box::new(Leave { leave: Some(leave), caller }), outcome).await
    }

    async fn run<T>(
        &self,
        job: Box<dyn Job<G>>,
        outcome: oneshot::Receiver<Result<T, DurableError>>,
    ) -> Result<T, DurableError> {
        self.jobs.send(job).await.map_err(|_| DurableError::Closed)?;
        outcome.await.map_err(|_| DurableError::Closed)?
    }
}

fn prepare(connection: &mut Connection, sharing: Sharing) -> rusqlite::Result<()> {
    connection.busy_timeout(if sharing == Sharing::Shared { BUSY } else { Duration::from_millis(500) })?;
    if sharing == Sharing::Exclusive {
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    }
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // FULL: a commit returns when it is on disk, not when the kernel has it
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)
}

fn migrate(connection: &mut Connection, path: &Path, migrations: &[&str]) -> Result<(), DurableError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let known = i64::try_from(migrations.len()).unwrap_or(i64::MAX);
    if found > known {
        return Err(DurableError::Newer { path: path.to_owned(), found, known });
    }
    for migration in migrations.iter().skip(usize::try_from(found).unwrap_or_default()) {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "user_version", known)?;
    Ok(transaction.commit()?)
}

/// Signed credentials are money until they are settled: no other user may read them.
fn restrict(path: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

fn busy_hint(error: &rusqlite::Error) -> String {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => {
            "another process has it open; stop that one, or use another file".to_owned()
        }
        _ => error.to_string(),
    }
}

fn run<G: Gather>(mut connection: Connection, mut queue: mpsc::Receiver<Box<dyn Job<G>>>, mut gathered: G) {
    let mut jobs = Vec::with_capacity(GROUP);
    while let Some(first) = queue.blocking_recv() {
        jobs.push(first);
        // a job that panics takes its group with it, and not the thread: the unwinding drops the
        // transaction, which rolls it back
        let unwinding = AssertUnwindSafe(|| group(&mut connection, &mut queue, &mut jobs, &mut gathered));
        let committed = match catch_unwind(unwinding) {
            Ok(committed) => committed.map_err(|error| error.to_string()),
            Err(_) => Err("a job of the same commit panicked".to_owned()),
        };
        if committed.is_err() {
            gathered.lost();
        }
        for job in jobs.drain(..) {
            job.answer(committed.clone());
        }
    }
}

/// A transaction. Its statements are prepared once: to parse them each time would take a third of what a commit of
/// a few records does. Dropped before its end, it is rolled back.
struct Group<'a>(&'a mut Connection);

impl<'a> Group<'a> {
    fn begin(connection: &'a mut Connection) -> rusqlite::Result<Self> {
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        Ok(Self(connection))
    }

    fn commit(self) -> rusqlite::Result<()> {
        self.0.prepare_cached("COMMIT")?.execute([]).map(drop)
    }
}

impl Drop for Group<'_> {
    fn drop(&mut self) {
        if !self.0.is_autocommit() {
            let _ = self.0.execute_batch("ROLLBACK");
        }
    }
}

/// Takes from the queue what belongs into the same commit.
///
/// Whoever queued the first job woke this thread, which may have taken the core from the others that are
/// about to: it lets them run first, for as long as that brings more. Where nobody else wants the core that
/// costs no time; where all do, a commit each would cost them more than the wait.
fn take<G>(queue: &mut mpsc::Receiver<Box<dyn Job<G>>>, jobs: &mut Vec<Box<dyn Job<G>>>) {
    for _ in 0..YIELDS {
        let before = jobs.len();
        std::thread::yield_now();
        while jobs.len() < GROUP
            && let Ok(job) = queue.try_recv()
        {
            jobs.push(job);
        }
        if jobs.len() == before {
            return;
        }
    }
}

/// Runs `jobs` and those that queue behind them in one transaction. Whatever the outcome, every job
/// that was taken from the queue is in `jobs`, to be answered.
fn group<G: Gather>(
    connection: &mut Connection,
    queue: &mut mpsc::Receiver<Box<dyn Job<G>>>,
    jobs: &mut Vec<Box<dyn Job<G>>>,
    gathered: &mut G,
) -> rusqlite::Result<()> {
    // before the transaction begins: where another process holds the database, those that wait do so
    // once, together
    take(queue, jobs);
    let transaction = Group::begin(connection)?;
    for next in 0..GROUP {
        let Some(job) = jobs.get_mut(next) else { break };
        job.run(gathered, transaction.0)?;
        if jobs.len() < GROUP
            && let Ok(job) = queue.try_recv()
        {
            jobs.push(job);
        }
    }
    gathered.write(transaction.0)?;
    transaction.commit()
}

#[cfg(test)]
mod tests;
