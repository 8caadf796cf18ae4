//! What a transaction pays to be taken before others, on top of the base fee.

use std::collections::BTreeSet;

use solana_address::Address;

use super::budget::PriorityFee;
use super::{Chain, Plan};

/// Attempts after which a transaction pays the most that may be paid.
const STEPS: u32 = 2;

/// How much a service pays to be taken before others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeePolicy {
    /// Always this price; 0 is nothing.
    Fixed(PriorityFee),
    /// As much as was paid lately for writing the same accounts. Each attempt that did not land raises it, and
    /// the third pays the most.
    Recent {
        /// Of 100 recent slots, in how many that would have been enough; above 100 counts as 100. A node
        /// tells for each slot the least that any transaction paid which wrote these accounts.
        percentile: u8,
        /// Most that a transaction pays on top of the base fee, in lamports.
        max_lamports: u64,
    },
}

impl Default for FeePolicy {
    fn default() -> Self {
        Self::Fixed(PriorityFee::default())
    }
}

impl From<PriorityFee> for FeePolicy {
    fn from(fee: PriorityFee) -> Self {
        Self::Fixed(fee)
    }
}

impl FeePolicy {
    /// A price that makes a transaction as large as any price of this policy does.
    pub const fn placeholder(self) -> PriorityFee {
        match self {
            Self::Fixed(fee) => fee,
            Self::Recent { .. } => PriorityFee(1),
        }
    }

    /// What a transaction pays now. A node that does not tell what was paid is taken for one that saw nothing
    /// paid: fees must not keep money from being collected.
    pub async fn quote(self, chain: &dyn Chain, plan: &Plan) -> Fees {
        let (percentile, max_lamports) = match self {
            Self::Fixed(fee) => return Fees { first: fee, most: fee },
            Self::Recent { percentile, max_lamports } => (percentile, max_lamports),
        };
        let most = most_for(max_lamports, plan.budget().units());
        let written: BTreeSet<Address> = plan.written_accounts().collect();
        let written: Vec<Address> = written.into_iter().collect();
        let recent = chain.recent_priority_fees(&written).await.unwrap_or_default();
        Fees { first: PriorityFee(at_percentile(recent, percentile).min(most)), most: PriorityFee(most) }
    }
}

/// What the attempts to send one transaction pay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fees {
    /// The first.
    pub first: PriorityFee,
    /// The third, and all later ones.
    pub most: PriorityFee,
}

impl Fees {
    /// After so many attempts that did not land.
    pub fn after(&self, failures: u32) -> PriorityFee {
        let (first, most) = (u128::from(self.first.0), u128::from(self.most.0));
        let steps = u128::from(failures.min(STEPS));
        let more = most.saturating_sub(first).saturating_mul(steps).checked_div(STEPS.into());
        let fee = first.saturating_add(more.unwrap_or_default());
        PriorityFee(u64::try_from(fee).unwrap_or(u64::MAX))
    }
}

/// The highest price, in micro-lamports, at which so many compute units cost no more than this.
fn most_for(max_lamports: u64, units: u32) -> u64 {
    let micro = u128::from(max_lamports).saturating_mul(1_000_000);
    let price = micro.checked_div(units.into()).unwrap_or_default();
    u64::try_from(price).unwrap_or(u64::MAX)
}

fn at_percentile(mut fees: Vec<u64>, percentile: u8) -> u64 {
    fees.sort_unstable();
    let last = fees.len().saturating_sub(1);
    let at = last.saturating_mul(percentile.min(100).into()).div_ceil(100);
    fees.get(at).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_price_costs_more_than_the_most_that_may_be_paid() {
        for (max_lamports, units) in [(5_000, 16_450), (1, 1_400_000), (u64::MAX, 1), (0, 16_450), (7, 0)] {
            let price = u128::from(most_for(max_lamports, units));
            let lamports = (price * u128::from(units)).div_ceil(1_000_000);
            assert!(lamports <= u128::from(max_lamports), "{price} for {units}");
        }
        assert_eq!(most_for(5_000, 20_000), 250_000);
    }

    #[test]
    fn a_percentile_is_a_price_that_was_paid() {
        let fees = || (1..=100).rev().collect::<Vec<u64>>();
        assert_eq!(
            [0, 50, 99, 100, 255].map(|percentile| at_percentile(fees(), percentile)),
            [1, 51, 100, 100, 100]
        );
        assert_eq!(at_percentile(vec![], 50), 0);
        assert_eq!(at_percentile(vec![7], 1), 7);
    }

    #[test]
    fn each_attempt_pays_more_and_none_more_than_the_most() {
        let fees = Fees { first: PriorityFee(10), most: PriorityFee(110) };
        assert_eq!([0, 1, 2, 3, u32::MAX].map(|failures| fees.after(failures).0), [10, 60, 110, 110, 110]);
        let fixed = Fees { first: PriorityFee(7), most: PriorityFee(7) };
        assert_eq!([0, 1, 2].map(|failures| fixed.after(failures).0), [7; 3]);
        let all = Fees { first: PriorityFee(0), most: PriorityFee(u64::MAX) };
        assert_eq!(all.after(2).0, u64::MAX);
    }
}
