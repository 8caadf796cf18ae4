//! The table as a part of docs/state-machine.md.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};

use crate::sources::Sources;
use crate::table::{Guard, Section};

/// The page, relative to the workspace.
pub const PAGE: &str = "docs/state-machine.md";
/// What is between these lines is written by a test.
pub const BEGIN: &str = "<!-- guards: from tests/guards/table, written by `make bless` -->";
/// The end of it.
pub const END: &str = "<!-- end of guards -->";

/// Errors of other layers that rows name: their numbers and what they mean.
pub fn foreign_errors(workspace: &Path) -> Result<BTreeMap<String, (u32, String)>> {
    let text = std::fs::read_to_string(workspace.join("tests/program/src/refusal.rs"))?;
    let mut found = BTreeMap::new();
    let mut meaning = "";
    for line in text.lines().map(str::trim) {
        if let Some(doc) = line.strip_prefix("/// ") {
            meaning = doc.trim_end_matches('.');
        } else if let Some((name, number)) =
            line.strip_prefix("pub const ").and_then(|rest| rest.trim_end_matches(';').split_once(": u32 = "))
        {
            found.insert(name.to_owned(), (number.parse()?, meaning.to_owned()));
        }
    }
    Ok(found)
}

/// The Markdown between [`BEGIN`] and [`END`].
pub fn render(workspace: &Path, sources: &Sources, table: &[Section]) -> Result<String> {
    let foreign = foreign_errors(workspace)?;
    let mut page = String::new();
    let guards = table.iter().flat_map(|section| &section.guard);
    let (all, unreachable) =
        (guards.clone().count(), guards.filter(|guard| guard.unreachable.is_some()).count());
    writeln!(page, "{all} guards; {unreachable} of them no test can reach, for the reason given.")?;
    for section in table.iter().filter(|section| !section.guard.is_empty()) {
        writeln!(page, "\n### {}\n", section.title)?;
        if !section.about.is_empty() {
            writeln!(page, "{}\n", section.about.trim())?;
        }
        // a section of one instruction names it in its title
        let shared = section.guard.iter().any(|guard| guard.instructions != [section.title.as_str()]);
        let (title, rule) = if shared { ("| instructions ", "| --- ") } else { ("", "") };
        writeln!(
            page,
            "| what holds {title}| binds | asked of | checked in | error | without it this fails |"
        )?;
        writeln!(page, "| --- {rule}| --- | --- | --- | --- | --- |")?;
        for guard in &section.guard {
            let names = guard.instructions.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>();
            let instructions = if shared { format!("| {} ", names.join(", ")) } else { String::new() };
            let error = match foreign.get(&guard.error) {
                Some((number, meaning)) => format!("{number}: {meaning}"),
                None => format!("`{}`", guard.error),
            };
            let place = sources.changed(guard.edits().first().context("a row has an edit")?)?;
            let item = sources.item(&guard.file, place.start)?;
            let file =
                guard.file.trim_start_matches("programs/amp/src/").trim_start_matches("sdk/protocol/src/");
            let Guard { says, who, state, .. } = guard;
            let tests = tests(guard);
            writeln!(
                page,
                "| {says} {instructions}| {who} | {state} | `{file}` `{item}` | {error} | {tests} |"
            )?;
        }
    }
    Ok(page)
}

fn tests(guard: &Guard) -> String {
    match &guard.unreachable {
        Some(reason) => format!("no test: {reason}"),
        None => guard.tests.iter().map(|test| format!("`{test}`")).collect::<Vec<_>>().join("<br>"),
    }
}

/// The page with its table written anew.
pub fn rewritten(page: &str, table: &str) -> Result<String> {
    let (before, rest) = page.split_once(BEGIN).with_context(|| format!("{PAGE} has no line {BEGIN}"))?;
    let (_, after) = rest.split_once(END).with_context(|| format!("{PAGE} has no line {END}"))?;
    Ok(format!("{before}{BEGIN}\n\n{table}\n{END}{after}"))
}
