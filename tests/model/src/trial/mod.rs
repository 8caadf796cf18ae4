//! A sequence of operations, done to the model and to the bytecode, and held against each other.

mod compare;
mod divergence;
mod imagine;
mod landmarks;
mod stage;

use amp_embedded::EmbeddedChain;

pub use divergence::{Divergence, Found};
pub use imagine::imagine;
pub use landmarks::LANDMARKS;
pub use stage::{Setting, Stage, TROUPES, Time};

use crate::model::{Clock, Model, Refused, Rule};
use crate::operation::Operation;
use crate::resolve::{Step, resolve};
use crate::tally::Tally;
use crate::transaction::Transaction;

/// A sequence under way.
pub struct Trial<'a> {
    stage: &'a Stage,
    chain: EmbeddedChain,
    model: Model,
    /// Lamports on chain at the beginning.
    lamports: u128,
}

impl<'a> Trial<'a> {
    /// Begins a sequence on a stage. A model that forgets a rule is for tests of the trial itself.
    pub fn begin(stage: &'a Stage, setting: Setting, forgets: Option<Rule>) -> Self {
        let chain = stage.fork(setting);
        let model = Model::new(setting.clock());
        let model = match forgets {
            Some(rule) => model.forgetting(rule),
            None => model,
        };
        let lamports = chain.lamports_in_all();
        Self { stage, chain, model, lamports }
    }

    /// Does one operation on both sides, notes it in the tally, and compares.
    pub fn step(&mut self, operation: &Operation, tally: &mut Tally) -> Result<(), Divergence> {
        match resolve(operation, &self.model) {
            Step::Nothing => tally.idle(),
            Step::Pass(clock) => {
                self.pass(clock);
                tally.note(operation, &Ok(()));
            }
            Step::Send(clock, transaction) => {
                self.pass(clock);
                self.send(operation, &transaction, tally)?;
            }
        }
        Ok(())
    }

    fn pass(&mut self, clock: Clock) {
        if clock != self.model.clock {
            self.chain.advance_slots(clock.slot - self.model.clock.slot);
            self.chain.set_unix_timestamp(clock.time);
            self.model.clock = clock;
        }
    }

    fn send(
        &mut self,
        operation: &Operation,
        transaction: &Transaction,
        tally: &mut Tally,
    ) -> Result<(), Divergence> {
        let diverges = |found| Divergence::of(operation, transaction, found);
        // several things at once may be more than a packet holds
        let Some(observed) = self.observe(transaction) else {
            tally.idle();
            return Ok(());
        };
        let before = self.model.clone();
        let expected = self.model.execute(transaction);
        if !agree(&expected, &observed) {
            return Err(diverges(Found::Outcome { expected, observed }));
        }
        tally.note(operation, &observed.as_ref().map(drop).map_err(|refusal| refusal.0));
        if observed.is_ok() {
            landmarks::reached(&before, transaction, &self.model).for_each(|name| tally.reach(name));
        }
        self.model.check().map_err(|broken| diverges(Found::Invariant(broken)))?;
        let signers = transaction.signers();
        self.model.check_against(&before, &signers).map_err(|broken| diverges(Found::Invariant(broken)))?;
        self.compare().map_err(|differences| diverges(Found::State(differences)))
    }
}

/// What the chain made of a transaction: a refusal comes with the words it was refused in.
type Observed = Result<(), (crate::model::Refusal, String)>;

fn agree(expected: &Result<(), Refused>, observed: &Observed) -> bool {
    match (expected, observed) {
        (Ok(()), Ok(())) => true,
        (Err(expected), Err((found, _))) => expected.admits(*found),
        _ => false,
    }
}

/// Runs a sequence to its end, or to the first step at which the two sides differ.
pub fn run(
    stage: &Stage,
    setting: Setting,
    operations: &[Operation],
    forgets: Option<Rule>,
    tally: &mut Tally,
) -> Result<(), (usize, Divergence)> {
    let mut trial = Trial::begin(stage, setting, forgets);
    for (at, operation) in operations.iter().enumerate() {
        trial.step(operation, tally).map_err(|divergence| (at, divergence))?;
    }
    tally.sequence();
    Ok(())
}
