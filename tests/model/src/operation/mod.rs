//! What people do, in small numbers that mean something whatever the state: the third channel of those there
//! are, half of what may be claimed. So a sequence that loses a step still makes sense, and shrinks.
//!
//! Numbers below [`ANY`] choose among the channels and delegations with which the thing can be done; others
//! among all.

mod amounts;
mod twist;

use serde::{Deserialize, Serialize};

pub use amounts::{Amount, Edge, Expiry, Limit, Owed, Seq, Stated, TermsChoice};
pub use twist::{EpochTwist, Instead, ProofTwist, ShapeTwist, TermsTwist, Twist};

/// The first of the numbers that choose among all channels or delegations there are.
pub const ANY: u8 = 4;

/// One thing that somebody does, or time passing. People are counted as they stand in the cast.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields are the instructions' arguments")]
pub enum Operation {
    /// Time passes.
    Wait(Wait),
    /// A channel is opened at an address where there is none: an even `address` is one where there was.
    Open {
        address: u8,
        signer: u8,
        rent_payer: u8,
        mint: u8,
        deposit: Amount,
        terms: TermsChoice,
        twist: Option<Twist>,
    },
    /// Somebody adds to a deposit: the funder, the other one, or a stranger.
    TopUp { channel: u8, by: u8, amount: Amount, twist: Option<Twist> },
    /// A service collects.
    Settle { signer: Signing, owed: Owed, seq: Seq, when: When, twist: Option<Twist> },
    /// A funder asks to close.
    RequestClose { channel: u8, twist: Option<Twist> },
    /// Somebody closes.
    Close { channel: u8, by: Closer, when: When, twist: Option<Twist> },
    /// A funder delegates, or changes a delegation.
    SetDelegate {
        channel: u8,
        delegate: u8,
        limit: Limit,
        expiry: Expiry,
        rent_payer: u8,
        twist: Option<Twist>,
    },
    /// A funder revokes a delegation.
    Revoke { delegation: u8, twist: Option<Twist> },
    /// Somebody tidies a delegation up.
    CloseDelegation { delegation: u8, when: When, twist: Option<Twist> },
    /// A service pays its supplier.
    Chain {
        signer: Signing,
        owed: Owed,
        seq: Seq,
        when: When,
        service: u8,
        nonce: u8,
        rent_payer: u8,
        terms: TermsChoice,
        twist: Option<Twist>,
    },
    /// A stranger gives tokens to a vault, past the books.
    Donate { channel: u8, amount: Amount },
    /// A stranger sends lamports to where something is, or may be one day.
    SendAhead { to: Target, lamports: u8 },
    /// Several at once, in one transaction.
    Together(Vec<Operation>),
}

impl Operation {
    /// The kinds there are.
    pub const KINDS: [&'static str; 13] = [
        "wait",
        "open",
        "top up",
        "settle",
        "settle (delegate)",
        "request close",
        "close",
        "set delegate",
        "revoke",
        "close delegation",
        "chain",
        "donate",
        "send ahead",
    ];

    /// Which kind this is: its position in [`Self::KINDS`], or `None` for several at once.
    pub fn kind(&self) -> Option<usize> {
        Some(match self {
            Self::Wait(_) => 0,
            Self::Open { .. } => 1,
            Self::TopUp { .. } => 2,
            Self::Settle { signer: Signing::Authorized(_), .. } => 3,
            Self::Settle { signer: Signing::Delegate(_), .. } => 4,
            Self::RequestClose { .. } => 5,
            Self::Close { .. } => 6,
            Self::SetDelegate { .. } => 7,
            Self::Revoke { .. } => 8,
            Self::CloseDelegation { .. } => 9,
            Self::Chain { .. } => 10,
            Self::Donate { .. } => 11,
            Self::SendAhead { .. } => 12,
            Self::Together(_) => return None,
        })
    }
}

/// How time passes. Slots and seconds are apart: several slots share a second, and a slot can be long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wait {
    /// Slots, and no second.
    Slots(u8),
    /// Seconds, and no slot.
    Seconds(u32),
    /// Until something happens, or a second around it, and so many slots.
    Until {
        /// What.
        moment: Moment,
        /// Seconds after it, or before.
        offset: i8,
        /// Slots.
        slots: u8,
    },
}

/// When something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum When {
    /// Now.
    Now,
    /// As soon as it may be done, and a slot later.
    Due,
    /// A second before that.
    JustBefore,
}

/// Something that happens by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Moment {
    /// A channel's next window begins.
    NextWindow(u8),
    /// A delegation ends.
    DelegateEnds(u8),
    /// The last second of a delegation's grace.
    DelegateOver(u8),
}

/// Whose credential is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Signing {
    /// A channel's authorized signer's.
    Authorized(u8),
    /// A delegate's: its delegation says on which channel.
    Delegate(u8),
}

/// Who closes a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Closer {
    /// The recipient.
    Recipient,
    /// The funder, with the recipient's statement.
    Stated(Stated),
    /// The funder, without.
    Funder,
    /// Anybody else.
    Stranger,
}

/// Where lamports are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// The address of a channel, as `Open` counts them.
    Channel(u8),
    /// The address of its vault.
    Vault(u8),
    /// A live channel's vault.
    LiveVault(u8),
    /// The address of a delegation of a live channel.
    Delegation(u8, u8),
}
