//! What counted things cost. Client and service must round alike, or the one signs for less than the other
//! charges.

use core::fmt;
use core::num::NonZeroU64;

use crate::money::Amount;

/// How many counted things a rate's amount buys: with 1024, a rate of 1 is a base unit a kibibyte. One, unless
/// it is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Per(NonZeroU64);

impl Per {
    /// Each thing costs the rate's amount.
    pub const ONE: Self = Self(NonZeroU64::MIN);

    /// So many things, or `None` for zero.
    pub const fn new(count: u64) -> Option<Self> {
        match NonZeroU64::new(count) {
            Some(count) => Some(Self(count)),
            None => None,
        }
    }

    /// The count.
    pub const fn get(self) -> u64 {
        self.0.get()
    }

    /// Whether this is [`Self::ONE`].
    pub fn is_one(&self) -> bool {
        *self == Self::ONE
    }
}

impl Default for Per {
    fn default() -> Self {
        Self::ONE
    }
}

impl fmt::Display for Per {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// `amount` base units for every `per` counted things.
///
/// What a stream costs is rounded once, up, over all that was counted in it: two halves of a stream may cost
/// one base unit less than two streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Base units.
    pub amount: Amount,
    /// For so many things.
    pub per: Per,
}

impl Rate {
    /// `amount` base units each.
    pub const fn each(amount: Amount) -> Self {
        Self { amount, per: Per::ONE }
    }

    /// Whether nothing costs anything.
    pub const fn is_free(self) -> bool {
        self.amount.is_zero()
    }

    /// What `count` things cost: `count * amount / per`, rounded up; `None` past 64 bits.
    pub fn cost(self, count: u64) -> Option<Amount> {
        let whole = u128::from(count).checked_mul(u128::from(self.amount.get()))?;
        let cost = whole.div_ceil(u128::from(self.per.get()));
        u64::try_from(cost).ok().map(Amount::new)
    }

    /// How many things `amount` pays for: the most whose [`Self::cost`] is not above it.
    pub fn count_within(self, amount: Amount) -> u64 {
        let all = u128::from(amount.get()).saturating_mul(u128::from(self.per.get()));
        let count = all.checked_div(u128::from(self.amount.get()));
        count.and_then(|count| u64::try_from(count).ok()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rate(amount: u64, per: u64) -> Rate {
        Rate { amount: Amount::new(amount), per: Per::new(per).unwrap() }
    }

    #[test]
    fn a_part_of_what_the_amount_buys_costs_a_whole_base_unit() {
        let one_a_kibibyte = rate(1, 1024);
        let costs = [0, 1, 1024, 1025, 10 << 20].map(|bytes| one_a_kibibyte.cost(bytes).unwrap().get());
        assert_eq!(costs, [0, 1, 1, 2, 10 << 10]);
    }

    #[test]
    fn a_cost_past_64_bits_is_none() {
        assert_eq!(rate(2, 1).cost(u64::MAX), None);
        assert_eq!(rate(2, 2).cost(u64::MAX), Some(Amount::MAX));
    }

    #[test]
    fn what_is_free_can_be_counted_for_ever() {
        assert_eq!(rate(0, 7).cost(u64::MAX), Some(Amount::ZERO));
        assert_eq!(rate(0, 7).count_within(Amount::ZERO), u64::MAX);
    }

    #[test]
    fn nothing_is_no_count() {
        assert_eq!(Per::new(0), None);
    }

    proptest! {
        #[test]
        fn an_amount_pays_for_its_count_and_not_for_one_more(
            amount in 1..=u64::MAX, per in 1..=u64::MAX, money in any::<u64>(),
        ) {
            let (rate, money) = (rate(amount, per), Amount::new(money));
            let count = rate.count_within(money);
            prop_assert!(rate.cost(count).is_some_and(|cost| cost <= money));
            if let Some(more) = count.checked_add(1) {
                prop_assert!(rate.cost(more).is_none_or(|cost| cost > money));
            }
        }
    }
}
