//! The part of docs/performance.md that is about the chain: from its heading to the end of the page.

use std::fmt::Write as _;
use std::time::Duration;

use amp_sdk::chain::TransactionFormat;
use anyhow::{Context, ensure};

const PAGE: &str = "docs/performance.md";
/// `make bench` keeps what comes after it.
const HEADING: &str = "## On a validator\n";

/// What a run measured.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measured {
    /// Sorted by what is ours.
    pub(crate) openings: Vec<Opening>,
    pub(crate) settlings: Vec<Settling>,
    pub(crate) format: Option<TransactionFormat>,
}

/// From a client that knows nothing to its first paid answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opening {
    pub(crate) total: Duration,
    /// Until the node had confirmed the opening.
    pub(crate) confirmation: Duration,
    /// From then on until the SDK had learnt of it, and of what it cost.
    pub(crate) learning: Duration,
    /// The client's reads of the chain, before and after.
    pub(crate) reads: Duration,
}

impl Opening {
    /// All but the confirmation.
    pub(crate) fn ours(&self) -> Duration {
        self.total.saturating_sub(self.confirmation)
    }
}

/// A settlement of so many channels.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Settling {
    pub(crate) channels: usize,
    pub(crate) transactions: usize,
    /// Lamports.
    pub(crate) fees: u64,
    /// Compute units.
    pub(crate) units: u64,
}

/// Replaces that part of the page.
pub(crate) fn write(measured: &Measured) -> anyhow::Result<()> {
    ensure!(
        !measured.openings.is_empty() && !measured.settlings.is_empty(),
        "not everything was measured: run all scenarios to write the page"
    );
    let page =
        std::fs::read_to_string(PAGE).with_context(|| format!("no {PAGE}; run in the project's folder"))?;
    let before = page.split(HEADING).next().unwrap_or_default().trim_end();
    std::fs::write(PAGE, format!("{before}\n\n{HEADING}\n{}", section(measured)?))?;
    println!("written: {PAGE}");
    Ok(())
}

fn section(measured: &Measured) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    let milliseconds = |duration: Duration| duration.as_secs_f64() * 1_000.0;
    writeln!(
        text,
        "Written by `make e2e ARGS=--write` (`tests/cluster`), on a solana-test-validator of the same machine with slots of \
         100 ms.\n"
    )?;
    if let Some(middle) = measured.openings.get(measured.openings.len() / 2) {
        let worst = measured.openings.last().map_or(0.0, |opening| milliseconds(opening.ours()));
        writeln!(
            text,
            "**From nothing to the first paid answer**: discovery, policy, opening, confirmation, the call. Of {} the \
             middle one took {:.0} ms: {:.0} ms until the node had confirmed the opening, and **{:.0} ms of ours** (at \
             most {worst:.0} ms): {:.0} ms to learn that it is confirmed and what it cost, {:.0} ms of reads of the chain, the \
             rest discovery, signatures, two stores and HTTP, in an unoptimized build.\n",
            measured.openings.len(),
            milliseconds(middle.total),
            milliseconds(middle.confirmation),
            milliseconds(middle.ours()),
            milliseconds(middle.learning),
            milliseconds(middle.reads),
        )?;
    }
    let format = match measured.format {
        Some(TransactionFormat::V1) => "This cluster takes transactions of 4,096 bytes (SIMD-0385).",
        _ => "This cluster takes packets of 1,232 bytes alone.",
    };
    writeln!(
        text,
        "**Settling channels**, one signer each, asked for at once. {format} A fee is 5,000 lamports a signature: the \
         service's in each transaction, and one credential a channel.\n\n\
         | channels | transactions | channels in one | fees, lamports | a channel | compute units | a channel |\n\
         | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    )?;
    for Settling { channels, transactions, fees, units } in &measured.settlings {
        let count = u64::try_from(*channels).unwrap_or(1).max(1);
        let (fee, unit) = (fees.div_ceil(count), units.div_ceil(count));
        let most = channels.div_ceil((*transactions).max(1));
        writeln!(text, "| {channels} | {transactions} | {most} | {fees} | {fee} | {units} | {unit} |")?;
    }
    Ok(text)
}
