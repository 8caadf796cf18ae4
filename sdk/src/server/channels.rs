use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use amp_protocol::account::{AccountError, ChannelAccount};
use amp_protocol::message::Key;
use solana_address::Address;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until, timeout};

use crate::chain::{self, Chain, ChainError};

/// Most channels remembered. An entry has about half a kilobyte.
const CAPACITY: usize = 20_000;
/// How long an address without a channel stays without one, and how far apart the looks are that
/// requests can force.
const SHORT: Duration = Duration::from_secs(1);
/// Reads under way at once: a flood of made-up addresses must not become one at the node.
const READS: usize = 32;
/// How long a read may take, the wait for its turn included, before its requests are told to come
/// back later.
const READ_WAIT: Duration = Duration::from_secs(10);

/// How new a view of a channel must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// As old as the configuration allows.
    Cached,
    /// Read at this time or later. Clients can force that as often as they like, so such reads of a
    /// channel are a second apart, and it may have to wait for its turn.
    Since(Instant),
    /// Read after the call began, without waiting for a turn.
    Now,
}

/// A channel account, or that there is none.
pub(crate) type View = Option<Arc<ChannelAccount>>;

#[derive(Clone)]
struct Seen {
    view: View,
    at: Instant,
}

#[derive(Default)]
struct Entry {
    seen: Mutex<Option<Seen>>,
    /// One read at a time: whoever comes meanwhile takes what it brings.
    reading: tokio::sync::Mutex<()>,
}

/// Channel accounts as they were on chain a moment ago.
pub(crate) struct Channels {
    chain: Arc<dyn Chain>,
    program_id: Address,
    max_age: Duration,
    entries: Mutex<HashMap<Key, Arc<Entry>>>,
    /// Reads of addresses that were seen to hold a channel.
    known: Semaphore,
    /// Reads of all others: made up ones take no turn away from channels.
    unknown: Semaphore,
}

impl Channels {
    pub(crate) fn new(chain: Arc<dyn Chain>, program_id: Address, max_age: Duration) -> Self {
        let (known, unknown) = (Semaphore::new(READS), Semaphore::new(READS));
        Self { chain, program_id, max_age, entries: Mutex::default(), known, unknown }
    }

    /// The channel at an address: an account of the program that decodes, or `None`.
    pub(crate) async fn get(&self, channel: Key, freshness: Freshness) -> Result<View, ChainError> {
        let entry = self.entry(channel);
        if let Some(view) = self.seen(&entry, freshness) {
            return Ok(view);
        }
        if freshness == Freshness::Now {
            // the settlement worker: few at a time, and money waits for it, so it takes no place in a
            // queue that clients can fill
            return self.read(&entry, channel).await;
        }
        let slow = || ChainError::Unreachable("no turn to read in time".to_owned());
        timeout(READ_WAIT, self.read_in_turn(&entry, channel, freshness)).await.map_err(|_| slow())?
    }

    async fn read_in_turn(
        &self,
        entry: &Entry,
        channel: Key,
        freshness: Freshness,
    ) -> Result<View, ChainError> {
        let _reading = entry.reading.lock().await;
        // another caller's read may have ended while this one waited
        if let Some(view) = self.seen(entry, freshness) {
            return Ok(view);
        }
        if let Freshness::Since(_) = freshness {
            self.wait_for_turn(entry).await;
        }
        let is_channel = lock(&entry.seen).as_ref().is_some_and(|seen| seen.view.is_some());
        let _permit = if is_channel { &self.known } else { &self.unknown }.acquire().await;
        self.read(entry, channel).await
    }

    async fn read(&self, entry: &Entry, channel: Key) -> Result<View, ChainError> {
        let at = Instant::now();
        let address = Address::from(channel);
        let read = chain::channel(&*self.chain, &self.program_id, &address);
        let slow = |_| Err(ChainError::Unreachable("no answer in time".to_owned()));
        let account = match timeout(READ_WAIT, read).await.unwrap_or_else(slow) {
            Ok(account) => account,
            // the program's, but another kind of account. One of a newer version is an error instead:
            // taken for gone, what it owes would be given up
            Err(ChainError::Account {
                error: AccountError::Length | AccountError::Discriminator, ..
            }) => None,
            Err(error) => return Err(error),
        };
        let mut seen = lock(&entry.seen);
        let account = account.map(|new| match seen.as_ref().and_then(|old| old.view.clone()) {
            Some(old) if *old == new => old,
            _ => Arc::new(new),
        });
        // a read beside this one may have begun later and ended sooner
        if seen.as_ref().is_none_or(|other| other.at <= at) {
            *seen = Some(Seen { view: account.clone(), at });
        }
        Ok(account)
    }

    /// What was seen before, if it is new enough.
    fn seen(&self, entry: &Entry, freshness: Freshness) -> Option<View> {
        let seen = lock(&entry.seen).clone()?;
        let new_enough = match freshness {
            Freshness::Cached if seen.view.is_none() => seen.at.elapsed() < SHORT.min(self.max_age),
            Freshness::Cached => seen.at.elapsed() < self.max_age,
            Freshness::Since(time) => seen.at >= time,
            Freshness::Now => false,
        };
        new_enough.then_some(seen.view)
    }

    async fn wait_for_turn(&self, entry: &Entry) {
        let turn = lock(&entry.seen).as_ref().and_then(|seen| seen.at.checked_add(SHORT.min(self.max_age)));
        if let Some(turn) = turn {
            sleep_until(turn).await;
        }
    }

    fn entry(&self, channel: Key) -> Arc<Entry> {
        let mut entries = lock(&self.entries);
        if let Some(entry) = entries.get(&channel) {
            return entry.clone();
        }
        if entries.len() >= CAPACITY {
            make_room(&mut entries);
        }
        entries.entry(channel).or_default().clone()
    }
}

/// Forgets the addresses without a channel first: those cost nothing to make up.
fn make_room(entries: &mut HashMap<Key, Arc<Entry>>) {
    entries.retain(|_, entry| lock(&entry.seen).as_ref().is_some_and(|seen| seen.view.is_some()));
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
mod tests {
    use super::*;
    use crate::server::testing::{Bench, CHANNEL};

    const AGE: Duration = Duration::from_secs(15);

    fn cache(bench: &Bench) -> Channels {
        Channels::new(bench.chain.clone(), crate::chain::PROGRAM_ID, AGE)
    }

    #[tokio::test(start_paused = true)]
    async fn parallel_requests_share_one_read_and_age_brings_the_next() {
        let bench = Bench::new();
        let cache = cache(&bench);
        let all = (0..50).map(|_| cache.get(CHANNEL, Freshness::Cached));
        for view in futures::future::join_all(all).await {
            assert!(view.unwrap().is_some());
        }
        assert_eq!(bench.chain.reads(), 1);
        tokio::time::advance(AGE - Duration::from_millis(1)).await;
        cache.get(CHANNEL, Freshness::Cached).await.unwrap();
        assert_eq!(bench.chain.reads(), 1);
        tokio::time::advance(Duration::from_millis(1)).await;
        cache.get(CHANNEL, Freshness::Cached).await.unwrap();
        assert_eq!(bench.chain.reads(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_forces_at_most_one_look_a_second() {
        let bench = Bench::new();
        let cache = cache(&bench);
        let begun = Instant::now();
        for _ in 0..3 {
            let now = Instant::now();
            let looks = (0..20).map(|_| cache.get(CHANNEL, Freshness::Since(now)));
            futures::future::join_all(looks).await;
            tokio::time::advance(Duration::from_millis(10)).await;
        }
        assert_eq!(bench.chain.reads(), 3);
        assert!(begun.elapsed() >= SHORT * 2);
        cache.get(CHANNEL, Freshness::Now).await.unwrap();
        assert_eq!(bench.chain.reads(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_without_a_channel_is_read_once_a_second() {
        let bench = Bench::new();
        let cache = cache(&bench);
        for _ in 0..10 {
            assert_eq!(cache.get([7; 32], Freshness::Cached).await.unwrap(), None);
        }
        assert_eq!(bench.chain.reads(), 1);
        tokio::time::advance(SHORT).await;
        cache.get([7; 32], Freshness::Cached).await.unwrap();
        assert_eq!(bench.chain.reads(), 2);
    }

    #[tokio::test]
    async fn accounts_of_other_programs_and_other_kinds_are_no_channel() {
        let bench = Bench::new();
        let mut account = bench.chain.snapshot(CHANNEL);
        account.owner = Address::from([1; 32]);
        bench.chain.put([8; 32], account.clone());
        account.owner = crate::chain::PROGRAM_ID;
        account.data.truncate(100);
        bench.chain.put([9; 32], account);
        let cache = cache(&bench);
        for address in [[8; 32], [9; 32]] {
            assert_eq!(cache.get(address, Freshness::Now).await.unwrap(), None);
        }
    }

    #[tokio::test]
    async fn a_channel_of_a_newer_version_is_an_error_and_not_gone() {
        let bench = Bench::new();
        let mut account = bench.chain.snapshot(CHANNEL);
        account.data[8] = 2;
        bench.chain.put(CHANNEL, account);
        let error = cache(&bench).get(CHANNEL, Freshness::Now).await.unwrap_err();
        assert!(error.to_string().contains("unknown version 2"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_made_up_addresses_holds_up_neither_channels_nor_the_worker() {
        let bench = Bench::new();
        let cache = cache(&bench);
        cache.get(CHANNEL, Freshness::Cached).await.unwrap();
        // as many reads as there may be, and none of them ends
        let _flood = cache.unknown.acquire_many(READS.try_into().unwrap()).await.unwrap();
        tokio::time::advance(AGE).await;
        assert!(cache.get(CHANNEL, Freshness::Cached).await.unwrap().is_some());
        assert_eq!(cache.get([7; 32], Freshness::Now).await.unwrap(), None);
        let begun = Instant::now();
        let refused = futures::future::join_all((0..3).map(|_| cache.get([8; 32], Freshness::Cached))).await;
        assert!(refused.iter().all(Result::is_err) && begun.elapsed() <= READ_WAIT, "none waits for long");
    }

    #[test]
    fn room_is_made_from_made_up_addresses() {
        let bench = Bench::new();
        let cache = cache(&bench);
        let real = cache.entry(CHANNEL);
        *lock(&real.seen) = Some(Seen { view: Some(Arc::new(bench.account())), at: Instant::now() });
        for n in 0..(CAPACITY as u64 * 2) {
            let mut address = [0; 32];
            address[..8].copy_from_slice(&n.to_le_bytes());
            cache.entry(address);
        }
        assert!(lock(&cache.entries).len() <= CAPACITY);
        assert!(Arc::ptr_eq(&cache.entry(CHANNEL), &real));
    }
}
