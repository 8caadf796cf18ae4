//! What the ed25519 instruction just before says.

use amp_protocol::rejection::Rejection;

use super::refusal::require;
use super::{Context, Model, Refusal, Refused, Rule};
use crate::cast::Person;
use crate::place::{ChannelId, Place};
use crate::transaction::{Message, Part, Piece, Proof, Shape};

/// Which kind of message is wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Credential,
    CloseStatement,
}

/// Whose message, about which channel, signed in which epoch, is wanted.
pub(super) struct Binding {
    pub(super) channel: Place,
    pub(super) signer: Person,
    pub(super) epoch: u64,
}

impl Model {
    /// What the precompile makes of a proof.
    pub(super) fn verify(&self, context: &Context, proof: &Proof) -> Result<(), Refused> {
        let verifies = match proof.shape {
            Shape::Forged => false,
            // what it points at is there only if the first instruction shows the same
            Shape::InFirst(piece) => matches!(
                context.transaction.parts.first(),
                Some(Part::Proof(first)) if shows(first, piece, proof)
            ),
            _ => true,
        };
        if verifies { Ok(()) } else { Err(Refusal::Precompile.into()) }
    }

    /// The seq or the amount of the message just before, if it is of the kind and bound as it must be.
    pub(super) fn message_before(
        &self,
        context: &Context,
        kind: Kind,
        binding: &Binding,
    ) -> Result<u64, Refused> {
        let before = context.at.checked_sub(1).and_then(|at| context.transaction.parts.get(at));
        let proof = match before {
            None => return Err(Rejection::PrecompileMissing.into()),
            Some(Part::Proof(proof)) => proof,
            Some(_) => return Err(Rejection::PrecompileOtherProgram.into()),
        };
        well_formed(proof.shape)?;
        let (channel, epoch, value) = read(proof.signed, kind)?;
        require(
            Place::Channel(channel) == binding.channel || !self.keeps(Rule::MessageChannel),
            Rejection::MessageChannel,
        )?;
        require(
            proof.signer == binding.signer || !self.keeps(Rule::MessageSigner),
            Rejection::MessageSigner,
        )?;
        require(epoch == binding.epoch || !self.keeps(Rule::Epoch), Rejection::MessageEpoch)?;
        Ok(value)
    }
}

/// Whether a piece of `proof` stands in `first`, too, where the protocol wants it.
fn shows(first: &Proof, piece: Piece, proof: &Proof) -> bool {
    let is_same = match piece {
        Piece::Key => first.signer == proof.signer,
        Piece::Message => first.signed == proof.signed,
        Piece::Signature => first.signer == proof.signer && first.signed == proof.signed,
    };
    let is_there = match first.shape {
        Shape::Canonical | Shape::Trailing | Shape::OwnIndex => true,
        Shape::Forged => piece != Piece::Signature,
        Shape::Behind(lie) | Shape::InFirst(lie) => piece != lie,
        Shape::NoSignature | Shape::TwoSignatures => false,
    };
    is_same && is_there
}

fn well_formed(shape: Shape) -> Result<(), Refused> {
    match shape {
        Shape::Canonical | Shape::Forged => Ok(()),
        Shape::NoSignature | Shape::Trailing => Err(Rejection::PrecompileLength.into()),
        Shape::TwoSignatures => Err(Rejection::PrecompileSignatureCount.into()),
        Shape::OwnIndex | Shape::InFirst(_) => Err(Rejection::PrecompileInstructionIndex.into()),
        Shape::Behind(Piece::Signature | Piece::Key | Piece::Message) => {
            Err(Rejection::PrecompileOffset.into())
        }
    }
}

fn read(message: Message, wanted: Kind) -> Result<(ChannelId, u64, u64), Refused> {
    match (message, wanted) {
        (Message::Credential { channel, epoch, seq }, Kind::Credential) => Ok((channel, epoch, seq)),
        (Message::CloseStatement { channel, opened_slot, owed_total }, Kind::CloseStatement) => {
            Ok((channel, opened_slot, owed_total))
        }
        (Message::Short { .. } | Message::MeteringProof { .. }, _) => Err(Rejection::MessageLength.into()),
        _ => Err(Rejection::MessageKind.into()),
    }
}
