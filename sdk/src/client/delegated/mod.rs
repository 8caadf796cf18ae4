//! The agent's side of a delegation: it pays from a funder's channel with a key of its own, and has
//! neither tokens nor lamports. It looks at the chain, and never sends a transaction.
//!
//! What it was given it reads there: the limit and the slot in which the delegation was created, the
//! epoch of its credentials. A delegation made anew has another epoch, so it gets books of its own.

mod channel;
mod look;

use amp_protocol::code::Code;

/// Why a delegate can't spend from a channel. Each says what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undelegated {
    /// The address holds no channel.
    #[error("there is no such channel; ask for the address of one that is open, and call `use_channel`")]
    NoChannel,
    /// The funder has asked to close it.
    #[error("it is closing; its funder can open another and delegate from that")]
    Closing,
    /// The service has stopped serving it, and the chain shows it open.
    #[error("the service serves it no more, though it is open; its funder can close it and open another")]
    NotServed,
    /// There is no delegation.
    #[error("it is not delegated to this key; its funder can do so with `delegate`")]
    Missing,
    /// The delegation is left over from an earlier incarnation of the channel.
    #[error("the delegation was made before the channel was opened anew; its funder can `delegate` again")]
    EarlierChannel,
    /// The funder has revoked it.
    #[error("the delegation was revoked at unix time {at}; its funder can delegate to another key")]
    Revoked {
        /// Unix seconds.
        at: i64,
    },
    /// It has expired.
    #[error(
        "the delegation expired at unix time {at}; its funder can give it a later expiry with `delegate`"
    )]
    Expired {
        /// Unix seconds.
        at: i64,
    },
}

impl Undelegated {
    /// The code with which a service refuses such a credential.
    pub const fn code(self) -> Code {
        match self {
            Self::NoChannel => Code::NoChannel,
            Self::Closing | Self::NotServed => Code::Closed,
            // the key is not one that the channel honours
            Self::Missing | Self::EarlierChannel | Self::Revoked { .. } | Self::Expired { .. } => {
                Code::InvalidSig
            }
        }
    }
}
