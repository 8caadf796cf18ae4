use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use amp_protocol::account::ChannelAccount;
use amp_protocol::message::Key;
use amp_protocol::money::Seq;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::{Instant, timeout};

use super::ledger::{ChannelLedger, SignerId};
use super::metering::{Meter, WeakMeter};
use super::settlement::Noted;
use super::store::{Incarnation, StoredChannel};
use super::turns::Turns;
use super::views::lock;
use crate::chain::TRANSACTION_LIFE;

/// How long the books of a channel that is gone still answer "closed" instead of "unknown".
const MEMORY_OF_ENDED: Duration = Duration::from_secs(3_600);

/// The metered requests of a channel, each by its signer and seq.
type Streams = BTreeMap<(SignerId, Seq), Stream>;

struct Stream {
    meter: WeakMeter,
    /// The seq that it waits for, if it does.
    required: Option<Seq>,
}

/// One incarnation's ledger, shared by the requests on it.
pub(crate) struct Book {
    pub(crate) incarnation: Incarnation,
    ledger: Mutex<ChannelLedger>,
    /// A request ended, or more was authorized, or service stopped.
    changes: Notify,
    /// The watch has its read before it.
    is_to_be_watched: AtomicBool,
    /// Where the store is shared: how the ledger changes.
    turns: OnceLock<Box<Turns>>,
    /// There once it is needed.
    seldom: OnceLock<Box<Seldom>>,
    /// Where the last look found something to tell. Boxed, as nearly all channels are idle.
    noted: Mutex<Option<Box<Noted>>>,
}

/// What nearly all channels, which are idle, have no need of.
#[derive(Default)]
struct Seldom {
    /// One close at a time: the second takes the first's statement.
    closing: tokio::sync::Mutex<()>,
    times: Mutex<Times>,
    streams: Mutex<Streams>,
}

#[derive(Clone, Copy, Default)]
struct Times {
    /// Since when every look found the channel gone.
    gone: Option<Instant>,
    ended: Option<Instant>,
    /// When this service last sent, or was about to send, a close of its own.
    close_sent: Option<Instant>,
}

impl Book {
    fn new(incarnation: Incarnation, ledger: ChannelLedger) -> Self {
        Self {
            incarnation,
            ledger: Mutex::new(ledger),
            changes: Notify::new(),
            is_to_be_watched: AtomicBool::new(false),
            turns: OnceLock::new(),
            seldom: OnceLock::new(),
            noted: Mutex::default(),
        }
    }

    fn restore(stored: StoredChannel) -> Arc<Self> {
        let ledger = ChannelLedger::restore(stored.signers, stored.stopped_at, stored.statement);
        Arc::new(Self::new(stored.incarnation, ledger))
    }

    pub(crate) fn turns(&self) -> &Turns {
        self.turns.get_or_init(Box::default)
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, ChannelLedger> {
        lock(&self.ledger)
    }

    /// Changes the ledger where that may end a request in flight, and wakes who waits for the last.
    pub(crate) fn settle_request<T>(&self, change: impl FnOnce(&mut ChannelLedger) -> T) -> T {
        let outcome = change(&mut self.ledger());
        self.has_changed();
        outcome
    }

    /// Wakes whoever waits for the next change.
    pub(crate) fn has_changed(&self) {
        self.changes.notify_waiters();
    }

    /// The next change of what requests wait for.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.changes.notified()
    }

    /// The watch is going to read the channel; whether it was not already.
    pub(crate) fn watch_begins(&self) -> bool {
        !self.is_to_be_watched.swap(true, Ordering::Relaxed)
    }

    /// It has.
    pub(crate) fn watch_ends(&self) {
        self.is_to_be_watched.store(false, Ordering::Relaxed);
    }

    fn seldom(&self) -> &Seldom {
        self.seldom.get_or_init(Box::default)
    }

    /// Keeps others from closing until it is dropped.
    pub(crate) async fn closing(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.seldom().closing.lock().await
    }

    /// A stream has begun.
    pub(crate) fn stream_begins(&self, signer: SignerId, seq: Seq, meter: WeakMeter) {
        lock(&self.seldom().streams).insert((signer, seq), Stream { meter, required: None });
    }

    /// A stream is over.
    pub(crate) fn stream_ends(&self, signer: SignerId, seq: Seq) {
        lock(&self.seldom().streams).remove(&(signer, seq));
    }

    /// The streams of this process.
    pub(crate) fn streams(&self) -> Vec<Meter> {
        let Some(seldom) = self.seldom.get() else { return Vec::new() };
        lock(&seldom.streams).values().filter_map(|stream| stream.meter.upgrade()).collect()
    }

    /// A stream waits until its signer has signed `required`; none: it does not wait any more.
    pub(crate) fn waits(&self, signer: SignerId, seq: Seq, required: Option<Seq>) {
        if let Some(stream) = lock(&self.seldom().streams).get_mut(&(signer, seq)) {
            stream.required = required;
        }
    }

    /// The seq that the stream of this signer waits for which was begun with `begun_with`; of all of them the highest,
    /// where that is 0.
    pub(crate) fn required_of(&self, signer: &SignerId, begun_with: Seq) -> Option<Seq> {
        let streams = lock(&self.seldom.get()?.streams);
        if begun_with != Seq::ZERO {
            return streams.get(&(*signer, begun_with))?.required;
        }
        let own = streams.iter().filter(|((of, _), _)| of == signer);
        own.filter_map(|(_, stream)| stream.required).max()
    }

    /// Waits until no request is in flight, but not for longer than `limit`.
    pub(crate) async fn drained(&self, limit: Duration) {
        let none_left = async {
            loop {
                let mut notified = std::pin::pin!(self.changed());
                // listen before looking, or the last one may end in between
                notified.as_mut().enable();
                if self.ledger().in_flight() == 0 {
                    return;
                }
                notified.await;
            }
        };
        let _ = timeout(limit, none_left).await;
    }

    /// Takes note of a look at the chain; whether the channel is gone for good. That takes looks over
    /// `patience`: one may have been at a node that lags.
    pub(crate) fn seen(&self, gone: bool, patience: Duration) -> bool {
        if gone {
            return lock(&self.seldom().times).gone.get_or_insert_with(Instant::now).elapsed() >= patience;
        }
        if let Some(seldom) = self.seldom.get() {
            lock(&seldom.times).gone = None;
        }
        false
    }

    fn times(&self) -> Times {
        self.seldom.get().map(|seldom| *lock(&seldom.times)).unwrap_or_default()
    }

    pub(crate) fn end(&self) {
        lock(&self.seldom().times).ended.get_or_insert_with(Instant::now);
    }

    /// The channel is on chain. Where it was taken for gone the node was wrong, and all is as before.
    pub(crate) fn is_there(&self) {
        let Some(seldom) = self.seldom.get() else { return };
        let mut times = lock(&seldom.times);
        if times.ended.take().is_some() {
            times.gone = None;
            tracing::warn!(channel = %self.incarnation, "a channel that was taken for closed is on chain");
        }
    }

    /// What the last look found, where that is more than that all is well.
    pub(crate) fn noted(&self) -> Option<Noted> {
        lock(&self.noted).as_deref().copied()
    }

    /// Takes note of what a look found.
    pub(crate) fn note(&self, account: &ChannelAccount, noted: Option<Noted>) {
        self.ledger().has_seen_claimed(account);
        *lock(&self.noted) = noted.map(Box::new);
    }

    /// Takes note that a close of this service's is on its way.
    pub(crate) fn close_is_sent(&self) {
        lock(&self.seldom().times).close_sent = Some(Instant::now());
    }

    fn may_still_be_closed(&self) -> bool {
        self.times().close_sent.is_some_and(|sent| sent.elapsed() < TRANSACTION_LIFE)
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.times().ended.is_some()
    }
}

/// All ledgers: by address those of its incarnations, the newest last. Hardly any address has two.
#[derive(Default)]
pub(crate) struct Books(Mutex<HashMap<Key, Vec<Arc<Book>>>>);

impl Books {
    /// All that was stored. A channel that is stopped counts as if its close had been sent now.
    pub(crate) fn restore(stored: Vec<StoredChannel>) -> Self {
        let mut books = HashMap::with_capacity(stored.len());
        for found in stored {
            // the process before this one may have sent a close just before it ended
            let may_be_closed = found.stopped_at.is_some();
            let book = find_or_insert(&mut books, found.incarnation, || Book::restore(found));
            if may_be_closed {
                book.close_is_sent();
            }
        }
        Self(Mutex::new(books))
    }

    /// Takes up a book that was stored, unless it is there.
    pub(crate) fn recall(&self, stored: StoredChannel) {
        find_or_insert(&mut lock(&self.0), stored.incarnation, || Book::restore(stored));
    }

    /// The book of an incarnation that is on chain, new if it was never served.
    pub(crate) fn open(&self, incarnation: Incarnation) -> Arc<Book> {
        let new = || Arc::new(Book::new(incarnation, ChannelLedger::default()));
        let mut books = lock(&self.0);
        let book = find_or_insert(&mut books, incarnation, new);
        book.is_there();
        book.clone()
    }

    /// The book of an incarnation, if there is one.
    pub(crate) fn find(&self, incarnation: &Incarnation) -> Option<Arc<Book>> {
        let books = lock(&self.0);
        books.get(&incarnation.channel)?.iter().find(|book| book.incarnation == *incarnation).cloned()
    }

    /// The books of all incarnations of an address.
    pub(crate) fn of(&self, channel: Key) -> Vec<Arc<Book>> {
        lock(&self.0).get(&channel).cloned().unwrap_or_default()
    }

    /// Whether a close that this service sent for another incarnation of the address may still land. It names
    /// the address alone: landing late, it would close this incarnation, unpaid.
    pub(crate) fn is_closed_by_accident(&self, incarnation: &Incarnation) -> bool {
        let books = lock(&self.0);
        let mut all = books.get(&incarnation.channel).into_iter().flatten();
        all.any(|book| book.incarnation != *incarnation && book.may_still_be_closed())
    }

    /// Every book, ended or not, in no order.
    pub(crate) fn all(&self) -> Vec<Arc<Book>> {
        lock(&self.0).values().flatten().cloned().collect()
    }

    /// Every book that has not ended; forgets those that ended long ago.
    pub(crate) fn active(&self) -> Vec<Arc<Book>> {
        let is_remembered =
            |book: &Book| book.times().ended.is_none_or(|ended| ended.elapsed() < MEMORY_OF_ENDED);
        let mut active: Vec<Arc<Book>> = {
            let mut books = lock(&self.0);
            books.retain(|_, all| {
                all.retain(|book| is_remembered(book));
                !all.is_empty()
            });
            books.values().flatten().filter(|book| !book.has_ended()).cloned().collect()
        };
        active.sort_unstable_by_key(|book| book.incarnation);
        active
    }
}

fn find_or_insert(
    books: &mut HashMap<Key, Vec<Arc<Book>>>,
    incarnation: Incarnation,
    new: impl FnOnce() -> Arc<Book>,
) -> &Arc<Book> {
    let all = books.entry(incarnation.channel).or_default();
    let at = all.partition_point(|book| book.incarnation < incarnation);
    if all.get(at).is_none_or(|book| book.incarnation != incarnation) {
        all.reserve_exact(1);
        all.insert(at, new());
    }
    &all[at]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_look_at_a_lagging_node_ends_nothing() {
        let books = Books::default();
        let book = books.open(Incarnation { channel: [1; 32], opened_slot: 2 });
        let patience = Duration::from_secs(10);
        assert!(!book.seen(true, patience) && !book.seen(true, patience));
        tokio::time::advance(patience).await;
        assert!(!book.seen(false, patience) && !book.seen(true, patience));
        tokio::time::advance(patience).await;
        assert!(book.seen(true, patience));
    }

    #[tokio::test(start_paused = true)]
    async fn a_book_that_is_opened_again_has_not_ended_and_holds_what_it_did() {
        let books = Books::default();
        let incarnation = Incarnation { channel: [1; 32], opened_slot: 2 };
        let book = books.open(incarnation);
        book.ledger().stopped_at = Some(7);
        book.seen(true, Duration::ZERO);
        book.end();
        assert!(books.active().is_empty());
        assert_eq!(books.open(incarnation).ledger().stopped_at, Some(7));
        assert_eq!(books.active().len(), 1);
        tokio::time::advance(MEMORY_OF_ENDED).await;
        assert_eq!(books.active().len(), 1);
        assert!(!book.seen(true, MEMORY_OF_ENDED), "what was seen before it ended counts no more");
    }

    #[tokio::test(start_paused = true)]
    async fn a_close_that_may_still_land_keeps_the_next_incarnation_waiting() {
        let books = Books::default();
        let at = |channel, opened_slot| Incarnation { channel: [channel; 32], opened_slot };
        books.open(at(1, 2)).close_is_sent();
        assert!(books.is_closed_by_accident(&at(1, 3)));
        assert!(!books.is_closed_by_accident(&at(1, 2)), "its own close is no accident");
        assert!(!books.is_closed_by_accident(&at(2, 3)));
        tokio::time::advance(TRANSACTION_LIFE).await;
        assert!(!books.is_closed_by_accident(&at(1, 3)));
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_start_a_stopped_channel_keeps_the_next_incarnation_waiting_as_if_its_close_were_sent() {
        let at = |channel, opened_slot| Incarnation { channel: [channel; 32], opened_slot };
        let stored = |incarnation, stopped_at| {
            let claimed = amp_protocol::money::Amount::ZERO;
            StoredChannel { incarnation, signers: Vec::new(), stopped_at, statement: None, claimed }
        };
        let books = Books::restore(vec![stored(at(1, 2), Some(7)), stored(at(2, 2), None)]);
        assert!(books.is_closed_by_accident(&at(1, 3)));
        assert!(!books.is_closed_by_accident(&at(1, 2)) && !books.is_closed_by_accident(&at(2, 3)));
        tokio::time::advance(TRANSACTION_LIFE).await;
        assert!(!books.is_closed_by_accident(&at(1, 3)));
    }

    #[test]
    fn incarnations_of_an_address_have_their_own_books() {
        let books = Books::default();
        let at = |channel, opened_slot| Incarnation { channel: [channel; 32], opened_slot };
        for incarnation in [at(1, u64::MAX), at(1, 2), at(2, 0), at(1, 2)] {
            books.open(incarnation);
        }
        let of = books.of([1; 32]).iter().map(|book| book.incarnation).collect::<Vec<_>>();
        assert_eq!(of, [at(1, 2), at(1, u64::MAX)], "the newest last");
        assert!(books.find(&at(1, 3)).is_none());
    }
}
