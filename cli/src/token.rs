//! A mint as people know it: its name, and how many digits stand after the point.

use std::collections::HashMap;

use amp_sdk::chain::{self, Chain};
use amp_sdk::protocol::money::Amount;
pub(crate) use amp_sdk::token::{mint_called, usual_mint};
use serde_json::{Value, json};
use solana_address::Address;

/// A token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) mint: Address,
    pub(crate) decimals: u8,
}

impl Token {
    /// As the chain has it.
    pub(crate) async fn read(chain: &dyn Chain, mint: &Address) -> Result<Self, chain::ChainError> {
        let info = chain::mint(chain, mint).await?;
        Ok(Self { mint: *mint, decimals: info.decimals })
    }

    fn symbol(&self) -> Option<&'static str> {
        amp_sdk::token::name_of(&self.mint)
    }

    /// Its name, or the mint.
    pub(crate) fn name(&self) -> String {
        self.symbol().map_or_else(|| format!("mint {}", self.mint), str::to_owned)
    }

    /// Whether it is called so; of a token without a name, whether this is its mint.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        self.symbol().map_or(name == self.mint.to_string(), |symbol| symbol.eq_ignore_ascii_case(name))
    }

    /// An amount for people: at least two digits after the point, as many as it takes, and the name.
    pub(crate) fn text(&self, amount: Amount) -> String {
        let number = self.number(amount);
        match self.symbol() {
            Some(symbol) => format!("{number} {symbol}"),
            None => {
                let mint = self.mint.to_string();
                format!("{number} {}\u{2026}", mint.get(..4).unwrap_or(&mint))
            }
        }
    }

    /// The same without the name.
    pub(crate) fn number(&self, amount: Amount) -> String {
        const SHOWN: usize = 2;
        let decimals = usize::from(self.decimals);
        let digits = format!("{:0width$}", amount.get(), width = decimals.saturating_add(1));
        let (whole, fraction) = digits.split_at(digits.len().saturating_sub(decimals));
        let needed = fraction.trim_end_matches('0').len();
        let shown = fraction.get(..needed.max(SHOWN.min(decimals))).unwrap_or(fraction);
        if shown.is_empty() { whole.to_owned() } else { format!("{whole}.{shown}") }
    }

    /// For JSON.
    pub(crate) fn json(&self) -> Value {
        json!({"mint": self.mint.to_string(), "decimals": self.decimals, "symbol": self.symbol()})
    }
}

/// Tokens that were looked up, each once.
pub(crate) struct Tokens<'a> {
    chain: &'a dyn Chain,
    known: HashMap<Address, Option<Token>>,
}

impl<'a> Tokens<'a> {
    pub(crate) fn new(chain: &'a dyn Chain) -> Self {
        Self { chain, known: HashMap::new() }
    }

    /// An amount for people; in base units where the mint can't be read.
    pub(crate) async fn text(&mut self, mint: &Address, amount: Amount) -> String {
        if !self.known.contains_key(mint) {
            self.known.insert(*mint, Token::read(self.chain, mint).await.ok());
        }
        match self.known.get(mint) {
            Some(Some(token)) => token.text(amount),
            _ => format!("{amount}u"),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const USDC: Address = Address::from_str_const("4zMMC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncDU");

    pub(crate) fn usdc() -> Token {
        Token { mint: USDC, decimals: 6 }
    }

    #[test]
    fn amounts_are_shown_to_the_last_unit_and_with_no_more_digits_than_that() {
        for (units, text) in [
            (0, "0.00 USDC"),
            (1_500_000, "1.50 USDC"),
            (250, "0.00025 USDC"),
            (1, "0.000001 USDC"),
            (u64::MAX, "18446744073709.551615 USDC"),
        ] {
            assert_eq!(usdc().text(Amount::new(units)), text);
        }
        let whole = Token { mint: Address::from([1; 32]), decimals: 0 };
        assert_eq!(whole.number(Amount::new(12)), "12");
        let one = Token { decimals: 1, ..whole };
        assert_eq!(one.number(Amount::new(12)), "1.2");
        assert!(one.text(Amount::new(12)).starts_with("1.2 4vJ9"), "{}", one.text(Amount::new(12)));
    }

    #[test]
    fn a_token_without_a_name_is_called_by_its_mint() {
        assert!(usdc().is_called("usdc"));
        let other = Token { mint: Address::from([1; 32]), decimals: 6 };
        assert!(!other.is_called("USDC") && other.is_called(&other.mint.to_string()));
    }
}
