//! The nine error codes that a service answers with, the same on every transport.

use core::fmt;
use core::str::FromStr;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $status:literal;)*) => {
        /// An AMP error code. Callers match on this, never on a message.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code {
            $($(#[$doc])* $name,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The code's name on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The HTTP status it is sent with.
            pub const fn http_status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }
        }
    };
}

codes! {
    /// No credential, or a channel the service does not know.
    NoChannel = "AMP_NO_CHANNEL", 402;
    /// Balance, delegate limit or ceiling is below the price.
    Underfunded = "AMP_UNDERFUNDED", 402;
    /// The channel is closed or closing.
    Closed = "AMP_CLOSED", 410;
    /// The request would pass the rate limit before the next settlement.
    RateExceeded = "AMP_RATE_EXCEEDED", 429;
    /// The seq was used before, is too old, or is no number.
    InvalidSeq = "AMP_INVALID_SEQ", 400;
    /// The signature does not verify, or its key has no say in this: its delegation was revoked or has
    /// expired, or it is a delegate's on a close.
    InvalidSig = "AMP_INVALID_SIG", 401;
    /// Settlement before the interval has passed.
    SettleEarly = "AMP_SETTLE_EARLY", 425;
    /// The deposit is below the service's minimum.
    DepositLow = "AMP_DEPOSIT_LOW", 400;
    /// A metering proof or close statement does not verify.
    InvalidProof = "AMP_INVALID_PROOF", 400;
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is none of the nine codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownCode;

impl fmt::Display for UnknownCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an AMP error code")
    }
}

impl core::error::Error for UnknownCode {}

impl FromStr for Code {
    type Err = UnknownCode;

    fn from_str(text: &str) -> Result<Self, UnknownCode> {
        Self::ALL.iter().copied().find(|code| code.as_str() == text).ok_or(UnknownCode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nine_codes_survive_the_wire() {
        assert_eq!(Code::ALL.len(), 9);
        for code in Code::ALL {
            assert_eq!(code.as_str().parse(), Ok(*code));
        }
        assert_eq!("AMP_WHATEVER".parse::<Code>(), Err(UnknownCode));
    }
}
