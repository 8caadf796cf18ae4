//! Who has what in the end, and who should.

#![allow(clippy::arithmetic_side_effects, reason = "sums of small constants and of one deposit")]

use std::fmt;

use anyhow::ensure;

use crate::town::{AGENT_TOKENS, ANSWER, GPU};

/// Counts of answers, and base units.
pub(crate) struct Ledger {
    pub(crate) small: u64,
    pub(crate) large: u64,
    pub(crate) chained: u64,
    pub(crate) agent: u64,
    pub(crate) inference: u64,
    pub(crate) gpu: u64,
}

impl Ledger {
    /// Every base unit is where it belongs. What was chained and not earned is the agent's, not the
    /// inference service's: so that one earns its price less what it chained.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        let answers = (self.small + self.large) * ANSWER;
        let (gpu, inference) = (self.large * GPU, answers - self.chained);
        ensure!(self.gpu == gpu, "the GPU service has {}, not {gpu}", self.gpu);
        ensure!(self.inference == inference, "inference has {}, not {inference}", self.inference);
        let agent = AGENT_TOKENS - gpu - inference;
        ensure!(self.agent == agent, "the agent has {}, not {agent}", self.agent);
        Ok(())
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "base units    before      after")?;
        writeln!(f, "agent       {AGENT_TOKENS:>8}   {:>8}", self.agent)?;
        writeln!(f, "inference   {:>8}   {:>8}", 0, self.inference)?;
        writeln!(f, "GPU         {:>8}   {:>8}", 0, self.gpu)?;
        let sum = self.agent + self.inference + self.gpu;
        write!(f, "in all      {AGENT_TOKENS:>8}   {sum:>8}")
    }
}
