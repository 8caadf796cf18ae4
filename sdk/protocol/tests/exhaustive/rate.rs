use amp_protocol::money::Amount;
use amp_protocol::rejection::Rejection;
use amp_protocol::rules::RateWindow;

use crate::domain::every_state;

/// The window that `now` lies in, found by walking from one to the next; the clock may have gone backwards.
fn walk(before: RateWindow, now: i64, interval: u32) -> RateWindow {
    let mut window = before;
    while now >= window.started_at + i64::from(interval) {
        window = RateWindow { started_at: window.started_at + i64::from(interval), claimed: Amount::ZERO };
    }
    window
}

#[test]
fn windows_and_allowances_are_those_of_walking_and_counting_in_all_632_835_small_cases() {
    let states = every_state(|state| {
        let (interval, now) = (1 + state.up_to32(6), state.time(-10, 30));
        let (started_at, claimed) = (state.time(-2, 2), Amount::new(state.up_to(6)));
        let (amount, limit) = (Amount::new(state.up_to(8)), Amount::new(state.up_to(6)));
        let before = RateWindow { started_at, claimed };
        let window = walk(before, now, interval);
        assert_eq!(before.at(now, interval), Ok(window));
        assert_eq!(window.ends_at(interval), window.started_at + i64::from(interval));
        let left = (window.claimed.get()..limit.get()).count() as u64;
        assert_eq!(window.allowance(limit).get(), left);
        let claimed = Amount::new(window.claimed.get() + amount.get());
        let expected = match amount.get() <= left {
            true => Ok(RateWindow { claimed, ..window }),
            false => Err(Rejection::RateExceeded),
        };
        assert_eq!(window.claim(amount, limit), expected);
        true
    });
    assert_eq!(states, 632_835);
}

/// Every history of four claims, with a clock that may also go back: in no window is more paid than the
/// limit, and nothing is refused that the window still had room for.
#[test]
fn no_window_pays_more_than_the_limit_in_all_1_048_576_histories_of_four_claims() {
    const OPENED_AT: i64 = 7;
    const INTERVAL: i64 = 3;
    const LIMIT: u64 = 4;
    let states = every_state(|state| {
        let mut stored = RateWindow { started_at: OPENED_AT, claimed: Amount::ZERO };
        // what was paid, and the number of the window it was paid in
        let mut paid: Vec<(i64, u64)> = Vec::new();
        let mut now = OPENED_AT;
        for _ in 0..4 {
            now += state.time(-3, 4);
            let amount = 1 + state.below(4);
            // a clock that goes back shows the latest window something was paid in
            let latest = paid.iter().map(|(window, _)| *window).max().unwrap_or(0);
            let window = (now - OPENED_AT).div_euclid(INTERVAL).max(latest);
            let in_window: u64 = paid.iter().filter(|one| one.0 == window).map(|one| one.1).sum();
            let outcome = stored
                .at(now, INTERVAL.try_into().unwrap())
                .and_then(|window| window.claim(Amount::new(amount), Amount::new(LIMIT)));
            assert_eq!(outcome.is_ok(), in_window + amount <= LIMIT, "{amount} at {now} after {paid:?}");
            if let Ok(after) = outcome {
                stored = after;
                paid.push((window, amount));
            }
        }
        true
    });
    assert_eq!(states, 1_048_576);
}

/// At the ends of the clock: the right window, or a refusal, and no other.
#[test]
fn windows_hold_their_time_or_are_refused_at_all_7_220_edges() {
    const INTERVALS: [u32; 5] = [0, 1, 3_600, 2_592_000, u32::MAX];
    let states = every_state(|state| {
        let (started_at, now) = (state.edge().cast_signed(), state.edge().cast_signed());
        // the edges above 2^63 are the times below zero
        let (started_at, now) =
            if state.flag() { (started_at, now) } else { (now, started_at.wrapping_neg()) };
        let (position, claimed) = (state.below(5), state.below(2));
        let interval = INTERVALS[usize::try_from(position).unwrap()];
        let before = RateWindow { started_at, claimed: Amount::new(claimed) };
        let elapsed = i128::from(now) - i128::from(started_at);
        match before.at(now, interval) {
            Ok(window) if elapsed < i128::from(interval) => assert_eq!(window, before),
            Ok(window) => {
                let into = i128::from(now) - i128::from(window.started_at);
                assert!((0..i128::from(interval)).contains(&into) && window.claimed.is_zero());
                assert_eq!((elapsed - into) % i128::from(interval), 0);
            }
            Err(rejection) => {
                assert_eq!(rejection, Rejection::ClockOutOfRange);
                assert!(i64::try_from(elapsed).is_err() || (interval == 0 && elapsed >= 0));
            }
        }
        true
    });
    assert_eq!(states, 7_220);
}
