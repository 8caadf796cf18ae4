use serde::{Deserialize, Serialize};

/// Base units that somebody gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Amount {
    /// So many.
    Units(u32),
    /// Two to the power of this, or a quarter of what the giver has.
    Power(u8),
    /// One more than the giver has.
    TooMuch,
    /// None.
    Zero,
    /// As many as 64 bits hold.
    Most,
}

/// What is claimed in all, counted from what was claimed and what may be claimed now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Owed {
    /// So many sixteenths of what may be claimed now.
    Part(u8),
    /// Up to a bound.
    UpTo(Edge),
    /// A unit past a bound.
    Past(Edge),
    /// What was claimed already.
    Again,
    /// A unit less.
    Less,
    /// Nothing.
    Zero,
    /// As much as 64 bits hold.
    Most,
}

/// What bounds a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Edge {
    /// The deposit.
    Deposit,
    /// The window's rate.
    Rate,
    /// The delegate's limit.
    Limit,
}

/// The seq that is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Seq {
    /// The smallest that covers what is claimed.
    Covering,
    /// So many more.
    More(u8),
    /// One less.
    Less,
    /// The highest that was signed before.
    Again,
    /// The highest there is.
    Most,
}

/// The total of a close statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stated {
    /// So many sixteenths of the balance above what was claimed.
    Part(u8),
    /// Half of what was claimed already.
    Stale,
    /// A unit more than the deposit.
    Past,
}

/// A delegate's limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Limit {
    /// So many.
    Units(u32),
    /// So much more than it is, or than nothing.
    Raise(u32),
    /// What it is.
    Same,
    /// A unit less than it is.
    Lower,
    /// None.
    Zero,
    /// As much as 64 bits hold.
    Most,
}

/// When a delegation ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Expiry {
    /// Never.
    Never,
    /// So many seconds from now.
    In(u32),
    /// Now.
    Now,
    /// Before time began.
    Negative,
}

/// What is agreed on, as positions in lists of prices, rates, intervals and graces; zeros are plain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct TermsChoice {
    pub price: u8,
    pub rate: u8,
    pub interval: u8,
    pub grace: u8,
    pub depth: u8,
}

impl TermsChoice {
    /// Base units a step.
    pub const PRICES: [u64; 6] = [1, 100, 7, 1 << 33, 1_000_000, u64::MAX];
    /// Base units a window.
    pub const RATES: [u64; 6] = [400_000, 20_000, 50_000_000, u64::MAX, 1 << 62, 1];
    /// Seconds.
    pub const INTERVALS: [u32; 5] = [60, 1, 600, 7, 30 * 86_400];
    /// Seconds.
    pub const GRACES: [u32; 6] = [600, 60, 0, 1, 3_600, 30 * 86_400];

    /// As an instruction has them.
    pub fn terms(self) -> crate::transaction::Terms {
        crate::transaction::Terms {
            unit_price: pick(&Self::PRICES, self.price),
            rate_limit: pick(&Self::RATES, self.rate),
            settle_interval: pick(&Self::INTERVALS, self.interval),
            close_grace: pick(&Self::GRACES, self.grace),
            max_chain_depth: self.depth % 4,
        }
    }
}

fn pick<T: Copy>(list: &[T], at: u8) -> T {
    list[usize::from(at) % list.len()]
}
