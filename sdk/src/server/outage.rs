//! Serving on while the chain can't be reached. What is admitted on an old view may not be collectable: its
//! funder may have asked for a close that nobody sees. So the amount is bounded, and so is the time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use amp_protocol::message::Key;
use amp_protocol::money::Amount;
use tokio::sync::watch;
use tokio::time::Instant;

use super::views::lock;

/// How old a view may be that is served on while the chain does not answer, where no served channel has less than
/// `min_close_grace` seconds of grace and the watch may take `blind` to look at one.
///
/// A close may have been asked for right after the last look, so its grace is over `min_close_grace` after it
/// at the earliest. Half of that is kept for the chain to come back and for settling; and never less than
/// what the watch may take to look. An outage that lasts longer than the grace takes everything that is owed
/// by then, however short this is: that is what the amount is bounded for.
pub(crate) fn oldest_view(min_close_grace: u32, blind: Duration) -> Duration {
    let grace = Duration::from_secs(min_close_grace.into());
    grace.checked_div(2).unwrap_or_default().min(grace.saturating_sub(blind))
}

/// Whether the chain answers, and what was admitted without a look at it.
pub(crate) struct Outage {
    limit: Amount,
    longest: Duration,
    /// Since when no look has succeeded.
    away: watch::Sender<Option<Instant>>,
    exposed: Mutex<Exposures>,
}

#[derive(Default)]
struct Exposures {
    total: Amount,
    channels: HashMap<Key, Exposure>,
    /// Numbers the exposures, so that what was admitted before a look gives nothing back after it.
    next: u64,
}

#[derive(Clone, Copy)]
struct Exposure {
    number: u64,
    amount: Amount,
}

/// What one request may cost that was admitted on an old view. Dropped, the price is given back.
#[derive(Debug)]
pub(crate) struct Exposed {
    outage: Arc<Outage>,
    channel: Key,
    number: u64,
    amount: Amount,
}

impl Outage {
    /// At most `limit` is admitted in all on views that are older than they should be, and on none that is older
    /// than `longest`.
    pub(crate) fn new(limit: Amount, longest: Duration) -> Arc<Self> {
        let (away, exposed) = (watch::Sender::new(None), Mutex::default());
        Arc::new(Self { limit, longest, away, exposed })
    }

    /// How old a view may be that is served on now; `None`: nothing is served on old views.
    pub(crate) fn oldest_view(&self) -> Option<Duration> {
        (self.is_away() && !self.limit.is_zero()).then_some(self.longest)
    }

    /// Whether the last look failed.
    pub(crate) fn is_away(&self) -> bool {
        self.away.borrow().is_some()
    }

    /// To wait for the chain to go and to come back.
    pub(crate) fn changes(&self) -> watch::Receiver<Option<Instant>> {
        self.away.subscribe()
    }

    /// The chain answered.
    pub(crate) fn answered(&self) {
        self.away.send_if_modified(|away| away.take().is_some());
    }

    /// It did not.
    pub(crate) fn did_not_answer(&self) {
        self.away.send_if_modified(|away| {
            let answered = away.is_none();
            away.get_or_insert_with(Instant::now);
            answered
        });
    }

    /// A channel was looked at: what was admitted on its last view is as safe as all else.
    pub(crate) fn looked_at(&self, channel: Key) {
        let exposed = &mut *lock(&self.exposed);
        if let Some(exposure) = exposed.channels.remove(&channel) {
            exposed.total = exposed.total.checked_sub(exposure.amount).unwrap_or(Amount::ZERO);
        }
    }

    /// Admits `price` base units on an old view of a channel, if so much may be.
    pub(crate) fn admit(self: &Arc<Self>, channel: Key, price: Amount) -> Option<Exposed> {
        let exposed = &mut *lock(&self.exposed);
        let total = exposed.total.checked_add(price).filter(|total| *total <= self.limit)?;
        let before = exposed.channels.get(&channel).copied();
        let number = before.map_or(exposed.next, |exposure| exposure.number);
        let amount = before.map_or(Amount::ZERO, |exposure| exposure.amount).checked_add(price)?;
        // a credential without a price takes up no room
        if !price.is_zero() {
            exposed.total = total;
            exposed.next = exposed.next.max(number.saturating_add(1));
            exposed.channels.insert(channel, Exposure { number, amount });
        }
        Some(Exposed { outage: self.clone(), channel, number, amount: price })
    }

    fn give_back(&self, channel: Key, number: u64, amount: Amount) {
        let exposed = &mut *lock(&self.exposed);
        let Some(exposure) = exposed.channels.get_mut(&channel).filter(|found| found.number == number) else {
            return;
        };
        exposure.amount = exposure.amount.checked_sub(amount).unwrap_or(Amount::ZERO);
        if exposure.amount.is_zero() {
            exposed.channels.remove(&channel);
        }
        exposed.total = exposed.total.checked_sub(amount).unwrap_or(Amount::ZERO);
    }
}

impl std::fmt::Debug for Outage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Outage({} of {})", lock(&self.exposed).total, self.limit)
    }
}

impl Exposed {
    /// Of the price, `cost` was charged and is owed.
    pub(crate) fn charged(mut self, cost: Amount) {
        self.amount = self.amount.checked_sub(cost).unwrap_or(Amount::ZERO);
    }
}

impl Drop for Exposed {
    fn drop(&mut self) {
        if !self.amount.is_zero() {
            self.outage.give_back(self.channel, self.number, self.amount);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Key = [1; 32];
    const OTHER: Key = [2; 32];

    fn outage() -> Arc<Outage> {
        Outage::new(Amount::new(100), Duration::from_secs(60))
    }

    fn room(outage: &Arc<Outage>) -> u64 {
        let room = (0..=200).rev().find(|price| outage.admit(OTHER, Amount::new(*price)).is_some());
        room.unwrap()
    }

    #[test]
    fn old_views_are_served_on_for_half_the_grace_and_while_the_watch_has_time_to_look() {
        let seconds = |grace, blind| oldest_view(grace, Duration::from_secs(blind)).as_secs();
        assert_eq!(seconds(3_600, 45), 1_800);
        assert_eq!(seconds(3_600, 1_800), 1_800);
        assert_eq!(seconds(3_600, 3_015), 585);
        assert_eq!(seconds(0, 45), 0);
    }

    #[test]
    fn no_more_is_admitted_in_all_than_the_limit() {
        let outage = outage();
        let one = outage.admit(ONE, Amount::new(60)).unwrap();
        assert!(outage.admit(OTHER, Amount::new(41)).is_none());
        let other = outage.admit(OTHER, Amount::new(40)).unwrap();
        assert!(outage.admit(ONE, Amount::new(1)).is_none());
        assert!(outage.admit(ONE, Amount::ZERO).is_some(), "what costs nothing exposes nothing");
        assert!(outage.admit(ONE, Amount::MAX).is_none());
        drop((one, other));
        assert_eq!(room(&outage), 100);
    }

    #[test]
    fn what_is_released_is_given_back_and_what_is_charged_is_not() {
        let outage = outage();
        outage.admit(ONE, Amount::new(60)).unwrap().charged(Amount::new(25));
        drop(outage.admit(ONE, Amount::new(60)).unwrap());
        assert_eq!(room(&outage), 75);
    }

    #[test]
    fn a_look_at_a_channel_frees_what_was_admitted_on_it_and_on_no_other() {
        let outage = outage();
        let begun_before = outage.admit(ONE, Amount::new(30)).unwrap();
        outage.admit(ONE, Amount::new(20)).unwrap().charged(Amount::new(20));
        outage.admit(OTHER, Amount::new(10)).unwrap().charged(Amount::new(10));
        outage.looked_at(ONE);
        assert_eq!(room(&outage), 90);
        // the next outage: what was admitted in the last one gives nothing back now
        outage.admit(ONE, Amount::new(40)).unwrap().charged(Amount::new(40));
        drop(begun_before);
        assert_eq!(room(&outage), 50);
    }

    #[test]
    fn nothing_is_served_on_old_views_while_the_chain_answers_or_without_a_limit() {
        let (outage, without) = (outage(), Outage::new(Amount::ZERO, Duration::from_secs(60)));
        assert_eq!(outage.oldest_view(), None);
        for outage in [&outage, &without] {
            outage.did_not_answer();
        }
        assert_eq!((outage.oldest_view(), without.oldest_view()), (Some(Duration::from_secs(60)), None));
        outage.answered();
        assert_eq!(outage.oldest_view(), None);
    }
}
