//! A SQLite database with one writer and group commit: what [`Database::write`] returned for is on
//! disk. Client and service both store through it.
//!
//! Jobs that arrive while a commit is under way share the next one, so that a hundred parallel
//! requests wait for one or two syncs of the disk and not for a hundred.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior};
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
    fn run(&mut self, gathered: &mut G, transaction: &mut Transaction<'_>) -> rusqlite::Result<()>;
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
    fn run(&mut self, gathered: &mut G, transaction: &mut Transaction<'_>) -> rusqlite::Result<()> {
        let Some(statements) = self.statements.take() else { return Ok(()) };
        gathered.write(transaction)?;
        let mut savepoint = transaction.savepoint()?;
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
    fn run(&mut self, gathered: &mut G, _transaction: &mut Transaction<'_>) -> rusqlite::Result<()> {
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
    while let Some(first) = queue.blocking_recv() {
        let mut jobs = vec![first];
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
        for job in jobs {
            job.answer(committed.clone());
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
    let mut transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for next in 0..GROUP {
        let Some(job) = jobs.get_mut(next) else { break };
        job.run(gathered, &mut transaction)?;
        if jobs.len() < GROUP
            && let Ok(job) = queue.try_recv()
        {
            jobs.push(job);
        }
    }
    gathered.write(&transaction)?;
    transaction.commit()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &[&str] = &["CREATE TABLE numbers (n INTEGER PRIMARY KEY)"];

    fn insert(n: i64) -> impl FnOnce(&Connection) -> rusqlite::Result<()> + Send + 'static {
        move |connection| connection.execute("INSERT INTO numbers VALUES (?1)", [n]).map(drop)
    }

    async fn count(database: &Database) -> i64 {
        database.write(|c| c.query_row("SELECT COUNT(*) FROM numbers", [], |row| row.get(0))).await.unwrap()
    }

    #[tokio::test]
    async fn a_failed_job_leaves_the_others_of_its_group_alone() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&folder.path().join("a.db"), Sharing::Shared, SCHEMA).unwrap();
        let jobs = [1, 2, 1, 3].map(|n| database.write(insert(n)));
        let outcomes = futures::future::join_all(jobs).await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_err()).count(), 1);
        assert!(matches!(outcomes[2], Err(DurableError::Sqlite(_))));
        assert_eq!(count(&database).await, 3);
    }

    #[tokio::test]
    async fn a_job_that_panics_fails_and_the_database_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&folder.path().join("a.db"), Sharing::Shared, SCHEMA).unwrap();
        let panicked = database.write::<(), _>(|connection| {
            insert(1)(connection)?;
            panic!("told to");
        });
        assert!(matches!(panicked.await, Err(DurableError::Commit(reason)) if reason.contains("panicked")));
        assert_eq!(count(&database).await, 0, "rolled back");
        database.write(insert(1)).await.unwrap();
        assert_eq!(count(&database).await, 1);
    }

    /// Numbers that are written together, unless there is a 13 among them.
    #[derive(Default)]
    struct Numbers {
        left: Vec<i64>,
        times: i64,
    }

    impl Gather for Numbers {
        fn write(&mut self, connection: &Connection) -> rusqlite::Result<()> {
            self.times = self.times.saturating_add(i64::from(!self.left.is_empty()));
            self.left.drain(..).try_for_each(|n| match n {
                13 => Err(rusqlite::Error::InvalidQuery),
                n => insert(n)(connection),
            })
        }

        fn lost(&mut self) {
            self.left.clear();
        }
    }

    fn gathering(folder: &tempfile::TempDir) -> Database<Numbers> {
        let path = folder.path().join("a.db");
        Database::gathering(&path, Sharing::Shared, SCHEMA, Numbers::default()).unwrap()
    }

    #[tokio::test]
    async fn what_jobs_leave_is_written_together_and_before_the_next_job_reads() {
        let folder = tempfile::tempdir().unwrap();
        let database = gathering(&folder);
        let leave = |n| database.leave(move |numbers| numbers.left.push(n));
        let count = |connection: &Connection| {
            connection.query_row("SELECT COUNT(*) FROM numbers", [], |row| row.get::<_, i64>(0))
        };
        let read = database.write(count);
        let (one, two, seen, three) = tokio::join!(leave(1), leave(2), read, leave(3));
        assert!(one.is_ok() && two.is_ok() && three.is_ok());
        assert_eq!(seen.unwrap(), 2);
        let (release, released) = std::sync::mpsc::channel::<()>();
        let hang = database.write_with(move |numbers, _| {
            let _ = released.recv();
            Ok(numbers.times)
        });
        let many = futures::future::join_all((10..13).chain(14..100).map(leave));
        let (before, many, ()) = tokio::join!(hang, many, async { release.send(()).unwrap() });
        assert!(many.iter().all(Result::is_ok));
        let after = database.write_with(move |numbers, connection| Ok((numbers.times, count(connection)?)));
        assert_eq!(after.await.unwrap(), (before.unwrap().saturating_add(1), 92));
    }

    #[tokio::test]
    async fn a_failed_job_takes_nothing_of_what_others_left_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let database = gathering(&folder);
        let left = database.leave(|numbers| numbers.left.push(1));
        let (left, failed) = tokio::join!(left, database.write(insert(1)));
        assert!(left.is_ok() && matches!(failed, Err(DurableError::Sqlite(_))));
    }

    #[tokio::test]
    async fn what_can_not_be_written_fails_for_all_who_left_something_and_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let database = gathering(&folder);
        let bad = database.leave(|numbers| numbers.left.extend([1, 13]));
        assert!(matches!(bad.await, Err(DurableError::Commit(_))));
        database.leave(|numbers| numbers.left.push(2)).await.unwrap();
        let written =
            database.write(|c| c.query_row("SELECT SUM(n) FROM numbers", [], |row| row.get::<_, i64>(0)));
        assert_eq!(written.await.unwrap(), 2);
    }

    #[tokio::test]
    async fn whoever_waits_for_a_busy_database_is_told_so_and_waits_once() {
        const PATIENCE: Duration = Duration::from_millis(200);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let database = Database::open(&path, Sharing::Shared, SCHEMA).unwrap();
        database.write(|connection| connection.busy_timeout(PATIENCE)).await.unwrap();
        let other = Connection::open(&path).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let begun = std::time::Instant::now();
        for outcome in futures::future::join_all((0..20).map(|n| database.write(insert(n)))).await {
            let error = outcome.unwrap_err();
            assert!(matches!(&error, DurableError::Commit(reason) if reason.contains("locked")), "{error}");
        }
        assert!(begun.elapsed() < PATIENCE * 10, "not one after the other");
        other.execute_batch("ROLLBACK").unwrap();
        database.write(insert(1)).await.unwrap();
        assert_eq!(count(&database).await, 1);
    }

    #[tokio::test]
    async fn what_a_slow_disk_does_not_take_waits_with_its_callers() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&folder.path().join("a.db"), Sharing::Shared, SCHEMA).unwrap();
        let (release, released) = std::sync::mpsc::channel::<()>();
        let (begin, begun) = oneshot::channel();
        let slow = database.clone();
        let slow = tokio::spawn(async move {
            let hang = move |_: &Connection| {
                let _ = begin.send(());
                let _ = released.recv();
                Ok(())
            };
            slow.write(hang).await
        });
        begun.await.unwrap();
        let jobs: Vec<_> = (0..QUEUE + 50)
            .map(|n| {
                let database = database.clone();
                tokio::spawn(async move { database.write(insert(n.try_into().unwrap())).await })
            })
            .collect();
        for _ in 0..QUEUE {
            tokio::task::yield_now().await;
        }
        assert_eq!((database.jobs.max_capacity(), database.jobs.capacity()), (QUEUE, 0));
        assert!(jobs.iter().all(|job| !job.is_finished()));
        release.send(()).unwrap();
        slow.await.unwrap().unwrap();
        for job in jobs {
            job.await.unwrap().unwrap();
        }
        assert_eq!(count(&database).await, i64::try_from(QUEUE).unwrap() + 50);
    }

    #[tokio::test]
    async fn an_exclusive_database_has_one_process_and_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let held = Database::open(&path, Sharing::Exclusive, SCHEMA).unwrap();
        let error = Database::open(&path, Sharing::Exclusive, SCHEMA).unwrap_err().to_string();
        assert!(error.contains("another process has it open"), "{error}");
        assert_eq!(count(&held).await, 0);
    }

    #[test]
    fn a_database_of_a_newer_release_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        drop(Database::open(&path, Sharing::Shared, &[SCHEMA[0], "SELECT 1"]).unwrap());
        let error = Database::open(&path, Sharing::Shared, SCHEMA).unwrap_err();
        assert!(matches!(error, DurableError::Newer { found: 2, known: 1, .. }));
    }

    #[cfg(unix)]
    #[test]
    fn no_other_user_reads_the_database() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        drop(Database::open(&path, Sharing::Shared, SCHEMA).unwrap());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
