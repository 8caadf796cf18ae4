use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `N` bytes that travel as base58: keys and addresses (32), signatures (64).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Base58<const N: usize>(pub [u8; N]);

/// A text that is not `N` bytes in base58.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Base58Error {
    /// How many bytes it should have been.
    pub expected: usize,
}

impl fmt::Display for Base58Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not {} bytes in base58", self.expected)
    }
}

impl core::error::Error for Base58Error {}

impl<const N: usize> FromStr for Base58<N> {
    type Err = Base58Error;

    fn from_str(text: &str) -> Result<Self, Base58Error> {
        let mut bytes = [0; N];
        // decoding is quadratic in the length: a hostile header must not make it long
        let fits = text.len() <= N.saturating_mul(2);
        match bs58::decode(if fits { text } else { "" }).onto(&mut bytes) {
            Ok(length) if length == N => Ok(Self(bytes)),
            _ => Err(Base58Error { expected: N }),
        }
    }
}

impl<const N: usize> fmt::Display for Base58<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&bs58::encode(&self.0).into_string())
    }
}

impl<const N: usize> fmt::Debug for Base58<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<const N: usize> From<[u8; N]> for Base58<N> {
    fn from(bytes: [u8; N]) -> Self {
        Self(bytes)
    }
}

impl<const N: usize> Serialize for Base58<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, const N: usize> Deserialize<'de> for Base58<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_read_back_and_other_texts_are_refused() {
        let key = Base58([9; 32]);
        assert_eq!(key.to_string().parse(), Ok(key));
        let long = "1".repeat(1_000_000);
        for text in ["", "0OIl", "1111", &long, &Base58([1; 33]).to_string()] {
            assert_eq!(text.parse::<Base58<32>>(), Err(Base58Error { expected: 32 }));
        }
    }
}
