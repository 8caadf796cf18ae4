use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use amp_protocol::rules::closable_from;
use tokio::time::Instant;

use super::claim::patience;
use super::lane::Rank;
use super::plan::{Decision, Urgency, decide};
use crate::chain::{ChainError, MAX_ACCOUNTS_AT_ONCE};
use crate::server::books::Book;
use crate::server::channels::Channel;
use crate::server::ledger::Authority;
use crate::server::service::{Core, incarnation};
use crate::server::store::Incarnation;

/// Batches that are read at once.
const PARALLEL: usize = 4;
/// How long a channel's account as a batch brought it will do for a look, which sends nothing.
const STILL_NEW: Duration = Duration::from_secs(2);

/// A channel's account, and when it was read.
#[derive(Clone)]
pub(super) struct Sighting {
    account: Arc<Channel>,
    at: Instant,
}

impl Sighting {
    /// The account, while it is new enough.
    pub(super) fn still_new(self) -> Option<Arc<Channel>> {
        (self.at.elapsed() < STILL_NEW).then_some(self.account)
    }
}

/// Channels that are read at once.
pub(super) struct Batch {
    books: Vec<Arc<Book>>,
    /// Reads in a row that failed.
    failures: u32,
}

/// What a batch shows of one channel.
pub(super) enum Glance {
    /// It is there, and there is nothing to do.
    Idle(Incarnation),
    /// What it owes is to be settled at some time (Unix seconds, the chain's).
    Wait(Incarnation, i64),
    /// There may be, or it can't be told from here.
    Look { book: Arc<Book>, rank: Rank, seen: Option<Sighting> },
}

/// The reads of all channels, again and again: many at once, as most channels owe nothing most of the time
/// and a read of each would cost a node more than all settlements do.
#[derive(Default)]
pub(super) struct Watch {
    waiting: VecDeque<Batch>,
    paused: Vec<(Instant, Batch)>,
    under_way: usize,
}

impl Watch {
    /// Begins to watch these, but for those whose turn has not come since the last time.
    pub(super) fn over(&mut self, books: Vec<Arc<Book>>) {
        let new: Vec<_> = books.into_iter().filter(|book| book.watch_begins()).collect();
        let batches = new.chunks(MAX_ACCOUNTS_AT_ONCE);
        self.waiting.extend(batches.map(|books| Batch { books: books.to_vec(), failures: 0 }));
    }

    /// Ends all pauses: what failed while the chain was away may be read at once.
    pub(super) fn hurry(&mut self) {
        self.waiting.extend(self.paused.drain(..).map(|(_, batch)| Batch { failures: 0, ..batch }));
    }

    /// The next batch that may be read; it is under way until [`Self::ended`] or [`Self::failed`].
    pub(super) fn take(&mut self) -> Option<Batch> {
        if self.under_way >= PARALLEL {
            return None;
        }
        let now = Instant::now();
        let over = self.paused.iter().position(|(until, _)| *until <= now);
        let batch = match over {
            Some(at) => Some(self.paused.swap_remove(at).1),
            None => self.waiting.pop_front(),
        }?;
        self.under_way = self.under_way.saturating_add(1);
        Some(batch)
    }

    /// When the first pause is over.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        let place_is_free = self.under_way < PARALLEL;
        self.paused.iter().map(|(until, _)| *until).min().filter(|_| place_is_free)
    }

    /// Whether no batch waits, and none is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.under_way == 0
    }

    /// A batch was read.
    pub(super) fn ended(&mut self, batch: &Batch) {
        self.under_way = self.under_way.saturating_sub(1);
        batch.books.iter().for_each(|book| book.watch_ends());
    }

    /// A batch could not be read, and pauses; the others go on.
    pub(super) fn failed(&mut self, mut batch: Batch, pause: impl FnOnce(u32) -> Duration) {
        self.under_way = self.under_way.saturating_sub(1);
        batch.failures = batch.failures.saturating_add(1);
        match Instant::now().checked_add(pause(batch.failures)) {
            Some(until) => self.paused.push((until, batch)),
            None => self.waiting.push_back(batch),
        }
    }
}

/// Reads a batch. Where a look would find nothing to do, this is all there is to the look.
pub(super) async fn glance(core: &Core, batch: &Batch) -> Result<Vec<Glance>, ChainError> {
    // the time is what requests are admitted by, too
    core.time.sync_soon(&*core.chain).await?;
    let at = Instant::now();
    let channels: Vec<_> = batch.books.iter().map(|book| book.incarnation.channel).collect();
    let views = core.channels.read_all(&channels).await?;
    let both = batch.books.iter().zip(views);
    Ok(both.map(|(book, view)| judge(core, book, view.ok().flatten(), at)).collect())
}

fn judge(core: &Core, book: &Arc<Book>, view: Option<Arc<Channel>>, at: Instant) -> Glance {
    let look = |rank, seen| Glance::Look { book: book.clone(), rank, seen };
    let channel = book.incarnation.channel;
    let Some(account) = view.filter(|account| incarnation(channel, account) == book.incarnation) else {
        // gone, or not to be read: a look of its own says which
        return look(Rank::Routine, None);
    };
    book.seen(false, patience(core));
    book.is_there();
    let (owing, is_stopped) = {
        let mut ledger = book.ledger();
        ledger.claims_are_noted(&account);
        (ledger.uncollected(&account), ledger.stopped_at.is_some())
    };
    let (closing, grace) = (account.books.closing, account.terms.close_grace);
    if is_stopped || closing {
        let ends = closable_from(account.closing_at, grace).unwrap_or(i64::MAX);
        let is_urgent = closing && (!owing.is_empty() || !book.streams().is_empty());
        let rank = if is_urgent { Rank::GraceEnds(ends) } else { Rank::Routine };
        return look(rank, Some(Sighting { account, at }));
    }
    let now = core.time.now();
    let decision = match &owing[..] {
        [] => Decision::Nothing,
        [one] if (one.signer, one.epoch) == (account.authorized_signer, account.opened_slot) => {
            let routine = Urgency::routine(&core.config);
            decide(&account, &Authority::channel(&account), one.seq, one.spent, routine, now)
        }
        // delegations are reads of their own
        _ => return look(Rank::Routine, Some(Sighting { account, at })),
    };
    let glance = match decision {
        Decision::Nothing => Glance::Idle(book.incarnation),
        Decision::Wait { until, .. } => Glance::Wait(book.incarnation, until),
        Decision::Settle { .. } => return look(Rank::Routine, Some(Sighting { account, at })),
    };
    book.note(&account, None);
    glance
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::books::Books;
    use crate::server::testing::{Bench, CHANNEL};
    use amp_protocol::money::Amount;

    fn books(count: u32) -> Vec<Arc<Book>> {
        let books = Books::default();
        let at = |number: u32| {
            let mut channel = [1; 32];
            channel[..4].copy_from_slice(&number.to_be_bytes());
            Incarnation { channel, opened_slot: 1 }
        };
        (0..count).map(|number| books.open(at(number))).collect()
    }

    fn all(watch: &mut Watch) -> Vec<Batch> {
        std::iter::from_fn(|| watch.take()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_few_batches_of_a_hundred_are_under_way_at_once() {
        let mut watch = Watch::default();
        watch.over(books(950));
        let first = all(&mut watch);
        assert_eq!(first.iter().map(|batch| batch.books.len()).collect::<Vec<_>>(), [100; PARALLEL]);
        watch.ended(&first[0]);
        assert_eq!(all(&mut watch).len(), 1);
        assert!(!watch.is_idle());
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_seen_yet_is_not_to_be_seen_twice() {
        let (mut watch, books) = (Watch::default(), books(150));
        watch.over(books.clone());
        watch.over(books.clone());
        let batches = all(&mut watch);
        assert_eq!(batches.len(), 2);
        watch.ended(&batches[0]);
        watch.over(books);
        assert_eq!(all(&mut watch).iter().map(|batch| batch.books.len()).collect::<Vec<_>>(), [100]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_that_fails_pauses_longer_each_time_and_the_others_go_on() {
        let mut watch = Watch::default();
        watch.over(books(500));
        let pause = |failures: u32| Duration::from_secs(failures.into());
        let mut batches = all(&mut watch);
        watch.failed(batches.remove(0), pause);
        assert_eq!(all(&mut watch).len(), 1, "the fifth");
        batches.iter().for_each(|batch| watch.ended(batch));
        assert!(watch.take().is_none());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(watch.wake_at(), Some(Instant::now()));
        let batch = watch.take().unwrap();
        watch.failed(batch, pause);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(watch.take().is_none(), "two seconds now");
        tokio::time::advance(Duration::from_secs(1)).await;
        let batch = watch.take().unwrap();
        assert_eq!(batch.failures, 2);
        watch.failed(batch, pause);
        watch.hurry();
        assert_eq!(watch.take().map(|batch| batch.failures), Some(0), "the chain is back");
    }

    #[tokio::test]
    #[allow(clippy::arithmetic_side_effects, reason = "an overflow fails the test, as it should")]
    async fn what_closes_and_owes_is_looked_at_before_all_else_and_what_is_idle_not_at_all() {
        let bench = Bench::new();
        let service = bench.service_with(bench.config()).await;
        service.shutdown().await;
        let admission = service.authorize(&bench.credential(10).await, Amount::new(10)).await.unwrap();
        let glance = async || {
            let batch = Batch { books: service.core.books.active(), failures: 0 };
            glance(&service.core, &batch).await.unwrap().pop().unwrap()
        };
        let rank = async || match glance().await {
            Glance::Look { rank, seen, .. } => Some((rank, seen.is_some())),
            _ => None,
        };
        assert!(matches!(glance().await, Glance::Idle(_)), "nothing is owed yet");
        admission.charge(Amount::new(10)).await.unwrap();
        let mut settled_at = 0;
        bench.chain.change_channel(|account| settled_at = account.signer.last_settled_at);
        let Glance::Wait(_, until) = glance().await else { panic!() };
        assert_eq!(until, settled_at + 3_600, "what is owed is not due");
        bench.chain.advance(3_600);
        service.core.time.sync(&*bench.chain).await.unwrap();
        assert_eq!(rank().await, Some((Rank::Routine, true)));
        let now = bench.chain.now();
        bench.chain.change_channel(|account| (account.books.closing, account.closing_at) = (true, now));
        let grace = bench.account().terms.close_grace;
        let Some((Rank::GraceEnds(ends), true)) = rank().await else { panic!() };
        assert_eq!(ends, closable_from(now, grace).unwrap());
        bench.chain.remove(CHANNEL);
        assert_eq!(rank().await, Some((Rank::Routine, false)), "it is looked at anew");
    }
}
