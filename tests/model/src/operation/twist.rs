use serde::{Deserialize, Serialize};

/// What is wrong with an operation. One that can't be done to its kind of operation is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Twist {
    /// A signature is missing: the first, or the second.
    Unsigned(u8),
    /// Somebody else asks.
    By(u8),
    /// The channel is another one.
    AnotherChannel(u8),
    /// The channel is not there.
    NoChannel,
    /// The channel is an account of the program that is none.
    DelegationAsChannel,
    /// The channel is somebody's token account.
    TokensAsChannel,
    /// The vault is another channel's.
    AnothersVault(u8),
    /// The vault is a token account of whoever asks.
    TokensAsVault,
    /// The mint is another.
    AnotherMint(u8),
    /// The token program is the other one.
    AnotherProgram,
    /// The token program is none.
    NoProgram,
    /// The instructions sysvar is an account of somebody's.
    NoInstructions,
    /// The instructions sysvar is left out.
    InstructionsLeftOut,
    /// The token account is another.
    Tokens(Instead),
    /// The token account for the payout is another.
    Payout(Instead),
    /// Lamports go to somebody else.
    RentToAnother(u8),
    /// The delegation is another channel's, or another one of this.
    AnotherDelegation(u8),
    /// The delegation is not given.
    DelegationLeftOut,
    /// A delegation is given that nobody needs.
    NeedlessDelegation(u8),
    /// The delegation is an account of the program that is none.
    ChannelAsDelegation,
    /// The delegation is not there.
    NoDelegation,
    /// The new channel's address is another's.
    AnotherAddress,
    /// The new vault's address is another's.
    AnotherVaultAddress,
    /// There is a channel at the address already.
    Occupied(u8),
    /// The funder pays itself.
    SelfPayment,
    /// The mint is one that is refused.
    RefusedMint,
    /// The delegate is the authorized signer.
    AuthorizedDelegate,
    /// The terms are out of bounds.
    Terms(TermsTwist),
    /// Something is wrong with the proof.
    Proof(ProofTwist),
}

/// Which token account is named instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Instead {
    /// Somebody else's.
    Of(u8),
    /// The same person's, not the associated one.
    Other,
    /// The same person's, of another mint.
    OfMint(u8),
    /// One that is none.
    None,
    /// A vault.
    Vault(u8),
}

/// Terms out of bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TermsTwist {
    /// Nothing a step.
    NoPrice,
    /// Nothing a window.
    NoRate,
    /// No interval.
    NoInterval,
    /// An interval of a second more than 30 days.
    LongInterval,
    /// A grace of a second more than 30 days.
    LongGrace,
    /// A chain of four.
    Deep,
    /// As long as 32 bits hold.
    Longest,
}

/// What is wrong with a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProofTwist {
    /// There is none.
    Missing,
    /// Another instruction comes between.
    NotAdjacent,
    /// It is of somebody else.
    By(u8),
    /// It is about another channel.
    AnotherChannel(u8),
    /// It is about another epoch.
    Epoch(EpochTwist),
    /// It is the other kind of message.
    OtherKind,
    /// It is a metering proof.
    MeteringProof,
    /// It is a byte short.
    Short,
    /// Its bytes lie wrong.
    Shape(ShapeTwist),
}

/// Which epoch a message names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EpochTwist {
    /// A slot less.
    Before,
    /// A slot more.
    After,
    /// One in which the same key did sign for the same address, and the highest seq it signed.
    Replay,
    /// The channel's opening, where a delegate signed.
    Opening,
}

/// How the bytes lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "named after the shapes")]
pub enum ShapeTwist {
    Forged,
    NoSignature,
    TwoSignatures,
    Trailing,
    OwnIndex,
    SignatureBehind,
    KeyBehind,
    MessageBehind,
    SignatureInFirst,
    KeyInFirst,
    MessageInFirst,
}
