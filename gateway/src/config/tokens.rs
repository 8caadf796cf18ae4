//! Amounts as people write them, "0.001", in whole tokens.

use amp_protocol::money::Amount;
use amp_sdk::token::{AmountError, TokenAmount};

/// The base units of an amount in tokens with so many decimals.
///
/// # Errors
/// What would do instead. Nothing is rounded: a price that can't be charged exactly is none.
pub(super) fn base_units(text: &str, decimals: u8) -> Result<Amount, String> {
    in_tokens(text)?.base_units(decimals).map_err(|error| match error {
        AmountError::TooFine { .. } => {
            let smallest = format!("0.{:0>width$}", 1, width = usize::from(decimals));
            format!(
                "{text:?} has more decimals than the token, which has {decimals}: the smallest amount is {smallest}. To charge less for each, raise `per`"
            )
        }
        AmountError::TooMuch => format!("{text:?} is more than there can be of a token"),
        AmountError::Unreadable => no_amount(text),
    })
}

/// An amount of whatever the token is. A file has one token, and no amounts in base units beside those in tokens: what
/// is typed by hand may have either, but a price that stands for long is read by others.
pub(super) fn in_tokens(text: &str) -> Result<TokenAmount, String> {
    match text.parse() {
        Ok(amount @ TokenAmount::Tokens { symbol: None, .. }) => Ok(amount),
        _ => Err(no_amount(text)),
    }
}

fn no_amount(text: &str) -> String {
    format!("{text:?} is no amount; write tokens, like \"0.001\"")
}

/// An amount in tokens, for people.
pub(crate) fn tokens(amount: Amount, decimals: u8) -> String {
    let wanted = usize::from(decimals);
    let digits = format!("{:0>width$}", amount.get(), width = wanted.saturating_add(1));
    let (whole, fraction) = digits.split_at(digits.len().saturating_sub(wanted));
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_become_base_units_exactly() {
        let cases = [("0.001", 1_000), ("1", 1_000_000), ("12.5", 12_500_000), ("0.000001", 1), ("0", 0)];
        for (text, units) in cases {
            assert_eq!(base_units(text, 6), Ok(Amount::new(units)), "{text}");
            assert_eq!(tokens(Amount::new(units), 6), text);
        }
        assert_eq!(base_units("1.50", 6), Ok(Amount::new(1_500_000)));
        assert_eq!(base_units("7", 0), Ok(Amount::new(7)));
        assert_eq!(tokens(Amount::new(7), 0), "7");
    }

    #[test]
    fn what_is_no_amount_or_can_not_be_charged_is_refused() {
        for text in ["", ".5", "-1", "1e3", "1,5", "0x1", "1.2.3", "1 USDC", "1000u", "+1"] {
            assert!(base_units(text, 6).unwrap_err().contains("is no amount"), "{text}");
        }
        assert!(base_units("0.0000001", 6).unwrap_err().contains("smallest amount is 0.000001"));
        assert!(base_units("18446744073709.551616", 6).unwrap_err().contains("more than there can be"));
        assert_eq!(base_units("18446744073709.551615", 6), Ok(Amount::MAX));
    }
}
