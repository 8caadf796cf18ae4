use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use super::Meter;

const SECOND: Duration = Duration::from_secs(1);

/// When the next second begins.
#[derive(Default)]
pub(crate) struct Seconds {
    /// None: the first has not begun, or one has that is not paid for.
    next: Option<Pin<Box<Sleep>>>,
    /// How much of the one that is not paid for had passed when that was found out.
    passed: Duration,
}

impl Seconds {
    /// Counts the seconds that have begun; pending while one runs, ready where the next is not paid for.
    pub(crate) fn poll_unpaid(&mut self, meter: &Meter, context: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut self.next {
                Some(next) => {
                    // by the clock: where the work did not yield, no timer has run
                    let (begins, now) = (next.deadline(), Instant::now());
                    if begins > now && next.as_mut().poll(context).is_pending() {
                        return Poll::Pending;
                    }
                    if meter.count(1) == 0 {
                        (self.next, self.passed) = (None, now.saturating_duration_since(begins));
                        return Poll::Ready(());
                    }
                    // a runtime that was late must not make it longer
                    next.as_mut().reset(after(begins, SECOND));
                }
                None if meter.count(1) == 0 => return Poll::Ready(()),
                None => {
                    let now = Instant::now();
                    let began = now.checked_sub(std::mem::take(&mut self.passed)).unwrap_or(now);
                    self.next = Some(Box::pin(sleep_until(after(began, SECOND))));
                }
            }
        }
    }
}

fn after(begins: Instant, time: Duration) -> Instant {
    begins.checked_add(time).unwrap_or(begins)
}
