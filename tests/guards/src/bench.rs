//! A folder with a copy of the sources in it, which may be changed and built. It is used again and again:
//! only files that differ are written, so that cargo builds no more than it must.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};

use crate::sources::{ANCHOR, PROGRAM, PROTOCOL, Sources};
use crate::suite::executables;

/// Where one thing at a time is built.
#[derive(Debug)]
pub struct Bench {
    workspace: PathBuf,
    folder: PathBuf,
}

/// What a compiler makes of changed sources.
#[derive(Debug)]
pub enum Built<T> {
    /// What was asked for.
    Done(T),
    /// What the compiler said.
    Refused(String),
}

impl Bench {
    /// The bench in `folder`, which is made if there is none.
    pub fn new(workspace: &Path, folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let bench = Self { workspace: workspace.canonicalize()?, folder: folder.canonicalize()? };
        ensure!(!bench.folder.starts_with(&bench.workspace), "the sources there are must not be changed");
        Ok(bench)
    }

    /// Builds the bytecode, with the toolchain that `make program` uses.
    pub fn program(&self, sources: &Sources) -> Result<Built<PathBuf>> {
        self.lay_out(sources)?;
        let deploy = self.folder.join("deploy");
        let output = self
            .command(self.workspace.join("toolchain/build-sbf.sh"))
            .arg("--manifest-path")
            .arg(self.folder.join(PROGRAM).join("Cargo.toml"))
            .arg("--sbf-out-dir")
            .arg(&deploy)
            // the linker optimizes the whole program anyway: the same bytes, in two thirds of the time
            .env("CARGO_PROFILE_RELEASE_LTO", "thin")
            .output()?;
        // the tests of the interface look for it beside the bytecode
        let idl = self.folder.join("idl");
        std::fs::create_dir_all(&idl)?;
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
        std::fs::copy(self.workspace.join(target).join("idl/amp.json"), idl.join("amp.json"))
            .context("idl/amp.json in the target directory: run `make program` first")?;
        Ok(built(&output, deploy.join("amp.so")))
    }

    /// Builds the protocol crate's tests for this machine: executables by name.
    pub fn protocol_tests(&self, sources: &Sources) -> Result<Built<BTreeMap<String, PathBuf>>> {
        self.lay_out(sources)?;
        let output = self
            .command("cargo")
            .args(["test", "--package", "amp-protocol", "--features", "serde", "--no-run"])
            .arg("--message-format=json")
            .output()?;
        let found = executables(&output.stdout, "amp-protocol")?;
        Ok(built(&output, found))
    }

    /// Where the protocol crate's tests run.
    pub fn protocol_folder(&self) -> PathBuf {
        self.folder.join(PROTOCOL)
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(&self.folder)
            .env("CARGO_TARGET_DIR", self.folder.join("target"))
            // everything has been downloaded for the workspace's own builds
            .env("CARGO_NET_OFFLINE", "true")
            .env("CARGO_TERM_COLOR", "never")
            .env_remove("RUSTUP_TOOLCHAIN");
        command
    }

    fn lay_out(&self, sources: &Sources) -> Result<()> {
        let mut wanted = BTreeSet::new();
        for (file, text) in sources.files() {
            self.write(file, text)?;
            wanted.insert(self.folder.join(file));
        }
        for folder in [PROGRAM, PROTOCOL, ANCHOR] {
            remove_others(&self.folder.join(folder), &wanted)?;
        }
        self.write("Cargo.toml", &manifest(&std::fs::read_to_string(self.workspace.join("Cargo.toml"))?))?;
        // cargo takes out of the lock file what is not used here: compare with what it was made from
        let lock = std::fs::read_to_string(self.workspace.join("Cargo.lock"))?;
        if self.write("Cargo.lock.of-workspace", &lock)? {
            self.write("Cargo.lock", &lock)?;
        }
        Ok(())
    }

    /// Whether the file was another.
    fn write(&self, file: &str, text: &str) -> Result<bool> {
        let path = self.folder.join(file);
        if std::fs::read_to_string(&path).is_ok_and(|there| there == text) {
            return Ok(false);
        }
        std::fs::create_dir_all(path.parent().context("a file has a folder")?)?;
        std::fs::write(&path, text)?;
        Ok(true)
    }
}

fn built<T>(output: &Output, made: T) -> Built<T> {
    if output.status.success() {
        return Built::Done(made);
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let errors: Vec<_> =
        text.lines().filter(|line| line.starts_with("error") || line.contains("-->")).collect();
    Built::Refused(if errors.is_empty() { text.into_owned() } else { errors.join("\n") })
}

/// The workspace's manifest with two members, and anchor-lang from a folder, so that it can be changed too.
fn manifest(workspace: &str) -> String {
    let members = format!("members = [\"{PROGRAM}\", \"{PROTOCOL}\"]\nexclude = [\"{ANCHOR}\"]");
    let line = |line: &str| if line.starts_with("members = ") { members.clone() } else { line.to_owned() };
    let lines: Vec<_> = workspace.lines().map(line).collect();
    format!("{}\n\n[patch.crates-io]\n{ANCHOR} = {{ path = \"{ANCHOR}\" }}\n", lines.join("\n"))
}

fn remove_others(folder: &Path, wanted: &BTreeSet<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            remove_others(&path, wanted)?;
        } else if !wanted.contains(&path) {
            std::fs::remove_file(&path)?;
        }
    }
    Ok(())
}
