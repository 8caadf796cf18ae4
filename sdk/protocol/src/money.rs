//! Money as types: an amount can't be added to a sequence number, and no sum can wrap.

use core::fmt;
use core::num::ParseIntError;
use core::str::FromStr;

macro_rules! u64_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u64);

        impl $name {
            /// Zero.
            pub const ZERO: Self = Self(0);
            /// The largest value.
            pub const MAX: Self = Self(u64::MAX);

            /// Wraps a raw value.
            pub const fn new(value: u64) -> Self {
                Self(value)
            }

            /// The raw value.
            pub const fn get(self) -> u64 {
                self.0
            }

            /// `self + other`, or `None` past `u64::MAX`.
            pub const fn checked_add(self, other: Self) -> Option<Self> {
                match self.0.checked_add(other.0) {
                    Some(sum) => Some(Self(sum)),
                    None => None,
                }
            }

            /// `self - other`, or `None` below zero.
            pub const fn checked_sub(self, other: Self) -> Option<Self> {
                match self.0.checked_sub(other.0) {
                    Some(difference) => Some(Self(difference)),
                    None => None,
                }
            }

            /// Whether this is zero.
            pub const fn is_zero(self) -> bool {
                self.0 == 0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIntError;

            fn from_str(text: &str) -> Result<Self, ParseIntError> {
                text.parse().map(Self)
            }
        }
    };
}

u64_newtype! {
    /// Tokens in the mint's base units (1 USDC = 1 000 000).
    Amount
}

u64_newtype! {
    /// The client's counter: the voucher. `seq * unit_price` is what its signature authorizes.
    Seq
}

impl Amount {
    /// `self * count`, or `None` past `u64::MAX`: the price of `count` units at this rate.
    pub const fn checked_mul(self, count: u64) -> Option<Self> {
        match self.0.checked_mul(count) {
            Some(product) => Some(Self(product)),
            None => None,
        }
    }
}

/// Base units that one step of [`Seq`] authorizes. Never zero: a zero price would make every
/// credential worthless, and the program refuses to open such a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UnitPrice(u64);

impl UnitPrice {
    /// One base unit: seq is then a cumulative amount.
    pub const ONE: Self = Self(1);

    /// A unit price, or `None` for zero.
    pub const fn new(value: u64) -> Option<Self> {
        if value == 0 { None } else { Some(Self(value)) }
    }

    /// The raw value, in base units.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The most that the holder of a credential with this `seq` may ever have charged to its signer.
    pub fn ceiling(self, seq: Seq) -> Ceiling {
        Ceiling(u128::from(seq.0).saturating_mul(u128::from(self.0)))
    }

    /// The smallest seq whose ceiling covers `amount`.
    pub const fn seq_covering(self, amount: Amount) -> Seq {
        Seq(amount.0.div_ceil(self.0))
    }
}

impl fmt::Display for UnitPrice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// `seq * unit_price`. Held in 128 bits: the product of two `u64` always fits, so no credential,
/// however large its seq, can wrap to a small ceiling or a small seq to a large one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ceiling(u128);

impl Ceiling {
    /// Whether `amount` may be charged under this ceiling.
    pub fn covers(self, amount: Amount) -> bool {
        u128::from(amount.0) <= self.0
    }

    /// The ceiling as an amount, or `None` when it is more than any token supply.
    pub fn amount(self) -> Option<Amount> {
        u64::try_from(self.0).ok().map(Amount)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_ceiling_never_wraps() {
        let ceiling = UnitPrice::new(u64::MAX).unwrap().ceiling(Seq::MAX);
        assert!(ceiling.covers(Amount::MAX));
        assert_eq!(ceiling.amount(), None);
        // 2^33 * 2^31 = 2^64: zero in 64 bits
        assert!(UnitPrice::new(1 << 31).unwrap().ceiling(Seq::new(1 << 33)).covers(Amount::MAX));
    }

    #[test]
    fn sums_differences_and_products_end_where_64_bits_do() {
        let (two, three) = (Amount::new(2), Amount::new(3));
        assert_eq!(two.checked_add(three), Some(Amount::new(5)));
        assert_eq!(Amount::MAX.checked_add(Amount::new(1)), None);
        assert_eq!(three.checked_sub(two), Some(Amount::new(1)));
        assert_eq!(two.checked_sub(three), None);
        assert_eq!(three.checked_mul(4), Some(Amount::new(12)));
        assert_eq!(two.checked_mul(u64::MAX), None);
        assert!(Amount::ZERO.is_zero() && !two.is_zero());
    }

    #[test]
    fn a_ceiling_is_seq_times_unit_price_to_the_unit() {
        let price = UnitPrice::new(7).unwrap();
        let ceiling = price.ceiling(Seq::new(3));
        assert_eq!(ceiling.amount(), Some(Amount::new(21)));
        assert!(ceiling.covers(Amount::new(21)) && !ceiling.covers(Amount::new(22)));
        assert_eq!((price.get(), price.to_string()), (7, "7".to_owned()));
    }

    #[test]
    fn a_unit_price_of_zero_does_not_exist() {
        assert_eq!(UnitPrice::new(0), None);
    }

    #[test]
    fn text_that_is_no_number_is_refused() {
        for text in ["", "-1", "1.5", " 1", "18446744073709551616", "0x10"] {
            assert!(text.parse::<Amount>().is_err(), "{text:?}");
        }
        assert_eq!("18446744073709551615".parse(), Ok(Amount::MAX));
    }

    proptest! {
        #[test]
        fn the_covering_seq_is_the_smallest_that_covers(amount: u64, price in 1..=u64::MAX) {
            let (amount, price) = (Amount::new(amount), UnitPrice::new(price).unwrap());
            let seq = price.seq_covering(amount);
            prop_assert!(price.ceiling(seq).covers(amount));
            if let Some(below) = seq.checked_sub(Seq::new(1)) {
                prop_assert!(!price.ceiling(below).covers(amount));
            }
        }
    }
}
