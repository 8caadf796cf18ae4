//! Amounts as people type them, in a token that is known.

use std::fmt;
use std::str::FromStr;

use amp_sdk::protocol::money::Amount;
use amp_sdk::token::AmountError;

use crate::exit::{Exit, failure};
use crate::token::Token;

/// An amount before its mint is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TokenAmount(amp_sdk::token::TokenAmount);

impl FromStr for TokenAmount {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, AmountError> {
        text.parse().map(Self)
    }
}

impl fmt::Display for TokenAmount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TokenAmount {
    /// In base units of this token. Digits that the mint does not have are refused, not rounded.
    pub(crate) fn of(&self, token: &Token) -> anyhow::Result<Amount> {
        let usage = |text| failure(Exit::Usage, text);
        if let Some(named) = self.0.symbol().filter(|named| !token.is_called(named)) {
            return Err(usage(format!(
                "{self}: the mint is {}, not {named}; leave the name out, or check --mint",
                token.name()
            )));
        }
        self.0.base_units(token.decimals).map_err(|error| {
            usage(match error {
                AmountError::TooFine { decimals } => {
                    format!("{self}: {} has {decimals} decimals, so no finer amounts", token.name())
                }
                AmountError::TooMuch => format!("{self} is more than 64 bits hold"),
                AmountError::Unreadable => format!("{self} is {error}"),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::tests::{USDC, usdc};

    fn units(text: &str) -> Result<u64, String> {
        let amount: TokenAmount = text.parse().map_err(|error: AmountError| error.to_string())?;
        amount.of(&usdc()).map(Amount::get).map_err(|error| error.to_string())
    }

    #[test]
    fn an_amount_is_of_the_token_that_it_names_and_why_it_is_not_is_said_in_its_words() {
        assert_eq!(usdc().mint, USDC);
        assert_eq!((units("1.50 usdc"), units("7u"), units("1.5")), (Ok(1_500_000), Ok(7), Ok(1_500_000)));
        for (text, part) in [
            ("0.0000001", "6 decimals"),
            ("1 SOL", "not SOL"),
            ("18446744073709.551616", "64 bits"),
            ("18446744073710", "64 bits"),
            ("1e6", "not an amount"),
        ] {
            let said = units(text).unwrap_err();
            assert!(said.contains(part), "{text}: {said}");
        }
    }
}
