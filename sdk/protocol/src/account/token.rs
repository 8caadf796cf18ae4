//! The few bytes of token accounts and mints that AMP reads. SPL Token and Token-2022 share them:
//! extensions come after.

use super::AccountError;
use crate::message::Key;
use crate::money::Amount;

const TOKEN_ACCOUNT_LEN: usize = 165;
const MINT_LEN: usize = 82;
const DECIMALS: usize = 44;

/// Mint, owner and amount of a token account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenHolding<'a> {
    /// The mint.
    pub mint: &'a Key,
    /// Who may spend from it.
    pub owner: &'a Key,
    /// Base units held.
    pub amount: Amount,
}

impl<'a> TokenHolding<'a> {
    /// Reads the data of an account that a token program owns. A shorter account is a mint or a
    /// multisig, never a token account.
    pub fn parse(data: &'a [u8]) -> Result<Self, AccountError> {
        if data.len() < TOKEN_ACCOUNT_LEN {
            return Err(AccountError::Length);
        }
        let (mint, rest) = data.split_first_chunk::<32>().ok_or(AccountError::Length)?;
        let (owner, rest) = rest.split_first_chunk::<32>().ok_or(AccountError::Length)?;
        let (amount, _) = rest.split_first_chunk::<8>().ok_or(AccountError::Length)?;
        Ok(Self { mint, owner, amount: Amount::new(u64::from_le_bytes(*amount)) })
    }
}

/// The decimals of a mint.
pub fn mint_decimals(data: &[u8]) -> Result<u8, AccountError> {
    if data.len() < MINT_LEN {
        return Err(AccountError::Length);
    }
    data.get(DECIMALS).copied().ok_or(AccountError::Length)
}
