//! A transaction in the model's words: who asks for what, naming which accounts, after which proofs.

mod book;
mod call;
mod compile;
mod precompile;
mod proof;
mod slots;

use std::collections::BTreeSet;
use std::fmt;

pub use book::AddressBook;
pub use call::{
    Call, ChainChannel, CloseChannel, CloseDelegation, MoveTokens, OpenChannel, RequestClose, RevokeDelegate,
    SendLamports, SetDelegate, Settle, Terms, TopUp,
};
pub use proof::{Message, Piece, Proof, Shape};
pub use slots::Slots;

use crate::cast::Person;

/// What is sent: the parts are executed in order, all or none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transaction {
    /// Its instructions.
    pub parts: Vec<Part>,
}

/// An instruction of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// The ed25519 precompile over something signed.
    Proof(Proof),
    /// Something is asked for.
    Call {
        /// What.
        call: Call,
        /// The position among [`Call::signers`] of one who does not sign.
        unsigned: Option<usize>,
    },
    /// Another program's instruction that changes nothing: the fee payer pays itself.
    Interlude,
}

impl Part {
    /// A call that everybody signs who must.
    pub fn call(call: Call) -> Self {
        Self::Call { call, unsigned: None }
    }
}

impl Transaction {
    /// Whose signatures it carries.
    pub fn signers(&self) -> BTreeSet<Person> {
        let mut signers = BTreeSet::from([Person::FeePayer]);
        for part in &self.parts {
            if let Part::Call { call, unsigned } = part {
                let signing = call.signers().into_iter().enumerate();
                signers.extend(signing.filter(|(at, _)| Some(*at) != *unsigned).map(|(_, person)| person));
            }
        }
        signers
    }

    /// Lamports that it costs, executed or refused: 5,000 a signature, those in its proofs included.
    pub fn fee(&self) -> u64 {
        let proofs = self.parts.iter().map(|part| match part {
            Part::Proof(proof) => proof.shape.signatures(),
            _ => 0,
        });
        5_000 * (self.signers().len() as u64 + proofs.sum::<u64>())
    }
}

impl fmt::Display for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, part) in self.parts.iter().enumerate() {
            if at > 0 {
                f.write_str("; ")?;
            }
            match part {
                Part::Proof(proof) => write!(f, "{proof:?}")?,
                Part::Call { call, unsigned: None } => write!(f, "{call:?}")?,
                Part::Call { call, unsigned: Some(at) } => write!(f, "{call:?} without signature {at}")?,
                Part::Interlude => f.write_str("Interlude")?,
            }
        }
        Ok(())
    }
}
