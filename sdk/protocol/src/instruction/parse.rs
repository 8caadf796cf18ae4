use core::fmt;

use super::{
    CHAIN_CHANNEL, CLOSE_CHANNEL, CLOSE_DELEGATION, ChainChannel, OPEN_CHANNEL, OpenChannel, REQUEST_CLOSE,
    REVOKE_DELEGATE, SET_DELEGATE, SETTLE, TOP_UP,
};
use crate::money::Amount;
use crate::rules::Terms;

/// What an instruction of the program asks for, read back from its data: for those who look at transactions.
/// The program itself reads its arguments by its framework.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// `open_channel`.
    OpenChannel(OpenChannel),
    /// `top_up`.
    TopUp {
        /// Base units to add.
        amount: Amount,
    },
    /// `settle`.
    Settle {
        /// Base units the signer owes in all.
        owed: Amount,
    },
    /// `request_close`.
    RequestClose,
    /// `close_channel`.
    CloseChannel,
    /// `set_delegate`.
    SetDelegate {
        /// Most base units that may ever be claimed.
        limit: Amount,
        /// Unix seconds; 0: never.
        expires_at: i64,
    },
    /// `revoke_delegate`.
    RevokeDelegate,
    /// `close_delegation`.
    CloseDelegation,
    /// `chain_channel`.
    ChainChannel(ChainChannel),
}

/// Why data is no instruction of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstructionError {
    /// It begins with no known discriminator.
    Unknown,
    /// Its arguments have another length.
    Length,
}

impl fmt::Display for InstructionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "no instruction of the AMP program",
            Self::Length => "the arguments have the wrong length",
        })
    }
}

impl core::error::Error for InstructionError {}

impl Parsed {
    /// Reads instruction data. Missing and trailing bytes are refused.
    pub fn parse(data: &[u8]) -> Result<Self, InstructionError> {
        let (discriminator, rest) = data.split_first_chunk::<8>().ok_or(InstructionError::Unknown)?;
        let mut reader = Reader { rest, short: false };
        let parsed = match *discriminator {
            OPEN_CHANNEL => Self::OpenChannel(OpenChannel {
                nonce: reader.u64(),
                deposit: reader.amount(),
                terms: reader.root_terms(),
            }),
            TOP_UP => Self::TopUp { amount: reader.amount() },
            SETTLE => Self::Settle { owed: reader.amount() },
            REQUEST_CLOSE => Self::RequestClose,
            CLOSE_CHANNEL => Self::CloseChannel,
            SET_DELEGATE => {
                Self::SetDelegate { limit: reader.amount(), expires_at: i64::from_le_bytes(reader.take()) }
            }
            REVOKE_DELEGATE => Self::RevokeDelegate,
            CLOSE_DELEGATION => Self::CloseDelegation,
            CHAIN_CHANNEL => Self::ChainChannel(ChainChannel {
                owed: reader.amount(),
                nonce: reader.u64(),
                terms: reader.terms(),
            }),
            _ => return Err(InstructionError::Unknown),
        };
        if reader.short || !reader.rest.is_empty() { Err(InstructionError::Length) } else { Ok(parsed) }
    }

    /// The instruction's name, as the program's IDL has it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::OpenChannel(_) => "open_channel",
            Self::TopUp { .. } => "top_up",
            Self::Settle { .. } => "settle",
            Self::RequestClose => "request_close",
            Self::CloseChannel => "close_channel",
            Self::SetDelegate { .. } => "set_delegate",
            Self::RevokeDelegate => "revoke_delegate",
            Self::CloseDelegation => "close_delegation",
            Self::ChainChannel(_) => "chain_channel",
        }
    }

    /// Names of the instruction's accounts, in their order.
    pub const fn account_names(&self) -> &'static [&'static str] {
        match self {
            Self::OpenChannel(_) => &[
                "funder",
                "rent_payer",
                "recipient",
                "authorized_signer",
                "mint",
                "channel",
                "vault",
                "funder_token",
                "token_program",
                "system_program",
            ],
            Self::TopUp { .. } => {
                &["token_owner", "channel", "vault", "mint", "source_token", "token_program"]
            }
            Self::Settle { .. } => &[
                "recipient",
                "channel",
                "vault",
                "mint",
                "recipient_token",
                "token_program",
                "instructions",
                "delegation",
            ],
            Self::RequestClose => &["funder", "channel"],
            Self::CloseChannel => &[
                "closer",
                "channel",
                "vault",
                "mint",
                "refund_token",
                "rent_payer",
                "token_program",
                "payout_token",
                "instructions",
            ],
            Self::SetDelegate { .. } => {
                &["funder", "rent_payer", "channel", "delegate", "delegation", "system_program"]
            }
            Self::RevokeDelegate => &["funder", "channel", "delegation"],
            Self::CloseDelegation => &["delegation", "channel", "rent_payer"],
            Self::ChainChannel(_) => &[
                "recipient",
                "rent_payer",
                "channel",
                "vault",
                "mint",
                "sub_service",
                "sub_channel",
                "sub_vault",
                "token_program",
                "system_program",
                "instructions",
                "delegation",
            ],
        }
    }
}

struct Reader<'a> {
    rest: &'a [u8],
    short: bool,
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        match self.rest.split_first_chunk::<N>() {
            Some((taken, rest)) => {
                self.rest = rest;
                *taken
            }
            None => {
                self.short = true;
                [0; N]
            }
        }
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }

    fn amount(&mut self) -> Amount {
        Amount::new(self.u64())
    }

    fn root_terms(&mut self) -> Terms {
        let terms = self.terms();
        let [max_chain_depth] = self.take();
        Terms { max_chain_depth, ..terms }
    }

    fn terms(&mut self) -> Terms {
        Terms {
            unit_price: self.u64(),
            rate_limit: self.u64(),
            settle_interval: u32::from_le_bytes(self.take()),
            close_grace: u32::from_le_bytes(self.take()),
            max_chain_depth: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{set_delegate, settle, top_up};
    use super::*;
    use proptest::prelude::*;

    const TERMS: Terms =
        Terms { unit_price: 3, rate_limit: 4, settle_interval: 5, close_grace: 6, max_chain_depth: 2 };

    #[test]
    fn what_was_written_is_read_back_and_no_other_length_is() {
        let open = OpenChannel { nonce: 1, deposit: Amount::new(2), terms: TERMS };
        let below = Terms { max_chain_depth: 0, ..TERMS };
        let chain = ChainChannel { owed: Amount::new(1), nonce: 2, terms: below };
        let (seven, nine) = (Amount::new(7), -9);
        for (data, expected) in [
            (open.to_bytes().to_vec(), Parsed::OpenChannel(open)),
            (top_up(seven).to_vec(), Parsed::TopUp { amount: seven }),
            (settle(seven).to_vec(), Parsed::Settle { owed: seven }),
            (REQUEST_CLOSE.to_vec(), Parsed::RequestClose),
            (CLOSE_CHANNEL.to_vec(), Parsed::CloseChannel),
            (set_delegate(seven, nine).to_vec(), Parsed::SetDelegate { limit: seven, expires_at: nine }),
            (REVOKE_DELEGATE.to_vec(), Parsed::RevokeDelegate),
            (CLOSE_DELEGATION.to_vec(), Parsed::CloseDelegation),
            (chain.to_bytes().to_vec(), Parsed::ChainChannel(chain)),
        ] {
            assert_eq!(Parsed::parse(&data), Ok(expected));
            let longer = [&data[..], &[0]].concat();
            assert_eq!(Parsed::parse(&longer), Err(InstructionError::Length), "{expected:?}");
            let shorter = Parsed::parse(&data[..data.len() - 1]);
            let none = if data.len() == 8 { InstructionError::Unknown } else { InstructionError::Length };
            assert_eq!(shorter, Err(none), "{expected:?}");
        }
        assert_eq!(Parsed::parse(&[0; 16]), Err(InstructionError::Unknown));
    }

    proptest! {
        #[test]
        fn no_data_makes_it_panic(data: Vec<u8>) {
            let _ = Parsed::parse(&data);
        }
    }
}
