//! What a person sees while it runs, on standard error.

use indicatif::{ProgressBar, ProgressStyle};

/// Says that a step is done.
pub(crate) fn step(text: &str) {
    eprintln!("  \u{2713} {text}");
}

/// A bar over `length` calls.
pub(crate) fn bar(length: u64, label: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(length).with_message(label);
    if let Ok(style) = ProgressStyle::with_template("    {msg} [{bar:30}] {pos}/{len} calls, {per_sec}") {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}
