//! How much was tried, how much of it went through, and which refusals were met.

use std::collections::{HashMap, HashSet};
use std::fmt;

use amp_protocol::rejection::Rejection;

use crate::model::Refusal;
use crate::operation::Operation;
use crate::trial::LANDMARKS;

/// Counts of one kind of operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kind {
    /// Went through.
    pub accepted: u64,
    /// Was refused.
    pub refused: u64,
}

/// The kinds of operations, and several at once.
const KINDS: usize = Operation::KINDS.len() + 1;

/// Counts of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Sequences that went to their end.
    pub sequences: u64,
    /// Operations done.
    pub operations: u64,
    /// Operations for which there was nothing to do them to.
    pub idle: u64,
    kinds: [Kind; KINDS],
    /// By position of the kind; several at once come last.
    refusals: HashMap<(usize, Refusal), u64>,
    landmarks: HashMap<&'static str, u64>,
}

impl Tally {
    /// Counts one that was done.
    pub(crate) fn note(&mut self, operation: &Operation, outcome: &Result<(), Refusal>) {
        self.operations += 1;
        let at = operation.kind().unwrap_or(KINDS - 1);
        match outcome {
            Ok(()) => self.kinds[at].accepted += 1,
            Err(refusal) => {
                self.kinds[at].refused += 1;
                *self.refusals.entry((at, *refusal)).or_default() += 1;
            }
        }
    }

    /// Counts a landmark.
    pub(crate) fn reach(&mut self, landmark: &'static str) {
        *self.landmarks.entry(landmark).or_default() += 1;
    }

    /// How often a landmark was reached.
    pub fn reached(&self, landmark: &str) -> u64 {
        self.landmarks.get(landmark).copied().unwrap_or_default()
    }

    /// Counts one that could not be done.
    pub(crate) fn idle(&mut self) {
        self.idle += 1;
    }

    pub(crate) fn sequence(&mut self) {
        self.sequences += 1;
    }

    /// Adds another run's.
    pub fn add(&mut self, other: &Self) {
        self.sequences += other.sequences;
        self.operations += other.operations;
        self.idle += other.idle;
        for (kind, more) in self.kinds.iter_mut().zip(&other.kinds) {
            kind.accepted += more.accepted;
            kind.refused += more.refused;
        }
        for (landmark, count) in &other.landmarks {
            *self.landmarks.entry(landmark).or_default() += count;
        }
        for (refusal, count) in &other.refusals {
            *self.refusals.entry(*refusal).or_default() += count;
        }
    }

    /// The kinds of operations, by name.
    pub fn kinds(&self) -> impl Iterator<Item = (&'static str, Kind)> {
        Operation::KINDS.into_iter().chain(["several at once"]).zip(self.kinds)
    }

    /// How often the program refused for this reason.
    pub fn rejections(&self, rejection: Rejection) -> u64 {
        self.refused_for(Refusal::Rule(rejection))
    }

    fn refused_for(&self, refusal: Refusal) -> u64 {
        self.refusals.iter().filter(|((_, found), _)| *found == refusal).map(|(_, count)| count).sum()
    }

    /// What each kind of operation was refused for, and how often: the most frequent first.
    pub fn reasons(&self) -> Vec<(&'static str, Refusal, u64)> {
        let names: Vec<_> = self.kinds().map(|(name, _)| name).collect();
        let all = self.refusals.iter().map(|((at, refusal), count)| (names[*at], *refusal, *count));
        let mut all: Vec<_> = all.collect();
        all.sort_by_key(|(name, _, count)| (*name, std::cmp::Reverse(*count)));
        all
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sequences, operations, idle, .. } = self;
        writeln!(f, "{sequences} sequences, {operations} operations done, {idle} with nothing to do")?;
        for (name, Kind { accepted, refused }) in self.kinds() {
            let share = (100 * accepted).checked_div(accepted + refused).unwrap_or(0);
            writeln!(f, "  {name:<20} {accepted:>9} accepted {refused:>9} refused  {share:>3} %")?;
        }
        for landmark in LANDMARKS {
            writeln!(f, "  {landmark:<48} {:>9}", self.reached(landmark))?;
        }
        for rejection in Rejection::ALL {
            writeln!(f, "  {:<28} {:>9}", rejection.name(), self.rejections(*rejection))?;
        }
        let others = self.refusals.keys().map(|(_, refusal)| *refusal);
        let others: HashSet<_> = others.filter(|refusal| !matches!(refusal, Refusal::Rule(_))).collect();
        let named = others.into_iter().map(|other| (format!("{other:?}"), self.refused_for(other)));
        let mut named: Vec<_> = named.collect();
        named.sort();
        named.iter().try_for_each(|(refusal, count)| writeln!(f, "  {refusal:<28} {count:>9}"))
    }
}
