//! The mutation check: cargo-mutants says what may be changed, each change is built and run against the
//! tests, and whatever no test notices must be explained in docs/mutants.md.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::bench::{Bench, Built};
use crate::ledger::{Ledger, hash};
use crate::parallel;
use crate::sources::{PROGRAM, PROTOCOL, Sources};
use crate::suite::{Outcome, Runner, program_tests};

/// The page that explains the mutants that live, relative to the workspace.
pub const PAGE: &str = "docs/mutants.md";

/// What is mutated: all that the program runs.
const FILES: &[&str] = &[
    "programs/amp/src/**",
    "sdk/protocol/src/account/**",
    "sdk/protocol/src/ed25519_instruction.rs",
    "sdk/protocol/src/layout.rs",
    "sdk/protocol/src/message/**",
    "sdk/protocol/src/money.rs",
    "sdk/protocol/src/rules/**",
];

/// Costs are not what a mutant must be noticed by.
const NOT_ASKED: &[&str] = &["compute_units"];

/// One change.
#[derive(Clone, Debug)]
pub struct Mutant {
    /// File, change and function; numbered where the same change is possible more than once.
    pub name: String,
    file: String,
    line: usize,
    place: Range<usize>,
    replacement: String,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fate {
    /// A test failed: the first executable that noticed.
    Noticed(String),
    /// It does not compile.
    Unviable,
    /// Every test passed.
    Lives,
}

#[derive(Deserialize)]
struct Listed {
    name: String,
    file: String,
    genre: String,
    replacement: String,
    span: Span,
}

#[derive(Deserialize)]
struct Span {
    start: Place,
    end: Place,
}

#[derive(Deserialize)]
struct Place {
    line: usize,
    column: usize,
}

/// Asks cargo-mutants for its list, and adds the bounds that it leaves alone: `<=` to `<`, `>=` to `>`.
pub fn list(workspace: &Path, sources: &Sources) -> Result<Vec<Mutant>> {
    let mut command = Command::new("cargo");
    command.args(["mutants", "--list", "--json", "--package", "amp", "--package", "amp-protocol"]);
    command.args(FILES.iter().flat_map(|file| ["--file", file]));
    let output = command.current_dir(workspace).env_remove("RUSTUP_TOOLCHAIN").output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "cargo mutants (`cargo install cargo-mutants --locked`): {said}");
    let listed: Vec<Listed> = serde_json::from_slice(&output.stdout)?;

    let mut mutants = Vec::new();
    for one in listed {
        let text = sources.text(&one.file)?;
        let place = byte(text, &one.span.start)?..byte(text, &one.span.end)?;
        // without line and column, which move
        let change = one.name.splitn(4, ':').nth(3).unwrap_or(&one.name).trim();
        let named = |name: String, replacement: &str| Mutant {
            name,
            file: one.file.clone(),
            line: one.span.start.line,
            place: place.clone(),
            replacement: replacement.to_owned(),
        };
        let name = format!("{}: {change}", one.file);
        if one.genre == "BinaryOperator" {
            for (from, to) in [("<=", "<"), (">=", ">")] {
                let opposite = if from == "<=" { ">" } else { "<" };
                let known = format!("replace {from} with {opposite} ");
                if change.starts_with(&known) {
                    mutants.push(named(name.replace(&known, &format!("replace {from} with {to} ")), to));
                }
            }
        }
        mutants.push(named(name, &one.replacement));
    }
    number(&mut mutants);
    Ok(mutants)
}

/// Tells apart changes of the same name, by where they stand.
fn number(mutants: &mut [Mutant]) {
    let mut places: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (at, mutant) in mutants.iter().enumerate() {
        places.entry(mutant.name.clone()).or_default().push(at);
    }
    for places in places.values().filter(|places| places.len() > 1) {
        for (number, at) in (1_usize..).zip(places) {
            if let Some(mutant) = mutants.get_mut(*at) {
                mutant.name = format!("{} (no. {number})", mutant.name);
            }
        }
    }
}

fn byte(text: &str, place: &Place) -> Result<usize> {
    let lines = text.split_inclusive('\n').take(place.line.saturating_sub(1));
    let start = lines.map(str::len).fold(0, usize::saturating_add);
    let line = text.get(start..).unwrap_or_default();
    let mut columns = line.char_indices().map(|(at, _)| at).chain([line.len()]);
    let column = columns.nth(place.column.saturating_sub(1)).context("a column of the line")?;
    Ok(start.saturating_add(column))
}

/// Everything that the check takes.
pub struct Check {
    workspace: PathBuf,
    folder: PathBuf,
    sources: Sources,
    tests: BTreeMap<String, PathBuf>,
    ledger: Ledger<Fate>,
    code: String,
    code_and_tests: String,
}

impl Check {
    /// Reads the sources as they are, builds the tests, and sees them pass.
    pub fn new(workspace: &Path, folder: &Path) -> Result<Self> {
        let sources = Sources::read(workspace)?;
        let mut tests = program_tests(workspace, &folder.join("tests-mutants"))?;
        tests.retain(|name, _| !NOT_ASKED.contains(&name.as_str()));
        let code: Vec<_> = sources.essence().collect();
        let mut texts: Vec<_> = sources.files().map(|(_, text)| text.to_owned()).collect();
        for entry in std::fs::read_dir(workspace.join("tests/program/tests"))? {
            texts.push(std::fs::read_to_string(entry?.path())?);
        }
        texts.sort();
        let check = Self {
            workspace: workspace.to_owned(),
            folder: folder.to_owned(),
            sources,
            tests,
            ledger: Ledger::open(folder, "mutants")?,
            code: hash(code.iter().map(String::as_str)),
            code_and_tests: hash(texts.iter().map(String::as_str)),
        };
        check.passes_unchanged()?;
        Ok(check)
    }

    /// What may be changed.
    pub fn list(&self) -> Result<Vec<Mutant>> {
        list(&self.workspace, &self.sources)
    }

    /// What becomes of the changes, `jobs` at a time, in their order.
    pub fn fates(&self, mutants: &[Mutant], jobs: usize) -> Result<Vec<Fate>> {
        let work = |bench: &Bench, mutant: &Mutant| {
            let fate = self.fate(bench, mutant).with_context(|| mutant.name.clone())?;
            println!("{fate:?}: {} ({}:{})", mutant.name, mutant.file, mutant.line);
            Ok(fate)
        };
        parallel::each(mutants, jobs, |job| self.bench(job), work)
    }

    fn bench(&self, job: usize) -> Result<Bench> {
        Bench::new(&self.workspace, &self.folder.join(format!("bench-mutants-{job}")))
    }

    /// A test that fails anyway notices nothing.
    fn passes_unchanged(&self) -> Result<()> {
        if self.ledger.get("unchanged", &self.code_and_tests).is_some() {
            return Ok(());
        }
        let bench = self.bench(0)?;
        for file in [PROGRAM, PROTOCOL] {
            let fate = self.fate_of(&bench, &self.sources, file)?;
            ensure!(fate == Fate::Lives, "nothing is changed in {file}, and yet: {fate:?}");
        }
        self.ledger.put("unchanged", &self.code_and_tests, Fate::Lives)
    }

    /// What was noticed is not tried again while the code is the same; what lived is, when a test is new.
    fn fate(&self, bench: &Bench, mutant: &Mutant) -> Result<Fate> {
        let of = |state: &str| hash([mutant.name.as_str(), &mutant.replacement, state]);
        let (code, with_tests) = (of(&self.code), of(&self.code_and_tests));
        let known =
            self.ledger.get(&mutant.name, &code).or_else(|| self.ledger.get(&mutant.name, &with_tests));
        if let Some(fate) = known {
            return Ok(fate);
        }
        let changed = self.sources.replaced(&mutant.file, mutant.place.clone(), &mutant.replacement)?;
        let fate = self.fate_of(bench, &changed, &mutant.file)?;
        let of = if fate == Fate::Lives { with_tests } else { code };
        self.ledger.put(&mutant.name, &of, fate.clone())?;
        Ok(fate)
    }

    fn fate_of(&self, bench: &Bench, sources: &Sources, file: &str) -> Result<Fate> {
        if !file.starts_with(PROGRAM) {
            // the rules' own tests are the quicker ones
            let Built::Done(tests) = bench.protocol_tests(sources)? else { return Ok(Fate::Unviable) };
            let folder = bench.protocol_folder();
            if let Some(name) = noticed(&tests, Runner { folder: &folder, program: None })? {
                return Ok(Fate::Noticed(format!("amp-protocol/{name}")));
            }
        }
        let Built::Done(program) = bench.program(sources)? else { return Ok(Fate::Unviable) };
        let folder = self.workspace.join("tests/program");
        let noticed = noticed(&self.tests, Runner { folder: &folder, program: Some(&program) })?;
        Ok(noticed.map_or(Fate::Lives, Fate::Noticed))
    }
}

fn noticed(tests: &BTreeMap<String, PathBuf>, runner: Runner) -> Result<Option<String>> {
    // those that take longest last
    let slow = |name: &&String| *name == "exhaustive";
    let (last, first): (Vec<_>, Vec<_>) = tests.iter().partition(|(name, _)| slow(name));
    for (name, executable) in first.into_iter().chain(last) {
        if runner.all(executable)? != Outcome::Passed {
            return Ok(Some(name.clone()));
        }
    }
    Ok(None)
}

/// The names in the first column of the page's table.
pub fn explained(workspace: &Path) -> Result<BTreeSet<String>> {
    let page = std::fs::read_to_string(workspace.join(PAGE)).with_context(|| PAGE)?;
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    Ok(rows.filter_map(|row| row.split_once("` |")).map(|(name, _)| name.replace("\\|", "|")).collect())
}
