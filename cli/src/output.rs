//! Text for people, JSON for scripts, progress for the impatient.

use std::io::Write;
use std::time::Duration;

use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

/// A table with this header.
pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED).set_header(header);
    table
}

/// Prints a line. A reader that has gone away (`amp ... | head`) is no error.
pub(crate) fn line(text: &str) {
    let _ = writeln!(std::io::stdout(), "{}", harmless(text));
}

/// Without control characters: what a service writes into its documents and errors is printed here, and a terminal
/// would obey it. An answer's body is not touched: it goes wherever the caller sends it.
pub(crate) fn harmless(text: &str) -> String {
    let is_fine = |c: char| !c.is_control() || c == '\n' || c == '\t';
    text.chars().map(|c| if is_fine(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
}

/// Prints a value as indented JSON.
pub(crate) fn json(value: &Value) {
    line(&format!("{value:#}"));
}

/// Prints what a command found: `value` for scripts, `text` for people.
pub(crate) fn print(as_json: bool, value: &Value, text: &str) {
    if as_json { json(value) } else { line(text.trim_end()) }
}

/// Labelled lines, the labels as wide as the widest.
#[derive(Default)]
pub(crate) struct Lines(Vec<(String, String)>);

impl Lines {
    /// Adds a line.
    pub(crate) fn add(&mut self, label: &str, text: impl Into<String>) -> &mut Self {
        self.0.push((label.to_owned(), text.into()));
        self
    }

    /// All of them.
    pub(crate) fn text(&self) -> String {
        let width = self.0.iter().map(|(label, _)| label.chars().count()).max().unwrap_or_default();
        let lines = self.0.iter().map(|(label, text)| format!("{label:width$}  {text}"));
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// A JSON value as indented lines, for people.
pub(crate) fn outline(value: &Value) -> String {
    let mut text = String::new();
    write_outline(&mut text, value, 0);
    text
}

fn write_outline(text: &mut String, value: &Value, depth: usize) {
    let indent = "  ".repeat(depth);
    let is_nested = |value: &Value| matches!(value, Value::Object(_) | Value::Array(_));
    let mut entry = |label: &str, width: usize, value: &Value| match value {
        nested if is_nested(nested) => {
            text.push_str(&format!("{indent}{label}\n"));
            write_outline(text, nested, depth.saturating_add(1));
        }
        Value::String(plain) => text.push_str(&format!("{indent}{label:width$}  {plain}\n")),
        plain => text.push_str(&format!("{indent}{label:width$}  {plain}\n")),
    };
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().filter(|(_, value)| !value.is_null()).collect();
            // what it is comes first, what has parts last
            let first = ["kind", "program", "name"];
            let rank = |name: &str| first.iter().position(|own| *own == name).unwrap_or(first.len());
            fields.sort_by_key(|(name, value)| (is_nested(value), rank(name)));
            let names = fields.iter().filter(|(_, value)| !is_nested(value)).map(|(name, _)| name.len());
            let width = names.max().unwrap_or_default();
            for (name, value) in fields {
                entry(name, width, value);
            }
        }
        Value::Array(items) => {
            for (number, value) in (1_u32..).zip(items) {
                entry(&format!("{number}."), 0, value);
            }
        }
        plain => text.push_str(&format!("{indent}{plain}\n")),
    }
}

/// Shows on a terminal that something slow is under way, and what.
pub(crate) async fn during<T>(what: &str, work: impl Future<Output = T>) -> T {
    // indicatif shows nothing where standard error is no terminal
    let spinner = ProgressBar::new_spinner().with_message(what.to_owned());
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
        spinner.set_style(style);
    }
    spinner.enable_steady_tick(Duration::from_millis(100));
    let done = work.await;
    spinner.finish_and_clear();
    done
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_outline_has_every_value_once() {
        let value = json!({"kind": "settle", "gone": null, "accounts": [{"name": "recipient"}], "owed": 7});
        assert_eq!(outline(&value), "kind  settle\nowed  7\naccounts\n  1.\n    name  recipient\n");
    }

    #[test]
    fn a_terminal_is_told_nothing_by_what_a_service_wrote() {
        assert_eq!(harmless("a\x1b[2J\tb\nc\r\u{9b}"), "a\u{fffd}[2J\tb\nc\u{fffd}\u{fffd}");
    }

    #[test]
    fn labels_are_as_wide_as_the_widest() {
        let mut lines = Lines::default();
        lines.add("a", "1").add("long", "2");
        assert_eq!(lines.text(), "a     1\nlong  2");
    }
}
