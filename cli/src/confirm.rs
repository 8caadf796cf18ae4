//! Asking before money moves.

use std::io::{BufRead, IsTerminal, Write};

use crate::exit::{Exit, failure};
use crate::output::harmless;

/// Shows what is about to happen and asks. `--yes` has said so already; where nobody can be asked it is an
/// error, and nothing happens.
pub(crate) fn confirm(plan: &str, yes: bool) -> anyhow::Result<()> {
    if yes {
        return Ok(());
    }
    let mut stderr = std::io::stderr().lock();
    writeln!(stderr, "{}", harmless(plan.trim_end()))?;
    if !std::io::stdin().is_terminal() {
        let text = "this moves money, and nobody can be asked: standard input is no terminal. \
                    If it is what you want, run it again with --yes";
        return Err(failure(Exit::NotConfirmed, text));
    }
    write!(stderr, "Go on? [y/N] ")?;
    stderr.flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    if ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()) {
        return Ok(());
    }
    Err(failure(Exit::NotConfirmed, "not confirmed; nothing was done"))
}
