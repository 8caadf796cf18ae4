//! Which places of the sources look like a guard, and which row answers for each.

use std::ops::Range;

use anyhow::Result;

use crate::sources::{PROGRAM, Sources};
use crate::table::Section;

/// What a guard looks like in the program.
const IN_PROGRAM: &[&str] =
    &["Rejection::", "ErrorCode::", "refuse(", "check(", "check_", "invariant(", "or_refuse("];
/// And in the accounts of an instruction, besides.
const IN_ACCOUNTS: &[&str] = &[
    "AccountLoader<",
    "Interface<",
    "Option<",
    "Program<",
    "Signer<",
    "address =",
    "close =",
    "constraint =",
    "has_one",
    "mut)]",
    "mut,",
    "owner =",
    "seeds =",
    "signer)]",
];
/// And in what the program takes from the protocol crate.
const IN_PROTOCOL: &[&str] = &["Rejection::", "MessageError::", "AccountError::"];

/// Files of the protocol crate that the program runs.
const PROTOCOL_FILES: &[&str] = &[
    "sdk/protocol/src/rules/",
    "sdk/protocol/src/message/",
    "sdk/protocol/src/ed25519_instruction.rs",
    "sdk/protocol/src/layout.rs",
    "sdk/protocol/src/account/token.rs",
];
/// Files of the program that make errors and refuse nothing.
const ERRORS: &[&str] = &["programs/amp/src/error.rs", "programs/amp/src/lib.rs"];

/// A place that looks like a guard and that no row answers for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uncovered {
    /// The file.
    pub file: String,
    /// Its line, counted from 1.
    pub line: usize,
    /// The line's text.
    pub text: String,
    /// What looks like a guard in it.
    pub word: &'static str,
}

/// Every place that looks like a guard and that no row of the table changes.
pub fn uncovered(sources: &Sources, table: &[Section]) -> Result<Vec<Uncovered>> {
    let covered = covered(sources, table)?;
    let answered_for: Vec<&str> = table
        .iter()
        .flat_map(|section| &section.guard)
        .flat_map(|guard| &guard.answers_for)
        .map(String::as_str)
        .collect();
    let mut uncovered = Vec::new();
    for (file, text) in sources.files() {
        let places = places(text, words(file));
        uncovered.extend(places.filter_map(|(at, line, word)| {
            let row = covered.iter().any(|(row, range)| row == file && range.contains(&at));
            let everywhere =
                file.starts_with("programs/amp/src/instructions/") && answered_for.contains(&word);
            let text = text.lines().nth(line).unwrap_or_default().trim().to_owned();
            (!row && !everywhere).then(|| Uncovered {
                file: file.to_owned(),
                line: line.saturating_add(1),
                text,
                word,
            })
        }));
    }
    Ok(uncovered)
}

fn covered(sources: &Sources, table: &[Section]) -> Result<Vec<(String, Range<usize>)>> {
    let mut covered = Vec::new();
    for section in table {
        for guard in &section.guard {
            for edit in guard.edits() {
                let changed = sources.changed(&edit)?;
                let whole = sources.position(&edit.file, &edit.remove)?;
                covered.push((edit.file, if guard.whole { whole } else { changed }));
            }
        }
        for handed_on in &section.handed_on {
            covered.push((handed_on.file.clone(), sources.position(&handed_on.file, &handed_on.text)?));
        }
    }
    Ok(covered)
}

fn words(file: &str) -> Vec<&'static str> {
    if ERRORS.contains(&file) {
        Vec::new()
    } else if file.starts_with("programs/amp/src/instructions/") {
        [IN_PROGRAM, IN_ACCOUNTS].concat()
    } else if file.starts_with(&format!("{PROGRAM}/src/")) {
        IN_PROGRAM.to_vec()
    } else if PROTOCOL_FILES.iter().any(|name| file.starts_with(name)) {
        IN_PROTOCOL.to_vec()
    } else {
        Vec::new()
    }
}

/// `(byte, line, word)` of each word outside of comments, imports, signatures and tests.
fn places<'a>(
    text: &'a str,
    words: Vec<&'static str>,
) -> impl Iterator<Item = (usize, usize, &'static str)> + 'a {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let mut at = 0_usize;
    let lines = code.split_inclusive('\n').enumerate().map(move |(number, line)| {
        let start = at;
        at = at.saturating_add(line.len());
        (number, start, line)
    });
    lines.filter(|(_, _, line)| is_code(line)).flat_map(move |(number, start, line)| {
        let found = words.iter().flat_map(|word| line.match_indices(word).map(|(at, _)| (at, *word)));
        // a variable may have the name of one of anchor's constraints
        let variable = |word| line.trim_start().starts_with("let ") && IN_ACCOUNTS.contains(&word);
        let found: Vec<_> = found.filter(|(at, word)| begins_word(line, *at) && !variable(*word)).collect();
        found.into_iter().map(move |(at, word)| (start.saturating_add(at), number, word))
    })
}

fn is_code(line: &str) -> bool {
    let line = line.trim_start();
    let signature = line.starts_with("fn ") || line.starts_with("pub ") && line.contains("fn ");
    !(line.starts_with("//") || line.starts_with("use ") || line.starts_with("pub use ") || signature)
}

/// `check(` is not in `recheck(`, and `refuse(` not in `or_refuse(`.
fn begins_word(line: &str, at: usize) -> bool {
    let before = line.get(..at).and_then(|before| before.chars().next_back());
    !before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_')
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    const FILE: &str = "programs/amp/src/instructions/settle.rs";
    const TEXT: &str = "\
// refuse( in a comment
fn check_x() -> Result<()> {
    #[account(mut, has_one = mint)]
    let seeds = [1];
    if a { return refuse(Rejection::A); }
    check_y()?;
}

#[cfg(test)]
mod tests { fn x() { check_z() } }
";

    fn uncovered_words(table: &str) -> Vec<&'static str> {
        let sources = Sources::of(BTreeMap::from([(FILE.to_owned(), TEXT.to_owned())]));
        let section: Section = toml::from_str(table).unwrap();
        let mut words: Vec<_> =
            uncovered(&sources, &[section]).unwrap().into_iter().map(|place| place.word).collect();
        words.sort_unstable();
        words
    }

    #[test]
    fn every_guard_in_the_code_is_seen() {
        let words = uncovered_words("title = 'none'");
        assert_eq!(words, ["Rejection::", "check_", "has_one", "mut,", "refuse("]);
    }

    #[test]
    fn a_row_answers_for_what_it_changes_and_for_no_more() {
        let row = |remove: &str, with: &str| {
            format!(
                "title = 'one'\n[[guard]]\nid = 'x'\nsays = ''\ninstructions = []\nwho = ''\nstate = ''\n\
                 error = ''\nfile = '{FILE}'\nremove = '{remove}'\nwith = '{with}'\n"
            )
        };
        let words = uncovered_words(&row("#[account(mut, has_one = mint)]", "#[account(has_one = mint)]"));
        assert_eq!(words, ["Rejection::", "check_", "has_one", "refuse("]);
        let words = uncovered_words(&row("    check_y()?;", ""));
        assert_eq!(words, ["Rejection::", "has_one", "mut,", "refuse("]);
    }
}
