//! Amounts as people type them: tokens, or base units where they say so.

use std::fmt;
use std::str::FromStr;

use amp_sdk::protocol::money::Amount;

use crate::exit::{Exit, failure};
use crate::token::Token;

/// Digits that any amount has at most: those of 2^64.
const MOST_DIGITS: usize = 20;

/// An amount before its mint is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TokenAmount {
    /// `1500000u`.
    BaseUnits(Amount),
    /// `1.5`, `1.50 USDC`.
    Tokens {
        /// All digits, without the point.
        digits: u64,
        /// How many of them stand after it.
        fraction: u8,
        /// The token, where it is named.
        symbol: Option<String>,
    },
}

/// Why a text is no amount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AmountError;

impl fmt::Display for AmountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an amount: write tokens as 1.5 or \"1.50 USDC\", base units as 1500000u")
    }
}

impl std::error::Error for AmountError {}

impl FromStr for TokenAmount {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, AmountError> {
        let text = text.trim();
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let has_point = number.contains('.');
        if whole.is_empty() || (has_point && fraction.is_empty()) || fraction.contains('.') {
            return Err(AmountError);
        }
        if unit == "u" {
            let units = if has_point { None } else { whole.parse().ok() };
            return units.map(Self::BaseUnits).ok_or(AmountError);
        }
        let symbol = unit.trim_start();
        // a name begins with letters: "1e6" is a number that was meant otherwise
        let is_name =
            symbol.chars().all(char::is_alphanumeric) && symbol.chars().take(2).all(char::is_alphabetic);
        if !is_name || whole.len().saturating_add(fraction.len()) > MOST_DIGITS {
            return Err(AmountError);
        }
        let digits = format!("{whole}{fraction}").parse().map_err(|_| AmountError)?;
        let fraction = u8::try_from(fraction.len()).map_err(|_| AmountError)?;
        let symbol = (!symbol.is_empty()).then(|| symbol.to_owned());
        Ok(Self::Tokens { digits, fraction, symbol })
    }
}

impl TokenAmount {
    /// In base units of this token. Digits that the mint does not have are refused, not rounded.
    pub(crate) fn of(&self, token: &Token) -> anyhow::Result<Amount> {
        let (digits, fraction, symbol) = match self {
            Self::BaseUnits(amount) => return Ok(*amount),
            Self::Tokens { digits, fraction, symbol } => (*digits, *fraction, symbol),
        };
        if let Some(named) = symbol.as_ref().filter(|named| !token.is_called(named)) {
            let text = format!(
                "{self}: the mint is {}, not {named}; leave the name out, or check --mint",
                token.name()
            );
            return Err(failure(Exit::Usage, text));
        }
        let missing = token.decimals.checked_sub(fraction).ok_or_else(|| {
            let text =
                format!("{self}: {} has {} decimals, so no finer amounts", token.name(), token.decimals);
            failure(Exit::Usage, text)
        })?;
        let scale = 10_u64.checked_pow(missing.into());
        let units = scale.and_then(|scale| digits.checked_mul(scale));
        let units = units.ok_or_else(|| failure(Exit::Usage, format!("{self} is more than 64 bits hold")))?;
        Ok(Amount::new(units))
    }
}

impl fmt::Display for TokenAmount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BaseUnits(amount) => write!(f, "{amount}u"),
            Self::Tokens { digits, fraction, symbol } => {
                let width = usize::from(*fraction).saturating_add(1);
                let digits = format!("{digits:0width$}");
                let (whole, fraction) = digits.split_at(digits.len().saturating_sub((*fraction).into()));
                f.write_str(whole)?;
                if !fraction.is_empty() {
                    write!(f, ".{fraction}")?;
                }
                symbol.as_ref().map_or(Ok(()), |symbol| write!(f, " {symbol}"))
            }
        }
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
    fn tokens_and_base_units_are_told_apart_to_the_unit() {
        for (text, expected) in [
            ("1.5", 1_500_000),
            ("1.50 USDC", 1_500_000),
            ("1.50USDC", 1_500_000),
            ("1 usdc", 1_000_000),
            ("0.000001", 1),
            ("1500000u", 1_500_000),
            ("7u", 7),
            ("0", 0),
            ("18446744073709551615u", u64::MAX),
            ("18446744073709.551615", u64::MAX),
        ] {
            assert_eq!(units(text), Ok(expected), "{text}");
        }
        assert_eq!(usdc().mint, USDC);
    }

    #[test]
    fn what_is_no_amount_or_none_of_this_token_is_refused_and_never_rounded() {
        for text in
            ["", "-1", "1.", ".5", "1e6", "1.5u", "1,5", "1.2.3", "1 000", "1 e6", "0x10", "1.5 US$", "u"]
        {
            assert!(text.parse::<TokenAmount>().is_err(), "{text:?}");
        }
        for (text, part) in [
            ("0.0000001", "6 decimals"),
            ("1 SOL", "not SOL"),
            ("18446744073709.551616", "not an amount"),
            ("18446744073710", "64 bits"),
            ("18446744073709551616u", "not an amount"),
        ] {
            let said = units(text).unwrap_err();
            assert!(said.contains(part), "{text}: {said}");
        }
    }

    #[test]
    fn an_amount_is_shown_as_it_was_typed() {
        for text in ["1.50 USDC", "0.05", "7", "1500000u"] {
            assert_eq!(text.parse::<TokenAmount>().unwrap().to_string(), text);
        }
    }
}
