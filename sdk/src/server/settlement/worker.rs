use std::collections::{HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use amp_protocol::message::Key;
use futures::FutureExt as _;
use solana_address::Address;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

use super::chain::{self, ChainingError, SubChannel};
use super::handle::{ChainReply, Command, Outcome, Reply, Why};
use super::lane::{Busy, Lane, Rank};
use super::plan::Urgency;
use super::visit::{Reach, Report, Settled, Visit, visit};
use crate::chain::{ChainError, TRANSACTION_LIFE};
use crate::server::books::Book;
use crate::server::denial::Denial;
use crate::server::service::Core;
use crate::server::store::Incarnation;

/// Channels looked at, and channels settled, at once.
const PARALLEL: usize = 8;
/// How long a visit may take. One that takes longer is tried again: what it had sent may have landed, which
/// the next one sees on chain.
const VISIT_LIFE: Duration = TRANSACTION_LIFE;
/// Longest pause after failures, in seconds.
const LONGEST_BACKOFF: u64 = 60;
/// Requests that are refused poke the worker; it looks at most this often at their channel.
const POKE_DELAY: Duration = Duration::from_secs(1);
/// Seconds between settlements that refused requests bring about, where the service does not settle
/// more often anyway: each costs it a fee, and a client chooses its channel's limit and interval.
const POKE_EVERY: u32 = 60;

#[derive(Clone, Copy)]
struct Wake {
    at: Instant,
    urgency: Urgency,
}

/// A look at a channel.
struct Look {
    book: Arc<Book>,
    urgency: Urgency,
}

/// What is sent for a channel.
enum Act {
    Settle {
        book: Arc<Book>,
        urgency: Urgency,
        /// Who asked for it; none: a look did.
        reply: Option<Reply>,
        /// What earlier visits brought to whoever asked.
        so_far: Option<Settled>,
    },
    Chain {
        book: Arc<Book>,
        asked: SubChannel,
        reply: ChainReply,
    },
}

/// A task that has ended.
enum Done {
    Look(Look, Report),
    Settle {
        book: Arc<Book>,
        urgency: Urgency,
        reply: Option<Reply>,
        so_far: Option<Settled>,
        report: Report,
    },
    Chain(Incarnation),
}

/// Looks after all channels, each visit a task of its own: this loop never waits for one. A channel that
/// takes long, because many signers of it owe or its transactions do not confirm, takes up one of the
/// places and no more.
pub(super) struct Worker {
    core: Arc<Core>,
    stopping: Arc<AtomicBool>,
    /// When to look at a channel again, where that is before or after the watch would.
    wakes: HashMap<Incarnation, Wake>,
    /// Failures in a row.
    failures: HashMap<Incarnation, u32>,
    looks: Lane<Look>,
    acts: Lane<Act>,
    busy: Busy,
    under_way: JoinSet<Done>,
}

impl Worker {
    pub(super) fn new(core: Arc<Core>, stopping: Arc<AtomicBool>) -> Self {
        let (looks, acts) = (Lane::new(PARALLEL), Lane::new(PARALLEL));
        let (wakes, failures, busy, under_way) = Default::default();
        Self { core, stopping, wakes, failures, looks, acts, busy, under_way }
    }

    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Command>) {
        let mut watch = interval(self.core.config.watch_interval);
        watch.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.begin();
            let wake = self.wakes.values().map(|wake| wake.at).min();
            let far = Instant::now().checked_add(self.core.config.watch_interval);
            let Some(until) = wake.or(far) else { return };
            tokio::select! {
                command = queue.recv() => match command {
                    Some(Command::Settle(channel, reply)) => self.settle(channel, reply),
                    Some(Command::Chain(upstream, asked, reply)) => self.chain(upstream, asked, reply),
                    Some(Command::SettleAll(reply)) => { let _ = reply.send(self.settle_all()); }
                    Some(Command::Poke(channel, why)) => self.poke(channel, why),
                    Some(Command::LookAtAll) => {
                        // what failed while the chain was away need not wait any longer
                        self.failures.clear();
                        self.watch();
                    }
                    Some(Command::Shutdown(reply)) => {
                        self.finish().await;
                        let _ = reply.send(());
                        return;
                    }
                    None => return self.finish().await,
                },
                Some(done) = self.under_way.join_next() => if let Ok(done) = done { self.done(done) },
                _ = watch.tick() => self.watch(),
                () = sleep_until(until), if wake.is_some() => self.wake(),
            }
        }
    }

    /// Waits for what is under way; what waits is not begun, and who asked for it learns that by the end of
    /// its reply.
    async fn finish(mut self) {
        (self.looks, self.acts) = (Lane::new(0), Lane::new(0));
        while let Some(done) = self.under_way.join_next().await {
            if let Ok(done) = done {
                self.done(done);
            }
        }
    }

    fn routine(&self) -> Urgency {
        self.settling_every(self.core.config.routine_interval())
    }

    fn settling_every(&self, every: u32) -> Urgency {
        Urgency::Routine { every, least: self.core.config.min_settlement }
    }

    // -- what is to be done ------------------------------------------------------------------------

    /// Looks at all channels but those whose last attempt failed a moment ago.
    fn watch(&mut self) {
        let now = Instant::now();
        let active = self.core.books.active();
        let known: HashSet<Incarnation> = active.iter().map(|book| book.incarnation).collect();
        self.wakes.retain(|incarnation, _| known.contains(incarnation));
        self.failures.retain(|incarnation, _| known.contains(incarnation));
        for book in active {
            let wake = self.wakes.get(&book.incarnation);
            let pauses = self.failures.contains_key(&book.incarnation);
            if !(pauses && wake.is_some_and(|wake| wake.at > now)) {
                let urgency = wake.map_or(self.routine(), |wake| wake.urgency);
                self.look(book, urgency, Rank::Routine);
            }
        }
    }

    fn wake(&mut self) {
        let now = Instant::now();
        let due = self.wakes.iter().filter(|(_, wake)| wake.at <= now);
        let due: Vec<_> = due.map(|(incarnation, wake)| (*incarnation, wake.urgency)).collect();
        for (incarnation, urgency) in due {
            match self.core.books.find(&incarnation) {
                Some(book) => self.look(book, urgency, Rank::Asked),
                None => drop(self.wakes.remove(&incarnation)),
            }
        }
    }

    /// Queues a look. It takes the place of the one that was planned, if there was one.
    fn look(&mut self, book: Arc<Book>, urgency: Urgency, rank: Rank) {
        self.wakes.remove(&book.incarnation);
        let either = |one: Look, other: Look| Look { urgency: one.urgency.sooner(other.urgency), ..one };
        self.looks.join(book.incarnation, rank, Look { book, urgency }, either);
    }

    /// Settles for whoever asked, or because a look found something; those are one, where they wait.
    fn act(&mut self, act: Act, rank: Rank) {
        match act {
            Act::Settle { ref book, reply: None, .. } => {
                let either = |one, other| match (one, other) {
                    (Act::Settle { book, urgency, reply, so_far }, Act::Settle { urgency: other, .. }) => {
                        Act::Settle { book, urgency: urgency.sooner(other), reply, so_far }
                    }
                    (one, _) => one,
                };
                self.acts.join(book.incarnation, rank, act, either);
            }
            Act::Settle { ref book, .. } | Act::Chain { ref book, .. } => {
                self.acts.push(book.incarnation, rank, act);
            }
        }
    }

    /// A wish to look soon. A settlement that is planned already stays as it is.
    fn poke(&mut self, channel: Key, why: Why) {
        let Some(at) = Instant::now().checked_add(POKE_DELAY) else { return };
        let routine = self.routine();
        let soon = self.settling_every(POKE_EVERY.min(self.core.config.routine_interval()));
        for book in self.core.books.of(channel).iter().filter(|book| !book.has_ended()) {
            let planned = self.wakes.get(&book.incarnation).copied();
            let wake = match (why, planned) {
                (Why::Full, Some(wake)) if wake.urgency != routine || soon == routine => continue,
                (Why::Full, _) => Wake { at, urgency: soon },
                // after a failure it pauses, whoever asks
                (Why::Closing, Some(_)) if self.failures.contains_key(&book.incarnation) => continue,
                (Why::Closing, Some(wake)) => Wake { at: wake.at.min(at), ..wake },
                (Why::Closing, None) => Wake { at, urgency: routine },
            };
            self.wakes.insert(book.incarnation, wake);
        }
    }

    fn settle(&mut self, channel: Key, reply: Reply) {
        // the newest; one that ended too, since it may have been taken for closed by mistake
        match self.core.books.of(channel).pop() {
            Some(book) => self.demand(book, reply),
            None => drop(reply.send(Err(Denial::no_channel(channel)))),
        }
    }

    fn settle_all(&mut self) -> Vec<(Address, oneshot::Receiver<Outcome>)> {
        let active = self.core.books.active().into_iter();
        let demanded = active.map(|book| {
            let (reply, outcome) = oneshot::channel();
            let channel = Address::from(book.incarnation.channel);
            self.demand(book, reply);
            (channel, outcome)
        });
        demanded.collect()
    }

    fn demand(&mut self, book: Arc<Book>, reply: Reply) {
        let (urgency, reply) = (Urgency::Demanded, Some(reply));
        self.act(Act::Settle { book, urgency, reply, so_far: None }, Rank::Asked);
    }

    fn chain(&mut self, upstream: Key, asked: SubChannel, reply: ChainReply) {
        match self.core.books.of(upstream).pop() {
            Some(book) => self.act(Act::Chain { book, asked, reply }, Rank::Asked),
            None => drop(reply.send(Err(ChainingError::NoChannel(Address::from(upstream))))),
        }
    }

    // -- what is under way -------------------------------------------------------------------------

    /// Begins what may begin.
    fn begin(&mut self) {
        if self.stopping.load(Ordering::Relaxed) {
            return;
        }
        while let Some((_, look)) = self.looks.take(&mut self.busy) {
            let core = self.core.clone();
            self.under_way.spawn(async move {
                let report = attempt(&core, &look.book, look.urgency, Reach::Look).await;
                Done::Look(look, report)
            });
        }
        while let Some((incarnation, act)) = self.acts.take(&mut self.busy) {
            let core = self.core.clone();
            match act {
                Act::Settle { book, urgency, reply, so_far } => self.under_way.spawn(async move {
                    let report = attempt(&core, &book, urgency, Reach::Act).await;
                    Done::Settle { book, urgency, reply, so_far, report }
                }),
                Act::Chain { book, asked, reply } => self.under_way.spawn(async move {
                    let chained = AssertUnwindSafe(chain::chain(&core, &book, &asked)).catch_unwind().await;
                    let _ = reply.send(chained.unwrap_or_else(|_| Err(interrupted(incarnation))));
                    Done::Chain(incarnation)
                }),
            };
        }
    }

    fn done(&mut self, done: Done) {
        match done {
            Done::Look(Look { book, urgency }, Report { visit, grace_ends }) => {
                self.looks.ended(book.incarnation.channel, &mut self.busy);
                if let Visit::Due = visit {
                    let rank = grace_ends.map_or(Rank::Routine, Rank::GraceEnds);
                    self.act(Act::Settle { book, urgency, reply: None, so_far: None }, rank);
                } else {
                    self.note(book.incarnation, urgency, &visit);
                }
            }
            Done::Settle { book, urgency, reply, so_far, report: Report { visit, grace_ends } } => {
                self.acts.ended(book.incarnation.channel, &mut self.busy);
                match (visit, reply) {
                    (Visit::More(settled), reply) if !self.stopping.load(Ordering::Relaxed) => {
                        let otherwise = if reply.is_some() { Rank::Asked } else { Rank::Routine };
                        let rank = grace_ends.map_or(otherwise, Rank::GraceEnds);
                        let so_far = reply.is_some().then(|| settled.after(so_far));
                        self.act(Act::Settle { book, urgency, reply, so_far }, rank);
                    }
                    (visit, Some(reply)) => {
                        drop(reply.send(visit.into_outcome(book.incarnation.channel, so_far)));
                    }
                    (visit, None) => self.note(book.incarnation, urgency, &visit),
                }
            }
            Done::Chain(incarnation) => self.acts.ended(incarnation.channel, &mut self.busy),
        }
    }

    /// When to look again, after a visit that nobody asked for. What was planned while it was under way
    /// stays, unless it failed: then it pauses.
    fn note(&mut self, incarnation: Incarnation, urgency: Urgency, visit: &Visit) {
        let planned = self.wakes.get(&incarnation).copied();
        let after = |seconds| Instant::now().checked_add(Duration::from_secs(seconds));
        let (at, urgency) = match visit {
            Visit::Failed(_) => {
                let count = self.failures.entry(incarnation).or_default();
                *count = count.saturating_add(1);
                let seconds = 2u64.saturating_pow(*count).min(LONGEST_BACKOFF);
                (after(seconds), planned.map_or(urgency, |planned| planned.urgency.sooner(urgency)))
            }
            Visit::Wait { seconds, .. } if planned.is_none() => {
                self.failures.remove(&incarnation);
                (after(*seconds), urgency)
            }
            _ => {
                self.failures.remove(&incarnation);
                return;
            }
        };
        if let Some(at) = at {
            self.wakes.insert(incarnation, Wake { at, urgency });
        }
    }
}

/// A visit that neither panics nor lasts for ever: a chain, signer or store that does must not end the
/// collecting for all channels.
async fn attempt(core: &Core, book: &Book, urgency: Urgency, reach: Reach) -> Report {
    let failed = |message| Report::from(Visit::Failed(Denial::unavailable(message)));
    let visit = AssertUnwindSafe(visit(core, book, urgency, reach)).catch_unwind();
    match timeout(VISIT_LIFE, visit).await {
        Ok(Ok(report)) => report,
        Ok(Err(_)) => failed("the settlement failed; it will be tried again"),
        Err(_) => {
            tracing::warn!(channel = %book.incarnation, "a visit took too long");
            failed("the settlement took too long; it will be tried again")
        }
    }
}

fn interrupted(upstream: Incarnation) -> ChainingError {
    let error = Box::new(ChainError::Unreachable("the attempt ended unexpectedly".to_owned()));
    ChainingError::Chain { channel: Address::from(upstream.channel), error }
}
