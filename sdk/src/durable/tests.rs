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
    let (before, many, ()) = tokio::join!(hang, many, async {
        // until all of them wait
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        release.send(()).unwrap();
    });
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
