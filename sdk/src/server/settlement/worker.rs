use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use amp_protocol::code::Code;
use amp_protocol::message::Key;
use solana_address::Address;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::chain::{ChainingError, SubChannel};
use super::handle::{ChainReply, Command, Outcome, Reply, Why};
use super::lane::{Busy, Lane, Rank};
use super::pack::{may_share, together};
use super::plan::Urgency;
use super::task::{Act, Done, Job, Look, Task};
use super::visit::{Report, Visit};
use super::watch::{Batch, Glance, Sighting, Watch};
use crate::server::books::Book;
use crate::server::clock::pause;
use crate::server::denial::Denial;
use crate::server::service::Core;
use crate::server::store::Incarnation;

/// Channels looked at, and channels settled, at once.
const PARALLEL: usize = 8;
/// How long a routine settlement waits for others to share its transaction with: until the looks are over
/// that are under way, or so long.
const HOLD: Duration = Duration::from_secs(2);
/// Looks that may wait with what was seen of their channels.
const FEW: usize = 1_000;
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

/// Looks after all channels, each visit a task of its own: this loop never waits for one. A channel that
/// takes long, because many signers of it owe or its transactions do not confirm, takes up one of the
/// places and no more.
///
/// Settlements that wait for a place are made together, as many as fit into a transaction. So under load
/// there is little to wait for, and where nothing waits nothing is held up: but for routine settlements,
/// which nobody waits for, while looks may find others.
pub(super) struct Worker {
    core: Arc<Core>,
    stopping: Arc<AtomicBool>,
    /// When to look at a channel again, where that is before or after the watch would.
    wakes: HashMap<Incarnation, Wake>,
    /// Failures in a row.
    failures: HashMap<Incarnation, u32>,
    watch: Watch,
    looks: Lane<Look>,
    acts: Lane<Act>,
    /// Since when routine settlements wait for others.
    held: Option<Instant>,
    busy: Busy,
    under_way: JoinSet<Done>,
    /// On a shared store: what the others have served is being read, or was.
    catching_up: bool,
    caught_up: bool,
}

impl Worker {
    pub(super) fn new(core: Arc<Core>, stopping: Arc<AtomicBool>) -> Self {
        let (looks, acts) = (Lane::new(PARALLEL), Lane::new(PARALLEL));
        let (wakes, failures, watch, held, busy, under_way) = Default::default();
        let (catching_up, caught_up) = Default::default();
        Self {
            core,
            stopping,
            wakes,
            failures,
            watch,
            looks,
            acts,
            held,
            busy,
            under_way,
            catching_up,
            caught_up,
        }
    }

    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Command>) {
        let core = self.core.clone();
        let _runs = core.vitals.worker_runs();
        let mut watch = interval(self.core.config.watch_interval);
        watch.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            core.vitals.beat();
            self.begin();
            let others =
                self.watch.wake_at().into_iter().chain(self.held.and_then(|held| held.checked_add(HOLD)));
            let wake = self.wakes.values().map(|wake| wake.at).chain(others).min();
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
                        self.watch.hurry();
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
        (self.looks, self.acts, self.watch) = (Lane::new(0), Lane::new(0), Watch::default());
        while let Some(done) = self.under_way.join_next().await {
            if let Ok(done) = done {
                self.done(done);
            }
        }
    }

    fn routine(&self) -> Urgency {
        Urgency::routine(&self.core.config)
    }

    fn settling_every(&self, every: u32) -> Urgency {
        Urgency::Routine { every, least: self.core.config.min_settlement }
    }

    // -- what is to be done ------------------------------------------------------------------------

    /// Looks at all channels but those whose last attempt failed a moment ago. Of processes that share a
    /// store one does, after it has caught up with the others.
    fn watch(&mut self) {
        if !self.core.is_leading() {
            return;
        }
        if self.core.store.shared().is_some() && !std::mem::take(&mut self.caught_up) {
            if !std::mem::replace(&mut self.catching_up, true) {
                self.under_way.spawn(Task::CatchUp.run(self.core.clone()));
            }
            return;
        }
        let now = Instant::now();
        let active = self.core.books.active();
        let is_active = |incarnation: &Incarnation| {
            active.binary_search_by_key(incarnation, |book| book.incarnation).is_ok()
        };
        self.wakes.retain(|incarnation, _| is_active(incarnation));
        self.failures.retain(|incarnation, _| is_active(incarnation));
        let is_due = |book: &Arc<Book>| {
            let wake = self.wakes.get(&book.incarnation);
            let pauses = self.failures.contains_key(&book.incarnation);
            !(pauses && wake.is_some_and(|wake| wake.at > now))
        };
        let due = active.into_iter().filter(is_due).collect();
        self.watch.over(due);
    }

    /// A batch of the watch was read: looks at those channels of which it does not show all.
    fn watched(&mut self, batch: Batch, glances: Option<Vec<Glance>>) {
        let Some(glances) = glances else { return self.watch.failed(batch, pause) };
        self.watch.ended(&batch);
        for glance in glances {
            match glance {
                Glance::Idle(incarnation) => drop(self.failures.remove(&incarnation)),
                Glance::Wait(incarnation, until) => {
                    let wait = Visit::wait(until, self.core.time.now(), Code::SettleEarly);
                    if self.is_before_next_watch(&wait) {
                        self.note(incarnation, self.routine(), &wait);
                    } else {
                        // the next watch sees it: no plan is kept for all that wait
                        self.failures.remove(&incarnation);
                    }
                }
                Glance::Look { book, rank, seen } => {
                    let planned = self.wakes.get(&book.incarnation);
                    let urgency = planned.map_or(self.routine(), |wake| wake.urgency);
                    // where many wait, what was seen of the last would be old by their turn
                    let seen = seen.filter(|_| self.looks.waiting() < FEW);
                    self.look(book, urgency, rank, seen);
                }
            }
        }
    }

    /// Whether a channel has to be looked at before the next watch begins.
    fn is_before_next_watch(&self, visit: &Visit) -> bool {
        let next = self.core.config.watch_interval;
        matches!(visit, Visit::Wait { seconds, .. } if Duration::from_secs(*seconds) <= next)
    }

    fn wake(&mut self) {
        let now = Instant::now();
        let due = self.wakes.iter().filter(|(_, wake)| wake.at <= now);
        let due: Vec<_> = due.map(|(incarnation, wake)| (*incarnation, wake.urgency)).collect();
        for (incarnation, urgency) in due {
            match self.core.books.find(&incarnation) {
                Some(book) => self.look(book, urgency, Rank::Asked, None),
                None => drop(self.wakes.remove(&incarnation)),
            }
        }
    }

    /// Queues a look. It takes the place of the one that was planned, if there was one.
    fn look(&mut self, book: Arc<Book>, urgency: Urgency, rank: Rank, seen: Option<Sighting>) {
        self.wakes.remove(&book.incarnation);
        let either = |one: Look, other: Look| Look {
            urgency: one.urgency.sooner(other.urgency),
            seen: other.seen.or(one.seen),
            book: one.book,
        };
        self.looks.join(book.incarnation, rank, Look { book, urgency, seen }, either);
    }

    /// Settles for whoever asked, or because a look found something; those are one, where they wait.
    fn act(&mut self, act: Act, rank: Rank) {
        let incarnation = match &act {
            Act::Settle(Job { book, .. }) | Act::Chain { book, .. } => book.incarnation,
        };
        match act {
            Act::Settle(Job { reply: None, .. }) => {
                let either = |one, other| match (one, other) {
                    (Act::Settle(one), Act::Settle(other)) => {
                        Act::Settle(Job { urgency: one.urgency.sooner(other.urgency), ..one })
                    }
                    (one, _) => one,
                };
                self.acts.join(incarnation, rank, act, either);
            }
            Act::Settle(_) | Act::Chain { .. } => self.acts.push(incarnation, rank, act),
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
        let mut active = self.core.books.active();
        // those that owe share transactions, with none between them that has nothing to put in
        active.sort_by_cached_key(|book| !book.ledger().may_owe());
        let demanded = active.into_iter().map(|book| {
            let (reply, outcome) = oneshot::channel();
            let channel = Address::from(book.incarnation.channel);
            self.demand(book, reply);
            (channel, outcome)
        });
        demanded.collect()
    }

    fn demand(&mut self, book: Arc<Book>, reply: Reply) {
        let (urgency, reply) = (Urgency::Demanded, Some(reply));
        self.act(Act::Settle(Job { book, urgency, reply, so_far: None }), Rank::Asked);
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
        while let Some(batch) = self.watch.take() {
            self.under_way.spawn(Task::Watch(batch).run(self.core.clone()));
        }
        while let Some((_, look)) = self.looks.take(&mut self.busy) {
            self.under_way.spawn(Task::Look(look).run(self.core.clone()));
        }
        while let Some(rank) = self.acts.next(&self.busy) {
            if self.is_held(rank) {
                return;
            }
            let Some((_, act)) = self.acts.take(&mut self.busy) else { return };
            let task = match act {
                Act::Settle(job) => Task::Settle(self.with_others(job, rank)),
                Act::Chain { book, asked, reply } => Task::Chain(book, asked, reply),
            };
            self.under_way.spawn(task.run(self.core.clone()));
        }
        self.held = None;
    }

    /// Whether a settlement waits for others to share its transaction with. Only what nobody waits for does,
    /// and where no grace runs.
    fn is_held(&mut self, rank: Rank) -> bool {
        let most = together(self.core.format.largest());
        let may_be_more = self.acts.waiting() < most && !(self.looks.is_idle() && self.watch.is_idle());
        if rank < Rank::Routine || !may_be_more {
            return false;
        }
        self.held.get_or_insert_with(Instant::now).elapsed() < HOLD
    }

    /// A settlement whose turn it is, and others that wait and may share its transactions.
    fn with_others(&mut self, job: Job, rank: Rank) -> Vec<Job> {
        let now = self.core.time.now();
        let shares = |job: &Job| !job.book.ledger().has_failed();
        let goes = |other: Rank, act: &Act| match act {
            Act::Settle(job) => shares(job) && may_share(rank.grace_ends(), other.grace_ends(), now),
            Act::Chain { .. } => false,
        };
        // a channel that could not be settled last time holds up nobody but itself
        let most = if shares(&job) { together(self.core.format.largest()) } else { 1 };
        let mut jobs = vec![job];
        while jobs.len() < most
            && let Some((_, Act::Settle(other))) = self.acts.take_along(&mut self.busy, goes)
        {
            jobs.push(other);
        }
        jobs
    }

    fn done(&mut self, done: Done) {
        match done {
            Done::Watch(batch, glances) => self.watched(batch, glances),
            Done::Look { book, urgency, report: Report { visit, grace_ends } } => {
                self.looks.ended([book.incarnation.channel], &mut self.busy);
                if let Visit::Due = visit {
                    let rank = grace_ends.map_or(Rank::Routine, Rank::GraceEnds);
                    self.act(Act::Settle(Job { book, urgency, reply: None, so_far: None }), rank);
                } else {
                    self.note(book.incarnation, urgency, &visit);
                }
            }
            Done::Settle(done) => {
                let channels = done.iter().map(|(job, _)| job.book.incarnation.channel);
                self.acts.ended(channels, &mut self.busy);
                for (job, report) in done {
                    self.settled(job, report);
                }
            }
            Done::CaughtUp(caught_up) => {
                self.catching_up = false;
                match caught_up {
                    Ok(()) => {
                        self.caught_up = true;
                        self.watch();
                    }
                    Err(error) => tracing::error!(%error, "what other processes have served is not known"),
                }
            }
            Done::Chain(channel) => self.acts.ended([channel], &mut self.busy),
        }
    }

    fn settled(&mut self, job: Job, Report { visit, grace_ends }: Report) {
        let Job { book, urgency, reply, so_far } = job;
        match (visit, reply) {
            (Visit::More(settled), reply) if !self.stopping.load(Ordering::Relaxed) => {
                let otherwise = if reply.is_some() { Rank::Asked } else { Rank::Routine };
                let rank = grace_ends.map_or(otherwise, Rank::GraceEnds);
                let so_far = reply.is_some().then(|| settled.after(so_far));
                self.act(Act::Settle(Job { book, urgency, reply, so_far }), rank);
            }
            (visit, Some(reply)) => {
                drop(reply.send(visit.into_outcome(book.incarnation.channel, so_far)));
            }
            (visit, None) => self.note(book.incarnation, urgency, &visit),
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
                (
                    after(pause(*count).as_secs()),
                    planned.map_or(urgency, |planned| planned.urgency.sooner(urgency)),
                )
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
