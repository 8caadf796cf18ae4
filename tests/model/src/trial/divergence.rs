use std::fmt;

use super::Observed;
use crate::model::{Broken, Refused};
use crate::operation::Operation;
use crate::transaction::Transaction;

/// A step at which model and bytecode differ, or the model differs from what must hold.
#[derive(Clone, Debug)]
pub struct Divergence {
    /// What was done.
    pub operation: Operation,
    /// The transaction that came of it.
    pub transaction: Transaction,
    /// How they differ.
    pub found: Found,
}

/// How model and bytecode differ.
#[derive(Clone, Debug)]
pub enum Found {
    /// One refused, or for another reason.
    Outcome {
        /// The model's.
        expected: Result<(), Refused>,
        /// The bytecode's.
        observed: Observed,
    },
    /// Accounts that are not what the model says.
    State(Vec<String>),
    /// What must hold does not.
    Invariant(Broken),
}

impl Divergence {
    pub(super) fn of(operation: &Operation, transaction: &Transaction, found: Found) -> Self {
        Self { operation: operation.clone(), transaction: transaction.clone(), found }
    }

    /// Says what kind of difference this is: shrinking must not wander from one to another.
    pub fn kind(&self) -> &'static str {
        match &self.found {
            Found::Outcome { expected: Ok(()), .. } => "refused",
            Found::Outcome { observed: Ok(()), .. } => "accepted",
            Found::Outcome { .. } => "another error",
            Found::State(_) => "state",
            Found::Invariant(broken) => broken.name,
        }
    }
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "operation:   {:?}", self.operation)?;
        writeln!(f, "transaction: {}", self.transaction)?;
        match &self.found {
            Found::Outcome { expected, observed } => {
                match expected {
                    Ok(()) => writeln!(f, "the model:   accepts")?,
                    Err(Refused(any)) => writeln!(f, "the model:   refuses, {any:?}")?,
                }
                match observed {
                    Ok(()) => writeln!(f, "the program: accepts"),
                    Err((found, words)) => writeln!(f, "the program: refuses, {found:?}\n{words}"),
                }
            }
            Found::State(differences) => differences.iter().try_for_each(|line| writeln!(f, "{line}")),
            Found::Invariant(broken) => writeln!(f, "does not hold: {broken}"),
        }
    }
}
