//! A whole run, or one part of it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use tokio::task::LocalSet;

use crate::http::{self, Attacked, Cell, Download, Grid};
use crate::idle::{self, Idling};
use crate::in_process::{self, Costs};
use crate::measure::{Machine, disk_sync, pin};
use crate::page;

/// The page that a run writes.
const PAGE: &str = "docs/performance.md";
/// What comes from here on in the page is written by `make e2e`.
const CHAINS_PART: &str = "\n## On a validator\n";
/// The core of whoever puts the server under load.
const CORE: usize = 1;

/// What to measure.
#[derive(Args, Clone, Debug)]
pub(crate) struct Run {
    /// Less of everything: some 40 seconds, and rougher figures.
    #[arg(long)]
    quick: bool,
    /// Write the page to docs/performance.md.
    #[arg(long)]
    write: bool,
    /// One part alone.
    #[arg(long, value_enum)]
    only: Option<Part>,
    /// How many channels the paid path is measured on.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 100, 10_000])]
    channels: Vec<usize>,
    /// At how many connections a route is measured.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 256])]
    connections: Vec<usize>,
    /// With the embedded store alone.
    #[arg(long)]
    embedded: bool,
    /// Where the stores are: on the disk that is measured.
    #[arg(long, default_value = "target/bench")]
    folder: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The paid path against a signature check.
    Path,
    /// A route unpaid and paid.
    Http,
    /// Channels that nobody uses.
    Idle,
    /// A download unpaid and paid by the byte.
    Streams,
    /// Hostile clients.
    Hostile,
}

/// What was found, of the parts that were measured.
pub(crate) struct Found {
    pub(crate) machine: Machine,
    /// Milliseconds: the middle and the 99th percentile.
    pub(crate) sync: (f64, f64),
    pub(crate) costs: Vec<Costs>,
    pub(crate) cells: Vec<Cell>,
    pub(crate) idle: Option<Idling>,
    pub(crate) download: Option<Download>,
    pub(crate) attacked: Vec<Attacked>,
}

impl Run {
    /// Measures and prints the page.
    pub(crate) fn run(self) -> Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        let folder = tempfile::tempdir_in(&self.folder)?;
        let found = self.measure(folder.path())?;
        let page = page::write(&found)?;
        println!("{page}");
        if self.write {
            let before = std::fs::read_to_string(PAGE).unwrap_or_default();
            let page = with_chains_part(page, &before);
            std::fs::write(PAGE, page).with_context(|| format!("can't write {PAGE}"))?;
        }
        Ok(())
    }

    fn measure(&self, folder: &Path) -> Result<Found> {
        let wanted = |part| self.only.is_none_or(|only| only == part);
        let size = |full: usize, quick: usize| if self.quick { quick } else { full };
        let (machine, sync) = (Machine::this()?, disk_sync(folder, size(500, 100))?);
        let (mut costs, mut cells, mut attacked) = (Vec::new(), Vec::new(), Vec::new());
        let (mut idle, mut download) = (None, None);
        if wanted(Part::Idle) {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            idle = Some(runtime.block_on(idle::run(folder, 100_000))?);
        }
        // from here on the other core is the server's
        pin(CORE)?;
        if wanted(Part::Path) {
            for &channels in &self.channels {
                costs.push(in_process::run(folder, channels, size(32, 8), 2_000)?);
            }
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let local = LocalSet::new();
        if wanted(Part::Http) {
            let time = Duration::from_millis(if self.quick { 300 } else { 800 });
            let (connections, embedded) = (self.connections.clone(), self.embedded);
            let grid = Grid { rounds: size(3, 1), time, connections, embedded };
            cells = local.block_on(&runtime, http::cells(folder, &grid))?;
        }
        if wanted(Part::Streams) {
            download = Some(local.block_on(&runtime, http::streams(folder, size(100, 30)))?);
        }
        if wanted(Part::Hostile) {
            let seconds = if self.quick { 1.0 } else { 2.0 };
            attacked = local.block_on(&runtime, http::hostile(folder, size(3, 1), seconds))?;
        }
        Ok(Found { machine, sync, costs, cells, idle, download, attacked })
    }
}

/// The page with the part that another program wrote into the one before.
fn with_chains_part(page: String, before: &str) -> String {
    match before.split_once(CHAINS_PART) {
        Some((_, part)) => format!("{}\n{CHAINS_PART}{part}", page.trim_end()),
        None => page,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_measured_on_a_validator_stays_in_the_page() {
        let before = "# Old\n\nold\n\n## On a validator\n\nslots\n";
        assert_eq!(with_chains_part("# New\n".to_owned(), before), "# New\n\n## On a validator\n\nslots\n");
        assert_eq!(with_chains_part("# New\n".to_owned(), "# Old\n"), "# New\n");
    }
}
