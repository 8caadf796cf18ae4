use amp_protocol::money::Amount;
use tokio::time::Instant;

use super::Meter;
use super::window::Window;
use crate::server::bookkeeping::Stopped;
use crate::server::ledger::Advance;
use crate::server::views::{Freshness, lock};

/// How a request goes on.
pub(super) struct Advancing {
    window: Window,
    /// When the last advance was made.
    last: Option<Instant>,
}

impl Advancing {
    /// `first`: how many things are paid for ahead at first.
    pub(super) fn new(first: u64) -> Self {
        Self { window: Window::first(first), last: None }
    }
}

impl Meter {
    /// Has so many more things paid for, and some ahead. `since`: how old what is known of the chain may be, where
    /// something had to change there first.
    pub(super) async fn advance(
        self,
        count: u64,
        since: Option<Instant>,
        has_waited: bool,
    ) -> Result<(), Stopped> {
        let request = &self.0;
        let mut advancing = request.advancing.clone().lock_owned().await;
        let (reservation, verified, counted) = {
            let state = lock(&request.state);
            // another clone may have been faster, or have ended it
            let Some(reservation) = state.reservation.filter(|_| state.available() < count) else {
                return Ok(());
            };
            (reservation, state.verified.clone(), state.counted)
        };
        let freshness = since.map_or(Freshness::Cached, Freshness::Since);
        let channel = request.book.incarnation.channel;
        let verified = request.core.standing(&verified, channel, freshness).await?;
        let window = match advancing.last {
            Some(last) if !has_waited => advancing.window.after(last.elapsed()),
            _ => advancing.window,
        };
        let used = request.rate.cost(counted).unwrap_or(Amount::MAX);
        let total_of = |count: u64| {
            let cost = counted.checked_add(count).and_then(|all| request.rate.cost(all));
            cost.unwrap_or(Amount::MAX)
        };
        let (least, most) = (total_of(count), total_of(count.max(window.count())));
        let advance = Advance { used, least, most, authority: verified.authority };
        let (core, book, account) = (&request.core, &request.book, &verified.account);
        let next = match core.book_advance(book, account, reservation, advance).await {
            // what has left is charged, though there is no more: it may be long until the request ends
            Err(stopped) if stopped.may_pass && used > reservation.metered.unwrap_or(Amount::ZERO) => {
                let only = Advance { least: Amount::ZERO, most: Amount::ZERO, ..advance };
                let charged = core.book_advance(book, account, reservation, only).await?;
                lock(&request.state).reservation.replace(charged);
                return Err(stopped);
            }
            advanced => advanced?,
        };
        (advancing.window, advancing.last) = (window, Some(Instant::now()));
        request.say(None);
        let mut state = lock(&request.state);
        state.verified = verified;
        if state.ended.is_none() {
            state.covered = request.rate.count_within(next.total());
        }
        if state.reservation.is_some() {
            state.reservation = Some(next);
        }
        Ok(())
    }
}
