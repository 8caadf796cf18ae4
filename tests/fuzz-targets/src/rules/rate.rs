use amp_protocol::rejection::Rejection;

use super::{at_most_the_last_second, wide};
use crate::Verdict;
use crate::input::Input;

/// A rate window at any time, and a claim in it.
pub fn rules_rate(bytes: &[u8]) -> Verdict {
    let mut input = Input::new(bytes);
    let (before, interval, now) = (input.window(), input.number32(), input.time());
    let (amount, limit) = (input.amount(), input.amount());
    let end = at_most_the_last_second(i128::from(before.started_at) + i128::from(interval));
    assert_eq!(i128::from(before.ends_at(interval)), end);

    let elapsed = i128::from(now) - i128::from(before.started_at);
    let window = match before.at(now, interval) {
        Ok(window) if window == before => {
            assert!(elapsed < i128::from(interval), "an old window was kept");
            window
        }
        Ok(window) => {
            assert!(window.claimed.is_zero() && window.started_at > before.started_at);
            assert!(
                window.started_at <= now
                    && i128::from(now) < i128::from(window.started_at) + i128::from(interval)
            );
            let moved = i128::from(window.started_at) - i128::from(before.started_at);
            assert_eq!(moved % i128::from(interval), 0, "windows are counted from the opening");
            window
        }
        Err(Rejection::ClockOutOfRange) => {
            assert!(i64::try_from(elapsed).is_err() || (interval == 0 && elapsed >= 0));
            return Verdict::Refused;
        }
        Err(other) => panic!("{other:?}"),
    };
    assert_eq!(wide(window.allowance(limit)), (wide(limit) - wide(window.claimed)).max(0));
    let outcome = window.claim(amount, limit);
    match outcome {
        Ok(after) => {
            assert_eq!(wide(after.claimed), wide(window.claimed) + wide(amount));
            assert_eq!(after.started_at, window.started_at);
            assert!(after.claimed <= limit || amount.is_zero());
        }
        Err(rejection) => {
            assert_eq!(rejection, Rejection::RateExceeded);
            assert!(wide(window.claimed) + wide(amount) > wide(limit));
        }
    }
    Verdict::of(&outcome)
}
