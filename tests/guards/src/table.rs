//! The table as it is written: one file a section, one entry a guard.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// A part of the program, with its guards.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Section {
    /// Heading.
    pub title: String,
    /// A sentence or two for the page.
    #[serde(default)]
    pub about: String,
    /// The guards.
    #[serde(default)]
    pub guard: Vec<Guard>,
    /// Lines that hand on what a rule of its own refuses.
    #[serde(default)]
    pub handed_on: Vec<HandedOn>,
}

/// One guard.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guard {
    /// Unique: section and subject, with dashes.
    pub id: String,
    /// What holds because of it.
    pub says: String,
    /// The instructions it stands in the way of.
    pub instructions: Vec<String>,
    /// Whom it binds.
    pub who: String,
    /// From which state of the channel (or of the delegation) it is asked.
    pub state: String,
    /// Where it stands: a path in the workspace, or `anchor-lang/...` for what anchor checks.
    pub file: String,
    /// The source text to take out; occurs exactly once in the file.
    pub remove: String,
    /// What stands there instead.
    #[serde(default)]
    pub with: String,
    /// Further edits of the same removal.
    #[serde(default)]
    pub also: Vec<Edit>,
    /// A `Rejection`'s name, or the name of a number in `tests/program/src/refusal.rs`.
    pub error: String,
    /// The tests that fail without it.
    #[serde(default)]
    pub tests: Vec<String>,
    /// What a failing test says, where that is not the error's name or number.
    #[serde(default)]
    pub shows: Vec<String>,
    /// Why no test can tell that it is gone.
    pub unreachable: Option<String>,
    /// It answers for the whole of `remove`, though it changes a part of it: one of several conditions.
    #[serde(default)]
    pub whole: bool,
    /// Words in `programs/amp/src/instructions` that this row answers for wherever they stand.
    #[serde(default)]
    pub answers_for: Vec<String>,
}

/// A change of one file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    /// As in [`Guard::file`].
    pub file: String,
    /// As in [`Guard::remove`].
    pub remove: String,
    /// As in [`Guard::with`].
    #[serde(default)]
    pub with: String,
}

/// A line that hands on a refusal which is decided elsewhere, in rows of their own.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HandedOn {
    /// As in [`Guard::file`].
    pub file: String,
    /// Source text that occurs exactly once.
    pub text: String,
    /// The file whose rows prove it.
    pub to: String,
}

impl Guard {
    /// All edits of the removal.
    pub fn edits(&self) -> Vec<Edit> {
        let Self { file, remove, with, .. } = self.clone();
        let first = Edit { file, remove, with };
        [first].into_iter().chain(self.also.iter().cloned()).collect()
    }
}

/// Reads the table, in the order of the files' names.
pub fn load(workspace: &Path) -> Result<Vec<Section>> {
    let folder = workspace.join("tests/guards/table");
    let mut paths: Vec<_> =
        std::fs::read_dir(&folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    ensure!(!paths.is_empty(), "{}: no table", folder.display());
    paths
        .iter()
        .map(|path| {
            let text = std::fs::read_to_string(path)?;
            toml::from_str(&text).with_context(|| path.display().to_string())
        })
        .collect()
}
