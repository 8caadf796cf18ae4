use std::fmt;
use std::str::FromStr;

use amp_protocol::money::Amount;

/// Digits that are read: more than any amount of a mint in use has, and no more than 128 bits hold.
const MOST_DIGITS: usize = 38;

/// An amount as people type it, before its mint is known: tokens, or base units where it says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenAmount {
    /// `1500000u`.
    BaseUnits(Amount),
    /// `1.5`, `1.50 USDC`.
    Tokens {
        /// All digits, without the point.
        digits: u128,
        /// How many of them stand after it.
        fraction: u8,
        /// The token, where it is named.
        symbol: Option<String>,
    },
}

/// Why a text is no amount, or none of a token's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// It can't be read.
    #[error("not an amount: write tokens as 1.5 or \"1.50 USDC\", base units as 1500000u")]
    Unreadable,
    /// It is not a whole number of base units, and nothing is rounded.
    #[error("the token has {decimals} decimals, so no finer amounts")]
    TooFine {
        /// The token's.
        decimals: u8,
    },
    /// There can't be so much of a token.
    #[error("more than 64 bits hold")]
    TooMuch,
}

impl FromStr for TokenAmount {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, AmountError> {
        let text = text.trim();
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let has_point = number.contains('.');
        if whole.is_empty() || (has_point && fraction.is_empty()) || fraction.contains('.') {
            return Err(AmountError::Unreadable);
        }
        if unit == "u" {
            let units = if has_point { None } else { whole.parse().ok() };
            return units.map(Self::BaseUnits).ok_or(AmountError::Unreadable);
        }
        let symbol = unit.trim_start();
        // a name begins with letters: "1e6" is a number that was meant otherwise
        let is_name =
            symbol.chars().all(char::is_alphanumeric) && symbol.chars().take(2).all(char::is_alphabetic);
        if !is_name || whole.len().saturating_add(fraction.len()) > MOST_DIGITS {
            return Err(AmountError::Unreadable);
        }
        let digits = format!("{whole}{fraction}").parse().map_err(|_| AmountError::Unreadable)?;
        let fraction = u8::try_from(fraction.len()).map_err(|_| AmountError::Unreadable)?;
        let symbol = (!symbol.is_empty()).then(|| symbol.to_owned());
        Ok(Self::Tokens { digits, fraction, symbol })
    }
}

impl TokenAmount {
    /// The token, where it is named. Whether it is the right one is not looked at here.
    pub fn symbol(&self) -> Option<&str> {
        match self {
            Self::BaseUnits(_) => None,
            Self::Tokens { symbol, .. } => symbol.as_deref(),
        }
    }

    /// In base units of a token with so many decimals.
    ///
    /// # Errors
    /// [`AmountError::TooFine`] for digits that the token does not have, unless they are zeros; [`AmountError::TooMuch`].
    pub fn base_units(&self, decimals: u8) -> Result<Amount, AmountError> {
        let (mut digits, mut fraction) = match self {
            Self::BaseUnits(amount) => return Ok(*amount),
            Self::Tokens { digits, fraction, .. } => (*digits, *fraction),
        };
        while fraction > decimals && digits.is_multiple_of(10) {
            digits /= 10;
            fraction = fraction.saturating_sub(1);
        }
        let missing = decimals.checked_sub(fraction).ok_or(AmountError::TooFine { decimals })?;
        let scaled = 10_u128.checked_pow(missing.into()).and_then(|scale| digits.checked_mul(scale));
        let units = scaled.and_then(|units| u64::try_from(units).ok());
        // nothing of a token with very many decimals is nothing, too
        let units = if digits == 0 { Some(0) } else { units };
        units.map(Amount::new).ok_or(AmountError::TooMuch)
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

    fn units(text: &str) -> Result<u64, AmountError> {
        text.parse::<TokenAmount>()?.base_units(6).map(Amount::get)
    }

    #[test]
    fn tokens_and_base_units_are_told_apart_to_the_unit() {
        for (text, expected) in [
            ("1.5", 1_500_000),
            ("1.50 USDC", 1_500_000),
            ("1.50USDC", 1_500_000),
            ("1 usdc", 1_000_000),
            ("0.000001", 1),
            ("1.0000000", 1_000_000),
            ("1500000u", 1_500_000),
            ("7u", 7),
            ("0", 0),
            ("18446744073709551615u", u64::MAX),
            ("18446744073709.551615", u64::MAX),
        ] {
            assert_eq!(units(text), Ok(expected), "{text}");
        }
        assert_eq!("7".parse::<TokenAmount>().unwrap().base_units(0), Ok(Amount::new(7)));
        assert_eq!("0".parse::<TokenAmount>().unwrap().base_units(u8::MAX), Ok(Amount::ZERO));
    }

    #[test]
    fn what_is_no_amount_or_none_of_a_token_is_refused_and_never_rounded() {
        for text in [
            "",
            "-1",
            "+1",
            "1.",
            ".5",
            "1e6",
            "1e3",
            "1.5u",
            "1,5",
            "1.2.3",
            "1 000",
            "1 e6",
            "0x10",
            "1.5 US$",
            "u",
            "18446744073709551616u",
            "100000000000000000000000000000000000000",
        ] {
            assert_eq!(units(text), Err(AmountError::Unreadable), "{text:?}");
        }
        for text in ["0.0000001", "1.0000001"] {
            assert_eq!(units(text), Err(AmountError::TooFine { decimals: 6 }), "{text}");
        }
        for text in ["18446744073709.551616", "18446744073710", "99999999999999999999999999999999999999"] {
            assert_eq!(units(text), Err(AmountError::TooMuch), "{text}");
        }
    }

    #[test]
    fn an_amount_is_shown_as_it_was_typed_and_names_its_token() {
        for text in ["1.50 USDC", "0.05", "7", "1500000u"] {
            assert_eq!(text.parse::<TokenAmount>().unwrap().to_string(), text);
        }
        assert_eq!("1 SOL".parse::<TokenAmount>().unwrap().symbol(), Some("SOL"));
        assert_eq!("1".parse::<TokenAmount>().unwrap().symbol(), None);
    }
}
