//! The proof of a row: without the guard, each of its tests fails, and for the row's reason.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::bench::{Bench, Built};
use crate::ledger::{Ledger, hash};
use crate::named_test::{NamedTest, Suite};
use crate::page::foreign_errors;
use crate::parallel;
use crate::sources::Sources;
use crate::suite::{Outcome, Runner, program_tests};
use crate::table::{Guard, Section};

/// What became of a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// Every test failed, for the row's reason. What they said.
    Proven(Vec<String>),
    /// No test can tell, for a reason that the row gives.
    OutOfReach,
    /// Not proven, and why.
    NotProven(String),
}

/// Everything that a proof takes.
pub struct Prover {
    workspace: PathBuf,
    folder: PathBuf,
    sources: Sources,
    tests: BTreeMap<String, PathBuf>,
    foreign: BTreeMap<String, (u32, String)>,
    ledger: Ledger<Verdict>,
}

impl Prover {
    /// Reads the sources as they are and builds the tests. `folder` holds the benches and what was found.
    pub fn new(workspace: &Path, folder: &Path) -> Result<Self> {
        Ok(Self {
            workspace: workspace.to_owned(),
            folder: folder.to_owned(),
            sources: Sources::read(workspace)?,
            tests: program_tests(workspace, &folder.join("tests"))?,
            foreign: foreign_errors(workspace)?,
            ledger: Ledger::open(folder, "guards")?,
        })
    }

    /// Proves the rows, `jobs` at a time, and tells of each.
    pub fn prove(
        &self,
        table: &[Section],
        only: &[String],
        jobs: usize,
        fresh: bool,
    ) -> Result<Vec<(Guard, Verdict)>> {
        let chosen =
            |guard: &&Guard| only.is_empty() || only.iter().any(|name| guard.id.contains(name.as_str()));
        let guards: Vec<&Guard> = table.iter().flat_map(|section| &section.guard).filter(chosen).collect();
        self.pass_unchanged(&guards)?;
        let set_up = |job| Bench::new(&self.workspace, &self.folder.join(format!("bench-{job}")));
        let work = |bench: &Bench, guard: &&Guard| {
            let verdict = self.verdict(bench, guard, fresh).with_context(|| guard.id.clone())?;
            tell(&guard.id, &verdict);
            Ok(((*guard).clone(), verdict))
        };
        parallel::each(&guards, jobs, set_up, work)
    }

    /// A test that fails anyway proves nothing.
    fn pass_unchanged(&self, guards: &[&Guard]) -> Result<()> {
        let mut tests: Vec<NamedTest> = guards
            .iter()
            .flat_map(|guard| &guard.tests)
            .map(|test| NamedTest::parse(test))
            .collect::<Result<_>>()?;
        tests.sort();
        tests.dedup();
        let mut of: Vec<_> = tests.iter().map(NamedTest::file).collect();
        of.dedup();
        let of = self.state(&of, &format!("{tests:?}"))?;
        if self.ledger.get("unchanged", &of).is_some() {
            return Ok(());
        }
        let bench = Bench::new(&self.workspace, &self.folder.join("bench-0"))?;
        let failures = self.failures(&bench, &self.sources, &tests)?;
        for (test, outcome) in tests.iter().zip(&failures) {
            ensure!(*outcome == Outcome::Passed, "{test:?} fails with every guard in place:\n{outcome:?}");
        }
        self.ledger.put("unchanged", &of, Verdict::OutOfReach)
    }

    fn verdict(&self, bench: &Bench, guard: &Guard, fresh: bool) -> Result<Verdict> {
        if guard.unreachable.is_some() {
            return Ok(Verdict::OutOfReach);
        }
        let tests: Vec<_> = guard.tests.iter().map(|test| NamedTest::parse(test)).collect::<Result<_>>()?;
        let files: Vec<_> = tests.iter().map(NamedTest::file).collect();
        let Guard { error, tests: names, shows, .. } = guard;
        let of = self.state(&files, &format!("{:?} {error} {names:?} {shows:?}", guard.edits()))?;
        if let Some(verdict @ Verdict::Proven(_)) = self.ledger.get(&guard.id, &of).filter(|_| !fresh) {
            return Ok(verdict);
        }
        let verdict = self.try_without(bench, guard, &tests)?;
        self.ledger.put(&guard.id, &of, verdict.clone())?;
        Ok(verdict)
    }

    fn try_without(&self, bench: &Bench, guard: &Guard, tests: &[NamedTest]) -> Result<Verdict> {
        let without = self.sources.edited(&guard.edits())?;
        let outcomes = match self.failures(bench, &without, tests) {
            Ok(outcomes) => outcomes,
            Err(error) => return Ok(Verdict::NotProven(format!("{error:#}"))),
        };
        let reasons = self.reasons(guard);
        let mut said = Vec::new();
        for (test, outcome) in tests.iter().zip(outcomes) {
            let why = match outcome {
                Outcome::Passed => "passes without it".to_owned(),
                Outcome::Endless => "does not end without it".to_owned(),
                Outcome::Failed(printed)
                    if reasons.iter().any(|reason| printed.contains(reason.as_str())) =>
                {
                    said.push(format!("{}: {}", test.function(), panic_of(&printed)));
                    continue;
                }
                Outcome::Failed(printed) => {
                    format!("fails for another reason than {reasons:?}: {}", panic_of(&printed))
                }
            };
            return Ok(Verdict::NotProven(format!("{} {why}", test.name)));
        }
        Ok(Verdict::Proven(said))
    }

    /// Runs the tests on what these sources make.
    fn failures(&self, bench: &Bench, sources: &Sources, tests: &[NamedTest]) -> Result<Vec<Outcome>> {
        let here = self.workspace.join("tests/program");
        let wants = |suite| tests.iter().any(|test| test.suite == suite);
        let program = if wants(Suite::Program) { Some(done(bench.program(sources)?)?) } else { None };
        let protocol =
            if wants(Suite::Protocol) { done(bench.protocol_tests(sources)?)? } else { BTreeMap::new() };
        let folder = bench.protocol_folder();
        let run = |test: &NamedTest| {
            let (executables, runner) = match test.suite {
                Suite::Program => (&self.tests, Runner { folder: &here, program: program.as_deref() }),
                Suite::Protocol => (&protocol, Runner { folder: &folder, program: None }),
            };
            let executable =
                executables.get(&test.binary).with_context(|| format!("no tests {}", test.binary))?;
            runner.one(executable, &test.name)
        };
        tests.iter().map(run).collect()
    }

    /// What a test says that fails because of this guard.
    fn reasons(&self, guard: &Guard) -> Vec<String> {
        if !guard.shows.is_empty() {
            return guard.shows.clone();
        }
        match self.foreign.get(&guard.error) {
            Some((number, _)) => vec![format!("expected custom error {number}")],
            None => vec![guard.error.clone()],
        }
    }

    /// A hash of the sources, of the tests in these files, and of `what`.
    fn state(&self, files: &[String], what: &str) -> Result<String> {
        let mut texts = vec![what.to_owned()];
        let folder = self.workspace.join("tests/program/src");
        let mut words: Vec<_> =
            std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
        words.sort();
        words.extend(files.iter().map(|file| self.workspace.join(file)));
        for path in words {
            texts.push(std::fs::read_to_string(path)?);
        }
        texts.extend(self.sources.essence());
        Ok(hash(texts.iter().map(String::as_str)))
    }
}

fn done<T>(built: Built<T>) -> Result<T> {
    match built {
        Built::Done(made) => Ok(made),
        Built::Refused(errors) => bail!("it does not compile:\n{errors}"),
    }
}

/// The beginning of a panic's message.
fn panic_of(printed: &str) -> String {
    let mut lines = printed.lines().skip_while(|line| !line.contains("panicked at"));
    lines.nth(1).unwrap_or("it did not panic").chars().take(200).collect()
}

fn tell(id: &str, verdict: &Verdict) {
    match verdict {
        Verdict::Proven(said) => println!("proven       {id}: {}", said.first().map_or("", String::as_str)),
        Verdict::OutOfReach => println!("out of reach {id}"),
        Verdict::NotProven(why) => println!("NOT PROVEN   {id}: {why}"),
    }
}
