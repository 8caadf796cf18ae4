//! 64-bit integers in JSON: written as decimal strings, read from strings or integers.

use core::fmt;
use core::marker::PhantomData;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::money::{Amount, Seq, UnitPrice};
use crate::rate::Per;

struct Decimal<T>(PhantomData<T>);

/// A value that travels as a decimal string.
trait FromU64: Sized {
    const EXPECTED: &'static str;
    fn from_u64(value: u64) -> Option<Self>;
}

impl<T: FromU64> Visitor<'_> for Decimal<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<T, E> {
        T::from_u64(value).ok_or_else(|| E::invalid_value(Unexpected::Unsigned(value), &self))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let value = text.parse().ok().filter(|_| digits);
        value.and_then(T::from_u64).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}

macro_rules! decimal {
    ($name:ident, $expected:literal, $from:expr) => {
        impl FromU64 for $name {
            const EXPECTED: &'static str = $expected;
            fn from_u64(value: u64) -> Option<Self> {
                $from(value)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(Decimal(PhantomData))
            }
        }
    };
}

decimal!(Amount, "base units, as a decimal string", |value| Some(Amount::new(value)));
decimal!(Seq, "a seq, as a decimal string", |value| Some(Seq::new(value)));
decimal!(Per, "a count above zero, as a decimal string", Per::new);
decimal!(UnitPrice, "a unit price above zero, as a decimal string", UnitPrice::new);

/// A bare `u64` that may pass 53 bits: `#[serde(with = "decimal::bare")]`.
pub(super) mod bare {
    use super::*;

    pub(in crate::json) fn serialize<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(in crate::json) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        Amount::deserialize(deserializer).map(Amount::get)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_as_strings_and_read_from_both() {
        assert_eq!(serde_json::to_string(&Amount::MAX).unwrap(), "\"18446744073709551615\"");
        for text in ["\"7\"", "7"] {
            assert_eq!(serde_json::from_str::<Amount>(text).unwrap(), Amount::new(7));
        }
        for text in ["\"\"", "\"+7\"", "\"-1\"", "-1", "1.5", "\"1e3\"", "null", "\"18446744073709551616\""] {
            assert!(serde_json::from_str::<Amount>(text).is_err(), "{text}");
        }
        assert!(serde_json::from_str::<UnitPrice>("\"0\"").is_err());
    }
}
