//! What an error is called in the protocol.

use amp_protocol::code::Code;
use amp_protocol::rejection::Rejection;

use super::ClientError;

impl ClientError {
    /// The AMP code that this error has on every transport, whichever side found it: the service's
    /// refusal, or what this side saw for itself.
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Refused { body, .. } => Some(body.error),
            Self::BadProof { .. } => Some(Code::InvalidProof),
            Self::NoChannel { .. } | Self::NotOpened { .. } | Self::NoChannelNamed { .. } => {
                Some(Code::NoChannel)
            }
            Self::ClosedByService { .. } => Some(Code::Closed),
            Self::NeedsTopUp { .. } | Self::InsufficientFunds { .. } | Self::LimitReached { .. } => {
                Some(Code::Underfunded)
            }
            Self::FunderMustTopUp { code, .. } => Some(*code),
            Self::NotDelegated { reason, .. } => Some(reason.code()),
            Self::Chain(error) => match error.rejection()? {
                Rejection::SettleEarly => Some(Code::SettleEarly),
                Rejection::RateExceeded => Some(Code::RateExceeded),
                _ => None,
            },
            _ => None,
        }
    }
}
