use super::{Draft, any_channel, pick};
use crate::cast::Person;
use crate::model::Model;
use crate::operation::{EpochTwist, ProofTwist, ShapeTwist};
use crate::place::ChannelId;
use crate::transaction::{Message, Part, Piece, Proof, Shape};

impl Draft {
    /// The same, with something wrong with its proof; a call that needs none gets one for nothing.
    pub(super) fn with_proof_twisted(mut self, model: &Model, twist: ProofTwist) -> Self {
        let Some(proof) = &mut self.proof else { return self };
        match twist {
            ProofTwist::Missing => self.proof = None,
            ProofTwist::NotAdjacent => self.between = Some(Part::Interlude),
            ProofTwist::By(at) => proof.signer = pick(&Person::ALL, at),
            ProofTwist::AnotherChannel(at) => {
                if let Some(another) = any_channel(model, at) {
                    *channel_of(&mut proof.signed) = another.id;
                }
            }
            ProofTwist::Epoch(twist) => another_epoch(model, proof, twist),
            ProofTwist::OtherKind => proof.signed = other_kind(proof.signed),
            ProofTwist::MeteringProof => {
                let (channel, epoch) = about(proof.signed);
                proof.signed = Message::MeteringProof { channel, epoch };
            }
            ProofTwist::Short => {
                let (channel, epoch) = about(proof.signed);
                proof.signed = Message::Short { channel, epoch };
            }
            ProofTwist::Shape(twist) => {
                if matches!(
                    twist,
                    ShapeTwist::SignatureInFirst | ShapeTwist::KeyInFirst | ShapeTwist::MessageInFirst
                ) {
                    self.before = Some(Part::Proof(proof.clone()));
                }
                proof.shape = shape(twist);
            }
        }
        self
    }
}

fn shape(twist: ShapeTwist) -> Shape {
    match twist {
        ShapeTwist::Forged => Shape::Forged,
        ShapeTwist::NoSignature => Shape::NoSignature,
        ShapeTwist::TwoSignatures => Shape::TwoSignatures,
        ShapeTwist::Trailing => Shape::Trailing,
        ShapeTwist::OwnIndex => Shape::OwnIndex,
        ShapeTwist::SignatureBehind => Shape::Behind(Piece::Signature),
        ShapeTwist::KeyBehind => Shape::Behind(Piece::Key),
        ShapeTwist::MessageBehind => Shape::Behind(Piece::Message),
        ShapeTwist::SignatureInFirst => Shape::InFirst(Piece::Signature),
        ShapeTwist::KeyInFirst => Shape::InFirst(Piece::Key),
        ShapeTwist::MessageInFirst => Shape::InFirst(Piece::Message),
    }
}

fn about(message: Message) -> (ChannelId, u64) {
    match message {
        Message::Credential { channel, epoch, .. }
        | Message::CloseStatement { channel, opened_slot: epoch, .. }
        | Message::MeteringProof { channel, epoch }
        | Message::Short { channel, epoch } => (channel, epoch),
    }
}

fn channel_of(message: &mut Message) -> &mut ChannelId {
    match message {
        Message::Credential { channel, .. }
        | Message::CloseStatement { channel, .. }
        | Message::MeteringProof { channel, .. }
        | Message::Short { channel, .. } => channel,
    }
}

fn epoch_of(message: &mut Message) -> &mut u64 {
    match message {
        Message::Credential { epoch, .. }
        | Message::CloseStatement { opened_slot: epoch, .. }
        | Message::MeteringProof { epoch, .. }
        | Message::Short { epoch, .. } => epoch,
    }
}

/// A credential as a statement, and the other way round, with the same numbers.
fn other_kind(message: Message) -> Message {
    match message {
        Message::Credential { channel, epoch, seq } => {
            Message::CloseStatement { channel, opened_slot: epoch, owed_total: seq }
        }
        Message::CloseStatement { channel, opened_slot, owed_total } => {
            Message::Credential { channel, epoch: opened_slot, seq: owed_total }
        }
        other => other,
    }
}

fn another_epoch(model: &Model, proof: &mut Proof, twist: EpochTwist) {
    let (id, epoch) = about(proof.signed);
    match twist {
        EpochTwist::Before => *epoch_of(&mut proof.signed) = epoch.saturating_sub(1),
        EpochTwist::After => *epoch_of(&mut proof.signed) = epoch + 1,
        EpochTwist::Opening => {
            if let Some(channel) = model.channels.get(&id) {
                *epoch_of(&mut proof.signed) = channel.opened.slot;
            }
        }
        EpochTwist::Replay => {
            let its = |(authority, _): &(&crate::model::Authority, u64)| {
                authority.channel == id && authority.signer == proof.signer && authority.epoch != epoch
            };
            if let Some((authority, seq)) = model.ledger.signed().filter(its).last() {
                proof.signed = Message::Credential { channel: id, epoch: authority.epoch, seq };
            }
        }
    }
}
