use crate::money::{Amount, UnitPrice};
use crate::rejection::Rejection;

const DAY: u32 = 86_400;

/// Shortest settle interval, in seconds: below one second the rate window would have no length.
pub const MIN_SETTLE_INTERVAL: u32 = 1;
/// Longest settle interval, in seconds (30 days): a recipient must not be kept from its money for
/// longer by a funder's typing error.
pub const MAX_SETTLE_INTERVAL: u32 = 30 * DAY;
/// Longest close grace, in seconds (30 days): it is how long a funder's refund can be held back.
pub const MAX_CLOSE_GRACE: u32 = 30 * DAY;
/// Deepest chain of sub-channels below a root: each level is one more party whose settlement the
/// root funder's refund waits for.
pub const MAX_CHAIN_DEPTH: u8 = 3;

/// What funder and recipient agree on when a channel opens. Raw numbers, as they travel: valid only
/// once [`Terms::check`] says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Base units that one step of seq authorizes; above zero.
    pub unit_price: u64,
    /// Most base units that all settlements within one window may claim; above zero.
    pub rate_limit: u64,
    /// Seconds between settlements of one signer, and the length of a rate window.
    pub settle_interval: u32,
    /// Seconds between the funder's close request and the close.
    pub close_grace: u32,
    /// How many levels of channels may be chained below this one; 0: none.
    pub max_chain_depth: u8,
}

impl Terms {
    /// Whether the program opens a channel on these terms; names the first rule that is broken.
    pub fn check(&self) -> Result<(), Rejection> {
        if self.unit_price == 0 {
            return Err(Rejection::ZeroUnitPrice);
        }
        if self.rate_limit == 0 {
            return Err(Rejection::ZeroRateLimit);
        }
        if !(MIN_SETTLE_INTERVAL..=MAX_SETTLE_INTERVAL).contains(&self.settle_interval) {
            return Err(Rejection::SettleIntervalOutOfRange);
        }
        if self.close_grace > MAX_CLOSE_GRACE {
            return Err(Rejection::CloseGraceOutOfRange);
        }
        if self.max_chain_depth > MAX_CHAIN_DEPTH {
            return Err(Rejection::ChainDepthOutOfRange);
        }
        Ok(())
    }

    /// The unit price as a type.
    pub fn unit_price(&self) -> Result<UnitPrice, Rejection> {
        UnitPrice::new(self.unit_price).ok_or(Rejection::ZeroUnitPrice)
    }

    /// The rate limit as an amount.
    pub const fn rate_limit(&self) -> Amount {
        Amount::new(self.rate_limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Terms =
        Terms { unit_price: 1, rate_limit: 1, settle_interval: 1, close_grace: 0, max_chain_depth: 0 };

    #[test]
    fn each_bound_is_kept_and_its_edge_allowed() {
        let edges = Terms {
            settle_interval: MAX_SETTLE_INTERVAL,
            close_grace: MAX_CLOSE_GRACE,
            max_chain_depth: MAX_CHAIN_DEPTH,
            ..GOOD
        };
        assert_eq!(GOOD.check(), Ok(()));
        assert_eq!(edges.check(), Ok(()));
        for (bad, rejection) in [
            (Terms { unit_price: 0, ..GOOD }, Rejection::ZeroUnitPrice),
            (Terms { rate_limit: 0, ..GOOD }, Rejection::ZeroRateLimit),
            (Terms { settle_interval: 0, ..GOOD }, Rejection::SettleIntervalOutOfRange),
            (Terms { settle_interval: 2_592_001, ..GOOD }, Rejection::SettleIntervalOutOfRange),
            (Terms { close_grace: 2_592_001, ..GOOD }, Rejection::CloseGraceOutOfRange),
            (Terms { max_chain_depth: 4, ..GOOD }, Rejection::ChainDepthOutOfRange),
        ] {
            assert_eq!(bad.check(), Err(rejection));
        }
    }
}
