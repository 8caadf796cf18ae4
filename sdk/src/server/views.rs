use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until, timeout};

use crate::chain::ChainError;

/// Most keys remembered. An entry has about half a kilobyte, and what was read.
const CAPACITY: usize = 20_000;
/// How long a key under which there is nothing stays without, and how far apart the looks at one key
/// are that requests can force.
const SHORT: Duration = Duration::from_secs(1);
/// By how many milliseconds more they are apart at most, each key a little differently: whoever floods many
/// keys is not answered about all of them at the same instant, in the way of everybody else. All its bits are
/// set.
const SPREAD: u64 = 511;
/// How long a read may take, the wait for its turn included, before its requests are told to come
/// back later.
pub(crate) const READ_WAIT: Duration = Duration::from_secs(10);

/// How long a view of a higher slot stands against reads of lower ones: those are of nodes that lag, but
/// a chain that began anew must be believed in the end.
const LAG: Duration = Duration::from_secs(30);

/// What a read brings that may take [`READ_WAIT`], and no longer.
pub(crate) async fn in_time<T>(read: impl Future<Output = Result<T, ChainError>>) -> Result<T, ChainError> {
    let slow = |_| Err(ChainError::Unreachable("no answer in time".to_owned()));
    timeout(READ_WAIT, read).await.unwrap_or_else(slow)
}

/// How new a view must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// As old as the configuration allows.
    Cached,
    /// Read at this time or later. Clients can force that as often as they like, so such reads of a
    /// key are a second apart, and it may have to wait for its turn.
    Since(Instant),
    /// Read after the call began, without waiting for a turn.
    Now,
}

/// Where views come from.
pub(crate) trait Source: Send + Sync + 'static {
    /// What is looked at.
    type Key: Copy + Eq + Hash + Send + Sync;
    /// What is seen, cheap to clone.
    type View: Clone + PartialEq + Send + Sync;

    /// Asks the chain; says the slot of what is seen where the chain tells. `before` is what was seen last.
    fn read(
        &self,
        key: Self::Key,
        before: Option<Self::View>,
    ) -> impl Future<Output = Result<(Self::View, Option<u64>), ChainError>> + Send;

    /// Takes note of how a read ended, one that took too long too.
    fn note(&self, _key: Self::Key, _read: Result<(), &ChainError>) {}

    /// Whether something is there. Anyone can ask for what is not.
    fn is_there(view: &Self::View) -> bool;
}

/// What is known of a key. Two clocks order it: reads vouch for a view from the time on at which they began, and
/// of two views the one of the higher slot is the newer. So a change that is told late replaces nothing
/// newer, and a view that was told is no younger than the last read: whether anything was left out since, only
/// a read can say.
#[derive(Clone)]
struct Seen<V> {
    view: V,
    /// When the last read began that vouches for it.
    at: Option<Instant>,
    /// The slot of the view, where it is known.
    slot: Option<u64>,
    /// When a view of that slot came.
    since: Instant,
    /// When another view was told of which it is not known whether it is newer. Reads that began before
    /// vouch for nothing.
    doubted: Option<Instant>,
}

impl<V> Seen<V> {
    /// Whether a read of `slot` was at a node that lags.
    fn is_ahead_of(&self, slot: Option<u64>) -> bool {
        let ahead = self.slot.zip(slot).is_some_and(|(seen, read)| seen > read);
        ahead && self.since.elapsed() < LAG
    }

    fn is_younger_than(&self, age: Duration) -> bool {
        self.at.is_some_and(|at| at.elapsed() < age)
    }
}

struct Entry<V> {
    seen: Mutex<Option<Seen<V>>>,
    /// When the last read that failed began.
    failed: Mutex<Option<Instant>>,
    /// One read at a time: whoever comes meanwhile takes what it brings.
    refreshing: tokio::sync::Mutex<()>,
    /// The same for forced reads: one of those may wait for long, and must not hold up the others.
    forcing: tokio::sync::Mutex<()>,
    /// What is between forced reads.
    between: Duration,
}

impl<V> Default for Entry<V> {
    fn default() -> Self {
        let (seen, failed) = (Mutex::new(None), Mutex::new(None));
        // a hasher's key is random
        let random = RandomState::new().hash_one(()) & SPREAD;
        Self {
            seen,
            failed,
            refreshing: tokio::sync::Mutex::default(),
            forcing: tokio::sync::Mutex::default(),
            between: SHORT.saturating_add(Duration::from_millis(random)),
        }
    }
}

type Entries<S> = HashMap<<S as Source>::Key, Arc<Entry<<S as Source>::View>>>;

/// What was on chain a moment ago. Strangers can ask as often as they like, and with bad signatures
/// force a newer look; three kinds of reads have their own share of the node, so that none of it
/// holds up the service of channels that are in use.
pub(crate) struct Views<S: Source> {
    pub(super) source: S,
    max_age: Duration,
    entries: Mutex<Entries<S>>,
    /// Reads of what was there, because of its age.
    refreshes: Semaphore,
    /// Reads of what was there, because a request was refused.
    forced: Semaphore,
    /// Reads of all else: made up keys take no turn away from others.
    unknown: Semaphore,
}

impl<S: Source> Views<S> {
    /// Views that are at most `max_age` old, with `reads` of each kind under way at once: a flood must
    /// not become one at the node.
    pub(crate) fn new(source: S, max_age: Duration, reads: usize) -> Self {
        let [refreshes, forced, unknown] = [(); 3].map(|()| Semaphore::new(reads));
        Self { source, max_age, entries: Mutex::default(), refreshes, forced, unknown }
    }

    /// What is on chain under `key`.
    pub(crate) async fn get(&self, key: S::Key, freshness: Freshness) -> Result<S::View, ChainError> {
        let arrived = Instant::now();
        let entry = self.entry(key);
        if let Some(view) = self.seen(&entry, freshness) {
            return Ok(view);
        }
        if freshness == Freshness::Now {
            // the settlement worker: few at a time, and money waits for it, so it takes no place in a
            // queue that clients can fill
            return Box::pin(self.read(&entry, key)).await;
        }
        let slow = || ChainError::Unreachable("no turn to read in time".to_owned());
        // boxed: a request holds room for it, and few need it
        let read = Box::pin(self.read_in_turn(&entry, key, freshness, arrived));
        timeout(READ_WAIT, read).await.map_err(|_| slow())?
    }

    async fn read_in_turn(
        &self,
        entry: &Entry<S::View>,
        key: S::Key,
        freshness: Freshness,
        arrived: Instant,
    ) -> Result<S::View, ChainError> {
        let forced = freshness != Freshness::Cached;
        let _reading = if forced { &entry.forcing } else { &entry.refreshing }.lock().await;
        // another caller's read may have ended while this one waited
        if let Some(view) = self.seen(entry, freshness) {
            return Ok(view);
        }
        if lock(&entry.failed).is_some_and(|failed| failed >= arrived) {
            return Err(ChainError::Unreachable("another request's look failed a moment ago".to_owned()));
        }
        self.wait_for_turn(entry, forced).await;
        if let Some(view) = self.seen(entry, freshness) {
            return Ok(view);
        }
        let was_there = lock(&entry.seen).as_ref().is_some_and(|seen| S::is_there(&seen.view));
        let share = match (was_there, forced) {
            (true, false) => &self.refreshes,
            (true, true) => &self.forced,
            (false, _) => &self.unknown,
        };
        let _permit = share.acquire().await;
        let at = Instant::now();
        let read = self.read(entry, key).await;
        *lock(&entry.failed) = read.is_err().then_some(at);
        read
    }

    async fn read(&self, entry: &Entry<S::View>, key: S::Key) -> Result<S::View, ChainError> {
        let at = Instant::now();
        let before = lock(&entry.seen).as_ref().map(|seen| seen.view.clone());
        let read = in_time(self.source.read(key, before)).await;
        self.source.note(key, read.as_ref().map(drop));
        let (new, slot) = read?;
        Ok(Self::keep(entry, new, slot, at))
    }

    /// Takes up what was read elsewhere, by a read that began at `at`. Returns the view that callers have of
    /// it. Of a key that is not looked at nothing is kept once half the room is taken: a read of all
    /// channels must not turn out those that are in use.
    pub(crate) fn put(&self, key: S::Key, new: S::View, slot: Option<u64>, at: Instant) -> S::View {
        let known = lock(&self.entries).get(&key).cloned();
        match known {
            Some(entry) => Self::keep(&entry, new, slot, at),
            None if lock(&self.entries).len() < CAPACITY / 2 => Self::keep(&self.entry(key), new, slot, at),
            None => new,
        }
    }

    /// Takes note of what a read brought that began at `at`. Returns the view that callers have of it.
    fn keep(entry: &Entry<S::View>, new: S::View, slot: Option<u64>, at: Instant) -> S::View {
        let mut seen = lock(&entry.seen);
        let doubted = seen.as_ref().and_then(|seen| seen.doubted);
        let vouched = Some(at).filter(|at| doubted.is_none_or(|doubted| doubted < *at));
        if let Some(old) = seen.as_mut().filter(|old| old.is_ahead_of(slot)) {
            // at least as new as what the node has
            old.at = old.at.max(vouched);
            return old.view.clone();
        }
        let view = match seen.as_ref() {
            // the same one: callers compare by address
            Some(old) if old.view == new => old.view.clone(),
            _ => new,
        };
        // a read beside this one may have begun later and ended sooner
        if seen.as_ref().is_none_or(|other| other.at <= Some(at)) {
            *seen = Some(Seen { view: view.clone(), at: vouched, slot, since: Instant::now(), doubted });
        }
        view
    }

    /// Takes what the chain told by itself, of `slot`, unless it is old news. Of a key that is not `wanted`
    /// and was not looked at, nothing is kept.
    pub(crate) fn told(&self, key: S::Key, view: S::View, slot: u64, wanted: bool) {
        let entry = if wanted { Some(self.entry(key)) } else { lock(&self.entries).get(&key).cloned() };
        let Some(entry) = entry else { return };
        let mut seen = lock(&entry.seen);
        let (now, told) = (Instant::now(), Some(slot));
        match seen.as_mut() {
            None if wanted => *seen = Some(Seen { view, at: None, slot: told, since: now, doubted: None }),
            None => {}
            Some(old) if old.slot.is_some() && old.slot > told => {}
            Some(old) if old.view == view => (old.slot, old.since) = (told, now),
            Some(old) if old.slot.is_some() && old.slot < told => {
                (old.view, old.slot, old.since) = (view, told, now);
                // a read that is under way and does not tell its slot may be older
                old.doubted = Some(now);
            }
            // two states of one slot, or of an unknown one: the next request looks which holds
            Some(old) => (old.at, old.doubted) = (None, Some(now)),
        }
    }

    /// What a read found there that began less than `age` ago, if something was there.
    pub(crate) fn younger_than(&self, key: S::Key, age: Duration) -> Option<S::View> {
        let entry = lock(&self.entries).get(&key).cloned()?;
        let seen = lock(&entry.seen).clone()?;
        (S::is_there(&seen.view) && seen.is_younger_than(age)).then_some(seen.view)
    }

    /// Whether something was there when it was last looked at.
    pub(crate) fn holds(&self, key: S::Key) -> bool {
        let entry = lock(&self.entries).get(&key).cloned();
        entry.is_some_and(|entry| lock(&entry.seen).as_ref().is_some_and(|seen| S::is_there(&seen.view)))
    }

    /// Whether [`Self::get`] would answer without a look at the chain.
    pub(crate) fn knows(&self, key: S::Key, freshness: Freshness) -> bool {
        let entry = lock(&self.entries).get(&key).cloned();
        entry.is_some_and(|entry| self.seen(&entry, freshness).is_some())
    }

    /// What was seen before, if it is new enough.
    fn seen(&self, entry: &Entry<S::View>, freshness: Freshness) -> Option<S::View> {
        let seen = lock(&entry.seen).clone()?;
        let new_enough = match freshness {
            Freshness::Cached if !S::is_there(&seen.view) => seen.is_younger_than(SHORT.min(self.max_age)),
            Freshness::Cached => seen.is_younger_than(self.max_age),
            Freshness::Since(time) => seen.at.is_some_and(|at| at >= time),
            Freshness::Now => false,
        };
        new_enough.then_some(seen.view)
    }

    /// Keeps forced reads of a key apart, and all reads from following one that failed.
    async fn wait_for_turn(&self, entry: &Entry<S::View>, forced: bool) {
        let seen = lock(&entry.seen).as_ref().and_then(|seen| seen.at).filter(|_| forced);
        let last = seen.max(*lock(&entry.failed));
        let between = if forced { entry.between } else { SHORT };
        if let Some(turn) = last.and_then(|last| last.checked_add(between.min(self.max_age))) {
            sleep_until(turn).await;
        }
    }

    fn entry(&self, key: S::Key) -> Arc<Entry<S::View>> {
        let mut entries = lock(&self.entries);
        if let Some(entry) = entries.get(&key) {
            return entry.clone();
        }
        if entries.len() >= CAPACITY {
            make_room::<S>(&mut entries);
        }
        entries.entry(key).or_default().clone()
    }
}

/// Forgets the keys under which nothing was seen first: those cost nothing to make up.
fn make_room<S: Source>(entries: &mut Entries<S>) {
    entries.retain(|_, entry| lock(&entry.seen).as_ref().is_some_and(|seen| S::is_there(&seen.view)));
    if entries.len() > CAPACITY / 2 {
        let mut keep = true;
        entries.retain(|_, _| {
            keep = !keep;
            keep
        });
    }
}

/// Locks; what the lock guards is whole even where a holder panicked.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod told_tests;

#[cfg(test)]
mod tests;
