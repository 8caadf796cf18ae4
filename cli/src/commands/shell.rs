use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::arguments::Arguments;
use crate::output;

/// Prints completions. For bash: `amp completions bash > ~/.local/share/bash-completion/completions/amp`.
#[derive(Args)]
pub(crate) struct Completions {
    /// The shell.
    shell: Shell,
}

/// Prints the manual page of `amp`, or writes those of all commands to a folder.
#[derive(Args)]
pub(crate) struct Man {
    /// Write `amp.1`, `amp-open.1` and so on here, as for /usr/local/share/man/man1.
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

impl Completions {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Arguments::command(), "amp", &mut script);
        output::line(String::from_utf8_lossy(&script).trim_end());
        Ok(())
    }
}

impl Man {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let mut command = Arguments::command();
        command.build();
        let Some(folder) = &self.folder else {
            output::line(String::from_utf8_lossy(&page(&command, "amp")?).trim_end());
            return Ok(());
        };
        std::fs::create_dir_all(folder).with_context(|| format!("can't create {}", folder.display()))?;
        write_all(&command, "amp", folder)
    }
}

fn page(command: &clap::Command, name: &str) -> anyhow::Result<Vec<u8>> {
    let mut roff = Vec::new();
    clap_mangen::Man::new(command.clone()).title(name).render(&mut roff)?;
    Ok(roff)
}

fn write_all(command: &clap::Command, name: &str, folder: &Path) -> anyhow::Result<()> {
    let file = folder.join(format!("{name}.1"));
    std::fs::write(&file, page(command, name)?).with_context(|| format!("can't write {}", file.display()))?;
    let own = command.get_subcommands().filter(|sub| sub.get_name() != "help" && !sub.is_hide_set());
    for sub in own {
        write_all(sub, &format!("{name}-{}", sub.get_name()), folder)?;
    }
    Ok(())
}
