//! The sources that rows point into, and where in them a row's text stands.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::table::Edit;

/// What the program is built from, besides what comes from the registry as it is.
pub const PROGRAM: &str = "programs/amp";
/// The rules.
pub const PROTOCOL: &str = "sdk/protocol";
/// What the program leaves to anchor's account types is a guard too.
pub const ANCHOR: &str = "anchor-lang";

/// Texts by path: relative to the workspace, or beginning with [`ANCHOR`].
#[derive(Clone, Debug)]
pub struct Sources {
    texts: BTreeMap<String, String>,
}

impl Sources {
    /// Reads them.
    pub fn read(workspace: &Path) -> Result<Self> {
        let mut texts = BTreeMap::new();
        for folder in [PROGRAM, PROTOCOL] {
            collect(&workspace.join(folder), folder, &mut texts)?;
        }
        collect(&anchor(workspace)?, ANCHOR, &mut texts)?;
        Ok(Self { texts })
    }

    /// Texts by path.
    pub fn of(texts: BTreeMap<String, String>) -> Self {
        Self { texts }
    }

    /// Every file.
    pub fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// One file.
    pub fn text(&self, file: &str) -> Result<&str> {
        self.texts.get(file).map(String::as_str).with_context(|| format!("there is no file {file}"))
    }

    /// Where `snippet` stands. Exactly once, or the row has gone stale.
    pub fn position(&self, file: &str, snippet: &str) -> Result<Range<usize>> {
        ensure!(!snippet.is_empty(), "{file}: an empty snippet");
        let mut found = self.text(file)?.match_indices(snippet).map(|(at, _)| at);
        match (found.next(), found.next()) {
            (Some(at), None) => Ok(at..at.saturating_add(snippet.len())),
            (None, _) => bail!("{file} does not contain:\n{snippet}"),
            _ => bail!("{file} contains this more than once:\n{snippet}"),
        }
    }

    /// The part of an edit that really changes: what both texts begin and end with is left out.
    pub fn changed(&self, edit: &Edit) -> Result<Range<usize>> {
        let Range { start, end } = self.position(&edit.file, &edit.remove)?;
        let (old, new) = (edit.remove.as_bytes(), edit.with.as_bytes());
        let equal = |pairs: &mut dyn Iterator<Item = (&u8, &u8)>| pairs.take_while(|(a, b)| a == b).count();
        let before = equal(&mut old.iter().zip(new));
        let (old, new) = (old.get(before..).unwrap_or_default(), new.get(before..).unwrap_or_default());
        let after = equal(&mut old.iter().rev().zip(new.iter().rev()));
        Ok(start.saturating_add(before)..end.saturating_sub(after))
    }

    /// The function or type that a place stands in.
    pub fn item(&self, file: &str, at: usize) -> Result<String> {
        let until = self.text(file)?.get(at..).and_then(|rest| rest.find('\n')).unwrap_or_default();
        let before = self.text(file)?.get(..at.saturating_add(until)).unwrap_or_default();
        let named = before.lines().rev().find_map(named_item);
        named.map(str::to_owned).with_context(|| format!("{file}: no item before byte {at}"))
    }

    /// What the program and the rules are made of, in a form that is the same where only comments, tests or
    /// what the SDK alone reads differ.
    pub fn essence(&self) -> impl Iterator<Item = String> {
        let folders = ["programs/amp/src/", "sdk/protocol/src/", "anchor-lang/src/"];
        let for_the_sdk = ["sdk/protocol/src/json/", "sdk/protocol/src/code.rs", "sdk/protocol/src/text.rs"];
        let begins = |file: &str, with: &[&str]| with.iter().any(|folder| file.starts_with(folder));
        let files =
            self.files().filter(move |(file, _)| begins(file, &folders) && !begins(file, &for_the_sdk));
        files.map(|(file, text)| {
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
            [file].into_iter().chain(lines).collect::<Vec<_>>().join("\n")
        })
    }

    /// A copy with the edits made.
    pub fn edited(&self, edits: &[Edit]) -> Result<Self> {
        let mut edited = self.clone();
        for edit in edits {
            let place = edited.position(&edit.file, &edit.remove)?;
            if let Some(text) = edited.texts.get_mut(&edit.file) {
                text.replace_range(place, &edit.with);
            }
        }
        Ok(edited)
    }

    /// A copy with one place of one file replaced.
    pub fn replaced(&self, file: &str, place: Range<usize>, with: &str) -> Result<Self> {
        let mut replaced = self.clone();
        let text = replaced.texts.get_mut(file).with_context(|| format!("there is no file {file}"))?;
        ensure!(text.get(place.clone()).is_some(), "{file}: no place {place:?}");
        text.replace_range(place, with);
        Ok(replaced)
    }
}

/// The name that a line gives to a function or type.
fn named_item(line: &str) -> Option<&str> {
    let mut words = line.split(|letter: char| !(letter.is_alphanumeric() || letter == '_'));
    words
        .find(|word| !matches!(*word, "" | "pub" | "crate" | "super" | "const"))
        .filter(|word| matches!(*word, "fn" | "struct" | "enum"))?;
    words.next()
}

/// Reads every text file below `folder` under the name `prefix`.
fn collect(folder: &Path, prefix: &str, texts: &mut BTreeMap<String, String>) -> Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let name = format!("{prefix}/{}", path.file_name().unwrap_or_default().to_string_lossy());
        if path.is_dir() {
            collect(&path, &name, texts)?;
        } else if path.extension().is_some_and(|kind| ["rs", "toml", "json", "md"].iter().any(|k| kind == *k))
        {
            texts.insert(name, std::fs::read_to_string(&path).with_context(|| path.display().to_string())?);
        }
    }
    Ok(())
}

/// Where the registry's copy of anchor-lang is unpacked.
fn anchor(workspace: &Path) -> Result<PathBuf> {
    let rustc = Command::new("rustc").arg("-vV").output()?;
    let version = String::from_utf8_lossy(&rustc.stdout).into_owned();
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc's host")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // what other machines would need is not there
    let output = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--locked", "--offline", "--filter-platform", host])
        .current_dir(workspace)
        .output()?;
    ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let mut packages = metadata["packages"].as_array().into_iter().flatten();
    let package = packages.find(|package| package["name"] == ANCHOR).context("anchor-lang is not used")?;
    let manifest = Path::new(package["manifest_path"].as_str().unwrap_or_default());
    Ok(manifest.parent().context("a manifest has a folder")?.to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn edit(remove: &str, with: &str) -> Edit {
        Edit { file: "a.rs".into(), remove: remove.into(), with: with.into() }
    }

    fn sources() -> Sources {
        let text =
            "pub(crate) fn first() {\n    guard();\n}\n\nstruct Second<'a> {\n    guard: &'a str,\n}\n";
        Sources::of(BTreeMap::from([("a.rs".to_owned(), text.to_owned())]))
    }

    #[test]
    fn text_that_is_missing_or_there_twice_is_no_place() {
        assert!(sources().position("a.rs", "guard();").is_ok());
        for (file, snippet) in [("a.rs", "guard"), ("a.rs", "gone"), ("a.rs", ""), ("b.rs", "guard();")] {
            assert!(sources().position(file, snippet).is_err(), "{file}: {snippet}");
        }
    }

    #[test]
    fn what_an_edit_changes_is_less_than_what_it_names() {
        let changed = sources().changed(&edit("    guard();\n}", "    ()\n}")).unwrap();
        assert_eq!(sources().text("a.rs").unwrap().get(changed), Some("guard();"));
        let edited = sources().edited(&[edit("    guard();\n", "")]).unwrap();
        assert!(edited.text("a.rs").unwrap().starts_with("pub(crate) fn first() {\n}"));
    }

    #[test]
    fn a_place_knows_the_item_it_stands_in() {
        let sources = sources();
        let item = |snippet| sources.item("a.rs", sources.position("a.rs", snippet).unwrap().start);
        assert_eq!(item("guard();").unwrap(), "first");
        assert_eq!(item("guard: &").unwrap(), "Second");
    }
}
