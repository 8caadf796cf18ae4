//! A real PostgreSQL server for tests: a new cluster in a temporary folder, on a Unix socket, that ends with
//! the process that started it, however that ends.
//!
//! Its programs are those of the system's packages, which `make test` installs where it can. Where there are
//! none the tests that need them say so and do nothing; with `AMP_REQUIRE_POSTGRES` set, they fail.
#![allow(clippy::expect_used, clippy::missing_panics_doc)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};

/// The server's life: it begins anew after a "crash", and ends with its standard input.
const LIFE: &str = r#"
set -eu
export PATH="$1:$PATH" LC_ALL=C
home=$(mktemp -d "${TMPDIR:-/tmp}/amp-postgres.XXXXXX")
cd "$home"
finish() { pg_ctl -D data -m immediate stop >/dev/null 2>&1 || true; cd /; rm -rf "$home"; }
trap finish EXIT
# a test that is interrupted must not take the cluster down before its tests are
trap '' INT
timeout 120 initdb -D data -U amp -A trust -E UTF8 -N >/dev/null
begin() { timeout 120 pg_ctl -D data -w -l log -o "-k $home -c listen_addresses='' -c max_connections=200" start >/dev/null; echo "$home"; }
begin
while read -r order; do
    [ "$order" = crash ] || break
    pg_ctl -D data -m immediate stop >/dev/null
    begin
done
"#;

/// A server.
pub struct TestPostgres {
    control: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    socket: String,
    _life: Child,
}

impl TestPostgres {
    /// Starts a server; `None`, and a loud word, where the system has none.
    pub fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            let why = "NO POSTGRESQL HERE: what needs it is NOT TESTED. Install the package `postgresql`.";
            assert!(std::env::var_os("AMP_REQUIRE_POSTGRES").is_none(), "{why}");
            eprintln!("\n*** {why}\n");
            return None;
        };
        let mut command = shell();
        command.args(["-c", LIFE, "sh"]).arg(&programs).current_dir("/");
        let mut life = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a shell");
        let orders = life.stdin.take().expect("a pipe");
        let mut words = BufReader::new(life.stdout.take().expect("a pipe"));
        let socket = ready(&mut words);
        Some(Self { control: Mutex::new((orders, words)), socket, _life: life })
    }

    /// The one server of this process, for tests that share it: each takes a schema of its own.
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<TestPostgres>> = OnceLock::new();
        SHARED.get_or_init(Self::start).as_ref()
    }

    /// Where it is, as `libpq` takes it.
    pub fn address(&self) -> String {
        format!("host={} user=amp dbname=postgres", self.socket)
    }

    /// A schema name that no other caller has.
    pub fn schema() -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        format!("amp_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
    }

    /// The server goes down as in a power cut, and comes back: what was not on disk is gone.
    pub fn crash(&self) {
        let (orders, words) = &mut *self.control.lock().expect("no panic");
        orders.write_all(b"crash\n").expect("it lives");
        ready(words);
    }
}

fn ready(words: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    words.read_line(&mut line).expect("a pipe");
    assert!(!line.is_empty(), "PostgreSQL did not start");
    line.trim_end().to_owned()
}

/// A shell of a user that PostgreSQL accepts: any but root.
fn shell() -> Command {
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n");
    if !is_root {
        return Command::new("sh");
    }
    let mut command = Command::new("runuser");
    command.args(["-u", "postgres", "--", "sh"]);
    command
}

/// Where `initdb` and `pg_ctl` are: on the path, or where Debian and its kin put them.
fn programs() -> Option<PathBuf> {
    let is_here = |folder: &Path| folder.join("initdb").exists() && folder.join("pg_ctl").exists();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|found| found.flatten().map(|entry| entry.path().join("bin")).collect())
        .unwrap_or_default();
    versions.sort();
    folders.extend(versions.into_iter().rev());
    folders.into_iter().find(|folder| is_here(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_comes_back_after_a_crash_at_the_same_place() {
        let Some(server) = TestPostgres::start() else { return };
        let socket = Path::new(&server.socket).join(".s.PGSQL.5432");
        assert!(socket.exists());
        server.crash();
        assert!(socket.exists());
    }
}
