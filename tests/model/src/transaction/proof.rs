use crate::cast::Person;
use crate::place::ChannelId;

/// Something signed, and how the precompile is shown it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Whose key signed.
    pub signer: Person,
    /// What it signed.
    pub signed: Message,
    /// How it is laid out.
    pub shape: Shape,
}

/// Bytes that are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// A credential.
    Credential {
        /// The channel named in it.
        channel: ChannelId,
        /// The epoch named in it.
        epoch: u64,
        /// Its seq.
        seq: u64,
    },
    /// A close statement.
    CloseStatement {
        /// The channel named in it.
        channel: ChannelId,
        /// The opening named in it.
        opened_slot: u64,
        /// What is owed in all.
        owed_total: u64,
    },
    /// A metering proof that says the most one could.
    MeteringProof {
        /// The channel named in it.
        channel: ChannelId,
        /// The epoch named in it.
        epoch: u64,
    },
    /// A credential, a byte short.
    Short {
        /// The channel named in it.
        channel: ChannelId,
        /// The epoch named in it.
        epoch: u64,
    },
}

/// How the precompile's instruction is laid out. All but `Forged` satisfy the precompile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// As the protocol wants it.
    Canonical,
    /// The signature has a bit turned.
    Forged,
    /// The instruction holds no signature at all.
    NoSignature,
    /// It holds the same signature twice.
    TwoSignatures,
    /// It is followed by a byte.
    Trailing,
    /// One of its parts stands behind the message, and a lie where it belongs.
    Behind(Piece),
    /// One of its parts is read from the transaction's first instruction, and a lie stands where it belongs.
    InFirst(Piece),
    /// It names its own index instead of 0xFFFF.
    OwnIndex,
}

/// A part of what the precompile verifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// The signature.
    Signature,
    /// The public key.
    Key,
    /// The message.
    Message,
}

impl Shape {
    /// Signatures that are paid for.
    pub fn signatures(self) -> u64 {
        match self {
            Self::NoSignature => 0,
            Self::TwoSignatures => 2,
            _ => 1,
        }
    }
}
