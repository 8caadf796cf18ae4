use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use amp_protocol::message::Key;
use futures::FutureExt as _;
use futures::stream::{self, StreamExt};
use solana_address::Address;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::chain::{self, Chained, ChainingError, SubChannel};
use super::plan::Urgency;
use super::settler::{Settled, Visit, visit};
use crate::server::books::Book;
use crate::server::denial::Denial;
use crate::server::service::Core;
use crate::server::store::Incarnation;

/// Channels looked after at once.
const PARALLEL: usize = 8;
/// Commands that may wait. A poke that does not fit is lost: the watch will notice.
const QUEUE: usize = 256;
/// Longest pause after failures, in seconds.
const LONGEST_BACKOFF: u64 = 60;
/// Requests that are refused poke the worker; it looks at most this often at their channel.
const POKE_DELAY: Duration = Duration::from_secs(1);
/// Seconds between settlements that refused requests bring about, where the service does not settle
/// more often anyway: each costs it a fee, and a client chooses its channel's limit and interval.
const POKE_EVERY: u32 = 60;

type Outcome = Result<Settled, Denial>;

enum Command {
    Settle(Key, oneshot::Sender<Outcome>),
    SettleAll(oneshot::Sender<Vec<(Address, Outcome)>>),
    Chain(Key, SubChannel, oneshot::Sender<Result<Chained, ChainingError>>),
    Poke(Key),
    Shutdown(oneshot::Sender<()>),
}

/// The worker's mailbox. The worker ends when the last handle is gone.
#[derive(Clone)]
pub(crate) struct WorkerHandle {
    commands: mpsc::Sender<Command>,
    stopping: Arc<AtomicBool>,
}

impl WorkerHandle {
    pub(crate) fn spawn(core: Arc<Core>) -> Self {
        let (commands, queue) = mpsc::channel(QUEUE);
        let stopping = Arc::new(AtomicBool::new(false));
        let worker =
            Worker { core, stopping: stopping.clone(), wakes: HashMap::new(), failures: HashMap::new() };
        tokio::spawn(worker.run(queue));
        Self { commands, stopping }
    }

    pub(crate) fn poke(&self, channel: Key) {
        let _ = self.commands.try_send(Command::Poke(channel));
    }

    pub(crate) async fn settle(&self, channel: Key) -> Outcome {
        let ended = || Denial::unavailable("the settlement worker has ended");
        let (reply, outcome) = oneshot::channel();
        self.commands.send(Command::Settle(channel, reply)).await.map_err(|_| ended())?;
        outcome.await.map_err(|_| ended())?
    }

    pub(crate) async fn chain(&self, upstream: Key, asked: SubChannel) -> Result<Chained, ChainingError> {
        let (reply, outcome) = oneshot::channel();
        let command = Command::Chain(upstream, asked, reply);
        self.commands.send(command).await.map_err(|_| ChainingError::Ended)?;
        outcome.await.map_err(|_| ChainingError::Ended)?
    }

    pub(crate) async fn settle_all(&self) -> Vec<(Address, Outcome)> {
        let (reply, outcomes) = oneshot::channel();
        let _ = self.commands.send(Command::SettleAll(reply)).await;
        outcomes.await.unwrap_or_default()
    }

    pub(crate) async fn shutdown(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        let (reply, ended) = oneshot::channel();
        if self.commands.send(Command::Shutdown(reply)).await.is_ok() {
            let _ = ended.await;
        }
    }
}

#[derive(Clone, Copy)]
struct Wake {
    at: Instant,
    urgency: Urgency,
}

struct Worker {
    core: Arc<Core>,
    stopping: Arc<AtomicBool>,
    /// When to look at a channel again, where that is before or after the watch would.
    wakes: HashMap<Incarnation, Wake>,
    /// Failures in a row.
    failures: HashMap<Incarnation, u32>,
}

impl Worker {
    async fn run(mut self, mut queue: mpsc::Receiver<Command>) {
        let mut watch = interval(self.core.config.watch_interval);
        watch.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let wake = self.wakes.values().map(|wake| wake.at).min();
            let far = Instant::now().checked_add(self.core.config.watch_interval);
            let Some(until) = wake.or(far) else { return };
            tokio::select! {
                command = queue.recv() => match command {
                    Some(Command::Settle(channel, reply)) => { let _ = reply.send(self.settle(channel).await); }
                    Some(Command::Chain(upstream, asked, reply)) => {
                        let _ = reply.send(self.chain(upstream, &asked).await);
                    }
                    Some(Command::SettleAll(reply)) => { let _ = reply.send(self.settle_all().await); }
                    Some(Command::Poke(channel)) => self.poke(channel),
                    Some(Command::Shutdown(reply)) => {
                        drop(self);
                        let _ = reply.send(());
                        return;
                    }
                    None => return,
                },
                _ = watch.tick() => self.watch().await,
                () = sleep_until(until), if wake.is_some() => self.wake().await,
            }
        }
    }

    fn routine(&self) -> Urgency {
        self.settling_every(self.core.config.routine_interval())
    }

    fn settling_every(&self, every: u32) -> Urgency {
        Urgency::Routine { every, least: self.core.config.min_settlement }
    }

    /// All channels but those whose last attempt failed a moment ago.
    async fn watch(&mut self) {
        let now = Instant::now();
        let active = self.core.books.active();
        self.wakes.retain(|incarnation, _| active.iter().any(|book| book.incarnation == *incarnation));
        self.failures.retain(|incarnation, _| self.wakes.contains_key(incarnation));
        let pauses = |book: &Arc<Book>| {
            let wake = self.wakes.get(&book.incarnation);
            self.failures.contains_key(&book.incarnation) && wake.is_some_and(|wake| wake.at > now)
        };
        let due = active.into_iter().filter(|book| !pauses(book)).map(|book| {
            let urgency = self.wakes.get(&book.incarnation).map_or(self.routine(), |wake| wake.urgency);
            (book, urgency)
        });
        let due = due.collect();
        self.look_after(due).await;
    }

    async fn wake(&mut self) {
        let now = Instant::now();
        let due = self.wakes.iter().filter(|(_, wake)| wake.at <= now);
        let due: Vec<_> = due.map(|(incarnation, wake)| (*incarnation, wake.urgency)).collect();
        let mut books = Vec::with_capacity(due.len());
        for (incarnation, urgency) in due {
            self.wakes.remove(&incarnation);
            books.extend(self.core.books.find(&incarnation).map(|book| (book, urgency)));
        }
        self.look_after(books).await;
    }

    async fn look_after(&mut self, due: Vec<(Arc<Book>, Urgency)>) {
        for (incarnation, urgency, visit) in self.visit_all(due).await {
            self.note(incarnation, urgency, visit);
        }
    }

    /// Visits several channels at once. After a shutdown was asked for, no further one is begun.
    async fn visit_all(&self, due: Vec<(Arc<Book>, Urgency)>) -> Vec<(Incarnation, Urgency, Visit)> {
        if due.is_empty() {
            return Vec::new();
        }
        let clock = self.core.time.sync(&*self.core.chain).await;
        if let Err(error) = clock {
            let denial = Denial::chain(&error);
            return due
                .into_iter()
                .map(|(book, urgency)| (book.incarnation, urgency, Visit::Failed(denial.clone())))
                .collect();
        }
        let visits = stream::iter(due).map(|(book, urgency)| async move {
            if self.stopping.load(Ordering::Relaxed) {
                let stopped = Denial::unavailable("the service is shutting down");
                return (book.incarnation, urgency, Visit::Failed(stopped));
            }
            // a chain, signer or store that panics must not end the collecting for all channels
            let visited = AssertUnwindSafe(visit(&self.core, &book, urgency)).catch_unwind().await;
            let failed =
                |_| Visit::Failed(Denial::unavailable("the settlement failed; it will be tried again"));
            (book.incarnation, urgency, visited.unwrap_or_else(failed))
        });
        visits.buffer_unordered(PARALLEL).collect().await
    }

    fn note(&mut self, incarnation: Incarnation, urgency: Urgency, visit: Visit) {
        let seconds = match visit {
            Visit::Wait { seconds, .. } => {
                self.failures.remove(&incarnation);
                seconds
            }
            Visit::Failed(_) => {
                let count = self.failures.entry(incarnation).or_default();
                *count = count.saturating_add(1);
                2u64.saturating_pow(*count).min(LONGEST_BACKOFF)
            }
            Visit::Idle | Visit::Settled(_) | Visit::Gone => {
                self.failures.remove(&incarnation);
                self.wakes.remove(&incarnation);
                return;
            }
        };
        if let Some(at) = Instant::now().checked_add(Duration::from_secs(seconds)) {
            self.wakes.insert(incarnation, Wake { at, urgency });
        }
    }

    /// A wish to settle soon. One that is planned already stays as it is.
    fn poke(&mut self, channel: Key) {
        let Some(at) = Instant::now().checked_add(POKE_DELAY) else { return };
        let routine = self.routine();
        let soon = self.settling_every(POKE_EVERY.min(self.core.config.routine_interval()));
        for book in self.core.books.of(channel).iter().filter(|book| !book.has_ended()) {
            let planned = self.wakes.get(&book.incarnation);
            if planned.is_none_or(|wake| wake.urgency == routine && soon != routine) {
                self.wakes.insert(book.incarnation, Wake { at, urgency: soon });
            }
        }
    }

    async fn settle(&mut self, channel: Key) -> Outcome {
        // the newest; one that ended too, since it may have been taken for closed by mistake
        let Some(book) = self.core.books.of(channel).pop() else { return Err(Denial::no_channel(channel)) };
        let visits = self.visit_all(vec![(book, Urgency::Demanded)]).await;
        let visit = visits.into_iter().next().map(|(_, _, visit)| visit);
        visit.unwrap_or(Visit::Idle).into_outcome(channel)
    }

    async fn chain(&self, upstream: Key, asked: &SubChannel) -> Result<Chained, ChainingError> {
        let none = ChainingError::NoChannel(Address::from(upstream));
        let book = self.core.books.of(upstream).pop().ok_or(none)?;
        chain::chain(&self.core, &book, asked).await
    }

    async fn settle_all(&mut self) -> Vec<(Address, Outcome)> {
        let due = self.core.books.active().into_iter().map(|book| (book, Urgency::Demanded)).collect();
        let visits = self.visit_all(due).await;
        let outcome = |(incarnation, _, visit): (Incarnation, _, Visit)| {
            (Address::from(incarnation.channel), visit.into_outcome(incarnation.channel))
        };
        visits.into_iter().map(outcome).collect()
    }
}
