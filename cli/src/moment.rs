//! Times as people read and write them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A Unix time in UTC.
pub(crate) fn utc(unix_seconds: i64) -> String {
    let since = Duration::from_secs(u64::try_from(unix_seconds).unwrap_or_default());
    match UNIX_EPOCH.checked_add(since).filter(|_| unix_seconds < 253_402_300_800) {
        Some(time) => humantime::format_rfc3339_seconds(time).to_string(),
        None => format!("unix time {unix_seconds}"),
    }
}

/// Seconds as hours and minutes; of many the two largest units.
pub(crate) fn span(seconds: u64) -> String {
    let text = humantime::format_duration(Duration::from_secs(seconds)).to_string();
    text.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

/// How far off a time is, seen from `now`.
pub(crate) fn left(until: i64, now: i64) -> String {
    match u64::try_from(until.saturating_sub(now)) {
        Ok(0) | Err(_) => "now".to_owned(),
        Ok(seconds) => format!("in {}", span(seconds)),
    }
}

/// This machine's clock, in Unix seconds.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_and_spans_have_two_units() {
        assert_eq!(utc(1_700_000_000), "2023-11-14T22:13:20Z");
        assert_eq!(utc(i64::MAX), format!("unix time {}", i64::MAX));
        assert_eq!(span(90_061), "1day 1h");
        assert_eq!((left(100, 40), left(40, 40), left(1, 40)), ("in 1m".into(), "now".into(), "now".into()));
    }
}
