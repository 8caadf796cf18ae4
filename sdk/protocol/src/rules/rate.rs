use crate::money::Amount;
use crate::rejection::Rejection;

/// The window that bounds how fast a channel can be drained: all settlements within one
/// `settle_interval`, counted from the opening, claim at most `rate_limit`. Nothing accumulates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateWindow {
    /// Unix seconds at which the window began: the opening plus a whole number of intervals.
    pub started_at: i64,
    /// Claimed within the window.
    pub claimed: Amount,
}

impl RateWindow {
    /// The window that `now` lies in. A clock that went backwards stays in the window it was in:
    /// an earlier, emptier window would let the same allowance be claimed twice.
    pub fn at(self, now: i64, settle_interval: u32) -> Result<Self, Rejection> {
        let interval = i64::from(settle_interval);
        let elapsed = now.checked_sub(self.started_at).ok_or(Rejection::ClockOutOfRange)?;
        if elapsed < interval {
            return Ok(self);
        }
        // unsigned: elapsed >= interval >= 0 here, and an interval of zero has no windows
        let into =
            elapsed.unsigned_abs().checked_rem(interval.unsigned_abs()).ok_or(Rejection::ClockOutOfRange)?;
        let started_at = now.checked_sub_unsigned(into).ok_or(Rejection::ClockOutOfRange)?;
        Ok(Self { started_at, claimed: Amount::ZERO })
    }

    /// What may still be claimed within this window.
    pub fn allowance(self, rate_limit: Amount) -> Amount {
        rate_limit.checked_sub(self.claimed).unwrap_or(Amount::ZERO)
    }

    /// The window after `amount` more was claimed in it.
    pub fn claim(self, amount: Amount, rate_limit: Amount) -> Result<Self, Rejection> {
        if amount > self.allowance(rate_limit) {
            return Err(Rejection::RateExceeded);
        }
        let claimed = self.claimed.checked_add(amount).ok_or(Rejection::RateExceeded)?;
        Ok(Self { claimed, ..self })
    }

    /// Unix seconds at which the next window begins.
    pub fn ends_at(self, settle_interval: u32) -> i64 {
        self.started_at.saturating_add(i64::from(settle_interval))
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn window(started_at: i64, claimed: u64) -> RateWindow {
        RateWindow { started_at, claimed: Amount::new(claimed) }
    }

    #[test]
    fn a_new_window_forgets_what_the_last_one_claimed_and_saved() {
        let full = window(100, 7);
        assert_eq!(full.at(109, 10), Ok(full));
        assert_eq!(full.at(110, 10), Ok(window(110, 0)));
        assert_eq!(full.at(1_234, 10), Ok(window(1_230, 0)));
        assert_eq!(window(100, 0).at(1_234, 10).unwrap().allowance(Amount::new(5)), Amount::new(5));
    }

    #[test]
    fn a_clock_that_goes_back_opens_no_window() {
        assert_eq!(window(100, 7).at(50, 10), Ok(window(100, 7)));
    }

    #[test]
    fn the_rate_limit_can_be_reached_but_not_passed() {
        let limit = Amount::new(10);
        assert_eq!(window(0, 7).claim(Amount::new(3), limit), Ok(window(0, 10)));
        assert_eq!(window(0, 7).claim(Amount::new(4), limit), Err(Rejection::RateExceeded));
        assert_eq!(window(0, 0).claim(Amount::MAX, limit), Err(Rejection::RateExceeded));
    }

    proptest! {
        #[test]
        fn a_window_holds_the_time_it_was_asked_for(
            opened_at in 0..i64::from(u32::MAX), later in 0..i64::from(u32::MAX), interval in 1..2_592_001u32,
        ) {
            let now = opened_at + later;
            let window = window(opened_at, 0).at(now, interval).unwrap();
            prop_assert!(window.started_at <= now && now < window.ends_at(interval));
            prop_assert_eq!((window.started_at - opened_at) % i64::from(interval), 0);
        }
    }
}
