//! Running tests that are built: one by name, or all of an executable.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// Longest that an executable may run; a changed loop may never end.
const PATIENCE: Duration = Duration::from_secs(120);

/// How a test went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It passed.
    Passed,
    /// It failed; what it printed.
    Failed(String),
    /// It did not end.
    Endless,
}

/// The executables of the bytecode tests, by name. They are built once, from the workspace as it is, and
/// copied: the bytecode is what changes, and they read it from `AMP_PROGRAM`.
pub fn program_tests(workspace: &Path, into: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let mut command = Command::new("cargo");
    // the workspace's features, as `make test` builds them
    command.args(["test", "--locked", "--workspace", "--no-run", "--message-format=json"]);
    for entry in std::fs::read_dir(workspace.join("tests/program/tests"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            command.arg("--test").arg(path.file_stem().context("a file has a name")?);
        }
    }
    let output = command.current_dir(workspace).env_remove("RUSTUP_TOOLCHAIN").output()?;
    ensure!(output.status.success(), "the tests do not build:\n{}", String::from_utf8_lossy(&output.stderr));
    std::fs::create_dir_all(into)?;
    let mut copies = BTreeMap::new();
    for (name, path) in executables(&output.stdout, "amp-program-tests")? {
        let copy = into.join(&name);
        std::fs::copy(&path, &copy)?;
        copies.insert(name, copy);
    }
    Ok(copies)
}

/// The test executables of a package in what cargo printed; the library's own is called `lib`.
pub fn executables(messages: &[u8], package: &str) -> Result<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    for line in messages.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"{")) {
        let message: serde_json::Value = serde_json::from_slice(line)?;
        let Some(path) = message["executable"].as_str() else { continue };
        let manifest = message["manifest_path"].as_str().unwrap_or_default();
        let text = std::fs::read_to_string(manifest).unwrap_or_default();
        if !text.contains(&format!("name = \"{package}\"")) {
            continue;
        }
        let target = &message["target"];
        let is_test = target["kind"][0] == "test";
        let name = if is_test { target["name"].as_str().unwrap_or_default() } else { "lib" };
        found.insert(name.to_owned(), PathBuf::from(path));
    }
    Ok(found)
}

/// How tests are run.
#[derive(Clone, Copy, Debug)]
pub struct Runner<'a> {
    /// Where.
    pub folder: &'a Path,
    /// With which bytecode.
    pub program: Option<&'a Path>,
}

impl Runner<'_> {
    /// Runs the one test with this name.
    pub fn one(&self, executable: &Path, name: &str) -> Result<Outcome> {
        let (outcome, printed) = self.run(executable, &[name, "--exact"])?;
        if !printed.contains("running 1 test\n") {
            bail!("{} has no test {name}:\n{printed}", executable.display());
        }
        Ok(outcome)
    }

    /// Runs all tests of an executable.
    pub fn all(&self, executable: &Path) -> Result<Outcome> {
        Ok(self.run(executable, &[])?.0)
    }

    fn run(&self, executable: &Path, arguments: &[&str]) -> Result<(Outcome, String)> {
        let printed = executable.with_extension(format!("{:?}.printed", std::thread::current().id()));
        let file = File::create(&printed)?;
        let mut command = Command::new(executable);
        command.args(arguments).current_dir(self.folder).env("RUST_BACKTRACE", "0");
        command.stdin(Stdio::null()).stderr(file.try_clone()?).stdout(file);
        if let Some(program) = self.program {
            command.env("AMP_PROGRAM", program);
        }
        let mut child = command.spawn().with_context(|| executable.display().to_string())?;
        let started = Instant::now();
        let status = loop {
            match child.try_wait()? {
                Some(status) => break Some(status),
                None if started.elapsed() > PATIENCE => {
                    child.kill()?;
                    child.wait()?;
                    break None;
                }
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        let text = String::from_utf8_lossy(&std::fs::read(&printed)?).into_owned();
        std::fs::remove_file(&printed)?;
        ensure!(!text.contains("no usable program at"), "the bytecode does not load:\n{text}");
        Ok(match status {
            None => (Outcome::Endless, text),
            Some(status) if status.success() => (Outcome::Passed, text),
            Some(_) => (Outcome::Failed(text.clone()), text),
        })
    }
}
