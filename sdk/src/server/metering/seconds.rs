use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

use super::Meter;

const SECOND: Duration = Duration::from_secs(1);

/// When the next second begins.
#[derive(Default)]
pub(crate) struct Seconds {
    /// None: the first has not begun, or the last is over and the next not paid for.
    next: Option<Pin<Box<Sleep>>>,
}

impl Seconds {
    /// Counts a second that begins; pending while one runs, ready where the next is not paid for.
    pub(crate) fn poll_unpaid(&mut self, meter: &Meter, context: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut self.next {
                Some(next) => {
                    if next.as_mut().poll(context).is_pending() {
                        return Poll::Pending;
                    }
                    let began = next.deadline();
                    if meter.count(1) == 0 {
                        self.next = None;
                        return Poll::Ready(());
                    }
                    // a runtime that was late must not make it shorter
                    next.as_mut().reset(began.checked_add(SECOND).unwrap_or_else(Instant::now));
                }
                None if meter.count(1) == 0 => return Poll::Ready(()),
                None => self.next = Some(Box::pin(sleep(SECOND))),
            }
        }
    }
}
