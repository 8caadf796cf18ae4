//! Looks for a sequence in which model and bytecode differ, and for the smallest like it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;

use proptest::strategy::BoxedStrategy;

use crate::generate;
use crate::model::Rule;
use crate::sequence::Sequence;
use crate::shrink::shrink;
use crate::tally::Tally;
use crate::trial::{Divergence, Stage, TROUPES, run};

/// A search: numbered sequences of a seed, and the stages they run on, set once each.
pub struct Search {
    seed: u64,
    strategy: BoxedStrategy<Sequence>,
    stages: RefCell<HashMap<u8, Rc<Stage>>>,
}

/// Where a sequence comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The run with this seed, and its number there.
    Run {
        /// The seed.
        seed: u64,
        /// The number.
        at: u64,
    },
    /// The regression of this name.
    Kept(String),
}

/// A sequence that ends in a difference, and is as short as could be found.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Where the sequence comes from.
    pub origin: Origin,
    /// The sequence.
    pub sequence: Sequence,
    /// How it ends.
    pub divergence: Divergence,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::Run { seed, at } => {
                writeln!(f, "model and program differ: sequence {at} of seed {seed}, shortened to")?;
            }
            Origin::Kept(name) => writeln!(f, "model and program differ again: {name}")?,
        }
        writeln!(f, "{}\n{}", self.sequence, self.divergence)?;
        let json = serde_json::to_string(&self.sequence).unwrap_or_default();
        writeln!(f, "as a regression (tests/model/regressions/<name>.json):\n{json}")
    }
}

/// Says which sequence it was, should model or harness panic in it.
struct Named(u64, u64);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("in sequence {} of seed {}", self.1, self.0);
        }
    }
}

impl Search {
    /// A search for differences.
    pub fn new(seed: u64) -> Self {
        Self { seed, strategy: generate::sequences(), stages: RefCell::default() }
    }

    /// Runs a sequence. A model that forgets a rule is for tests of the search itself.
    ///
    /// # Errors
    /// The position of the step at which model and program differ, and how.
    pub fn run(
        &self,
        sequence: &Sequence,
        forgets: Option<Rule>,
        tally: &mut Tally,
    ) -> Result<(), (usize, Divergence)> {
        let troupe = sequence.setting.troupe % TROUPES;
        let stage =
            Rc::clone(self.stages.borrow_mut().entry(troupe).or_insert_with(|| Rc::new(Stage::set(troupe))));
        run(&stage, sequence.setting, &sequence.operations, forgets, tally)
    }

    /// A numbered sequence, whole.
    pub fn sequence(&self, at: u64) -> Sequence {
        generate::numbered(&self.strategy, self.seed, at)
    }

    /// Runs a numbered sequence.
    ///
    /// # Errors
    /// Where it fails, its shortest like.
    pub fn attempt(&self, at: u64, forgets: Option<Rule>, tally: &mut Tally) -> Result<(), Box<Failure>> {
        let _named = Named(self.seed, at);
        let mut sequence = self.sequence(at);
        let Err((step, divergence)) = self.run(&sequence, forgets, tally) else { return Ok(()) };
        let kind = divergence.kind();
        // a smaller sequence fails no later than the smallest so far
        let latest = Cell::new(step);
        let fails = |sequence: &Sequence| {
            let mut begun = sequence.clone();
            begun.operations.truncate(latest.get() + 1);
            match self.run(&begun, forgets, &mut Tally::default()) {
                Err((step, divergence)) if divergence.kind() == kind => {
                    latest.set(step);
                    true
                }
                _ => false,
            }
        };
        sequence.operations.truncate(step + 1);
        let sequence = shrink(sequence, fails);
        match self.run(&sequence, forgets, &mut Tally::default()) {
            Err((last, divergence)) => {
                debug_assert_eq!(last + 1, sequence.operations.len(), "what comes after was left out");
                Err(Box::new(Failure { origin: Origin::Run { seed: self.seed, at }, sequence, divergence }))
            }
            Ok(()) => unreachable!("it failed when it was shortened"),
        }
    }
}
