//! The three signed messages, as exact bytes. Integers are little-endian.
//!
//! Each begins with `"AMP"` and a kind byte, so that a signature over one can never be presented as
//! another, and 'A' (65) can't begin a Solana transaction message. Each names the channel and the
//! slot its signing authority was created in (the epoch): a signature dies with the incarnation of
//! the address it was made for.

mod close_statement;
mod credential;
mod metering_proof;

use core::fmt;

pub use close_statement::CloseStatement;
pub use credential::Credential;
pub use metering_proof::MeteringProof;

/// First bytes of every signed message.
pub const PREFIX: [u8; 3] = *b"AMP";

/// A public key or address: 32 bytes.
pub type Key = [u8; 32];

/// Why bytes are not the message they were taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageError {
    /// The length is not the message's.
    Length,
    /// The first four bytes are not `"AMP"` and the message's kind.
    Kind,
}

impl fmt::Display for MessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Length => "the message has the wrong length",
            Self::Kind => "the message is of another kind",
        })
    }
}

impl core::error::Error for MessageError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_says_what_is_wrong() {
        assert_eq!(MessageError::Length.to_string(), "the message has the wrong length");
        assert_eq!(MessageError::Kind.to_string(), "the message is of another kind");
    }
}
