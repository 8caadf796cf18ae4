use super::*;
use futures::future::join_all;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

pub(super) const AGE: Duration = Duration::from_secs(15);
const READS: usize = 4;

/// Keys below 100 are there; each read takes ten milliseconds.
#[derive(Default)]
pub(super) struct Numbers {
    reads: AtomicUsize,
    down: AtomicBool,
    /// Of which reads are; 0: they don't tell.
    pub(super) slot: AtomicU64,
    /// Added to every key that is there.
    pub(super) changes: AtomicU64,
}

impl Source for Numbers {
    type Key = u64;
    type View = Option<Arc<u64>>;

    async fn read(
        &self,
        key: u64,
        _before: Option<Self::View>,
    ) -> Result<(Self::View, Option<u64>), ChainError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let found = (key < 100).then(|| Arc::new(key.saturating_add(self.changes.load(Ordering::SeqCst))));
        let slot = Some(self.slot.load(Ordering::SeqCst)).filter(|slot| *slot != 0);
        tokio::time::sleep(Duration::from_millis(10)).await;
        if self.down.load(Ordering::SeqCst) {
            return Err(ChainError::Unreachable("down".to_owned()));
        }
        Ok((found, slot))
    }

    fn is_there(view: &Self::View) -> bool {
        view.is_some()
    }
}

pub(super) fn views() -> Views<Numbers> {
    Views::new(Numbers::default(), AGE, READS)
}

pub(super) fn reads(views: &Views<Numbers>) -> usize {
    views.source.reads.load(Ordering::SeqCst)
}

#[tokio::test(start_paused = true)]
async fn parallel_requests_share_one_read_and_age_brings_the_next() {
    let views = views();
    for view in join_all((0..50).map(|_| views.get(1, Freshness::Cached))).await {
        assert!(view.unwrap().is_some());
    }
    assert_eq!(reads(&views), 1);
    tokio::time::advance(AGE - Duration::from_millis(11)).await;
    let first = views.get(1, Freshness::Cached).await.unwrap().unwrap();
    assert_eq!(reads(&views), 1);
    tokio::time::advance(Duration::from_millis(1)).await;
    let second = views.get(1, Freshness::Cached).await.unwrap().unwrap();
    assert_eq!(reads(&views), 2);
    assert!(Arc::ptr_eq(&first, &second), "what has not changed is the same view");
}

#[tokio::test(start_paused = true)]
async fn a_client_forces_at_most_one_look_a_second() {
    let views = views();
    let begun = Instant::now();
    for _ in 0..3 {
        let now = Instant::now();
        join_all((0..20).map(|_| views.get(1, Freshness::Since(now)))).await;
        tokio::time::advance(Duration::from_millis(10)).await;
    }
    assert_eq!(reads(&views), 3);
    assert!(begun.elapsed() >= SHORT * 2);
    views.get(1, Freshness::Now).await.unwrap();
    assert_eq!(reads(&views), 4);
}

#[tokio::test(start_paused = true)]
async fn a_key_without_anything_is_read_once_a_second() {
    let views = views();
    for _ in 0..10 {
        assert_eq!(views.get(100, Freshness::Cached).await.unwrap(), None);
    }
    assert_eq!(reads(&views), 1);
    tokio::time::advance(SHORT).await;
    views.get(100, Freshness::Cached).await.unwrap();
    assert_eq!(reads(&views), 2);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_fails_is_asked_once_a_second_whatever_is_asked_for() {
    let views = views();
    views.source.down.store(true, Ordering::SeqCst);
    let begun = Instant::now();
    while begun.elapsed() < SHORT * 5 {
        let now = Instant::now();
        let all = (0..20).map(|n| match n % 2 {
            0 => views.get(1, Freshness::Cached),
            _ => views.get(1, Freshness::Since(now)),
        });
        assert!(join_all(all).await.iter().all(Result::is_err));
    }
    // refreshes and forced reads wait for each other's failures; two may begin together
    assert!(reads(&views) <= 12, "{}", reads(&views));
    views.source.down.store(false, Ordering::SeqCst);
    assert!(views.get(1, Freshness::Cached).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_made_up_keys_holds_up_neither_others_nor_the_worker() {
    let views = views();
    views.get(1, Freshness::Cached).await.unwrap();
    // as many reads as there may be, and none of them ends
    let _flood = views.unknown.acquire_many(READS.try_into().unwrap()).await.unwrap();
    tokio::time::advance(AGE).await;
    assert!(views.get(1, Freshness::Cached).await.unwrap().is_some());
    assert_eq!(views.get(100, Freshness::Now).await.unwrap(), None);
    let begun = Instant::now();
    let refused = join_all((0..3).map(|_| views.get(101, Freshness::Cached))).await;
    assert!(refused.iter().all(Result::is_err) && begun.elapsed() <= READ_WAIT, "none waits for long");
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_forced_looks_holds_up_no_refresh_of_the_same_key() {
    let views = views();
    views.get(1, Freshness::Cached).await.unwrap();
    let _flood = views.forced.acquire_many(READS.try_into().unwrap()).await.unwrap();
    tokio::time::advance(AGE).await;
    let begun = Instant::now();
    let forced = views.get(1, Freshness::Since(begun + SHORT));
    let refreshed = async {
        tokio::task::yield_now().await;
        (views.get(1, Freshness::Cached).await, begun.elapsed())
    };
    let (forced, (refreshed, after)) = tokio::join!(forced, refreshed);
    assert!(forced.is_err(), "it had no turn");
    assert!(refreshed.unwrap().is_some() && after < SHORT, "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn what_was_read_elsewhere_is_as_good_as_a_read_unless_a_newer_one_ended_before() {
    let views = views();
    let began = Instant::now();
    tokio::time::advance(Duration::from_millis(1)).await;
    let first = views.get(1, Freshness::Cached).await.unwrap();
    views.put(1, None, None, began);
    assert_eq!(views.get(1, Freshness::Cached).await.unwrap(), first, "it is older");
    let same = views.put(1, Some(Arc::new(1)), None, Instant::now());
    assert!(Arc::ptr_eq(&first.unwrap(), &same.unwrap()), "what has not changed is the same view");
    views.put(2, Some(Arc::new(7)), None, Instant::now());
    assert_eq!(views.get(2, Freshness::Cached).await.unwrap().as_deref(), Some(&7));
    assert_eq!(reads(&views), 1);
}

#[test]
fn a_read_of_very_many_keys_turns_out_none_that_is_in_use() {
    let views = views();
    let now = Instant::now();
    let real = views.entry(1);
    for n in 0..(CAPACITY as u64 * 2) {
        views.put(n, Some(Arc::new(n)), None, now);
    }
    assert_eq!(lock(&views.entries).len(), CAPACITY / 2);
    assert!(lock(&real.seen).is_some() && Arc::ptr_eq(&views.entry(1), &real));
}

#[test]
fn room_is_made_from_made_up_keys() {
    let views = views();
    let real = views.entry(1);
    let (view, now) = (Some(Arc::new(1)), Instant::now());
    *lock(&real.seen) = Some(Seen { view, at: Some(now), slot: None, since: now, doubted: None });
    for n in 0..(CAPACITY as u64 * 2) {
        views.entry(n + 100);
    }
    assert!(lock(&views.entries).len() <= CAPACITY);
    assert!(Arc::ptr_eq(&views.entry(1), &real));
}
