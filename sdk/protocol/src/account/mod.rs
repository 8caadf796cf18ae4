//! The program's accounts as bytes. The program's own structs are pinned to the offsets here by
//! compile-time assertions, so that a client which reads by offset and the program can't disagree.

mod channel;
mod delegation;
mod token;

use core::fmt;

pub use channel::{ChannelAccount, offset};
pub use delegation::{DelegationAccount, delegation_offset};
pub use token::{TokenHolding, mint_decimals};

/// Why account data is not what it was taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountError {
    /// The data is too short, or not of this account's length.
    Length,
    /// The first eight bytes are not this account's discriminator.
    Discriminator,
    /// A version this crate does not know.
    Version(u8),
    /// A field holds what the program never writes.
    Field(&'static str),
}

impl fmt::Display for AccountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length => f.write_str("the account data has the wrong length"),
            Self::Discriminator => f.write_str("the account is of another kind"),
            Self::Version(version) => write!(f, "the account has the unknown version {version}"),
            Self::Field(name) => write!(f, "the account's {name} is out of range"),
        }
    }
}

impl core::error::Error for AccountError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_says_what_is_wrong() {
        assert_eq!(AccountError::Length.to_string(), "the account data has the wrong length");
        assert_eq!(AccountError::Discriminator.to_string(), "the account is of another kind");
        assert_eq!(AccountError::Version(7).to_string(), "the account has the unknown version 7");
        assert_eq!(AccountError::Field("mint").to_string(), "the account's mint is out of range");
    }
}
