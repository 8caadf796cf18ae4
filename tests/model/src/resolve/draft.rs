use crate::transaction::{Call, Part, Proof, Transaction};

/// A transaction in the making: one call, after what proves it.
pub(super) struct Draft {
    pub(super) call: Call,
    pub(super) proof: Option<Proof>,
    /// Stands before the proof.
    pub(super) before: Option<Part>,
    /// Stands between proof and call.
    pub(super) between: Option<Part>,
    pub(super) unsigned: Option<usize>,
}

impl Draft {
    pub(super) fn of(call: Call) -> Self {
        Self { call, proof: None, before: None, between: None, unsigned: None }
    }

    pub(super) fn proven(call: Call, proof: Proof) -> Self {
        Self { proof: Some(proof), ..Self::of(call) }
    }

    pub(super) fn transaction(self) -> Transaction {
        let call = Part::Call { call: self.call, unsigned: self.unsigned };
        let parts = [self.before, self.proof.map(Part::Proof), self.between, Some(call)];
        Transaction { parts: parts.into_iter().flatten().collect() }
    }
}
