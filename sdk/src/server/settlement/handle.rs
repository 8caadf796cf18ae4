use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use amp_protocol::message::Key;
use solana_address::Address;
use tokio::sync::{mpsc, oneshot};

use super::chain::{Chained, ChainingError, SubChannel};
use super::visit::Settled;
use super::worker::Worker;
use crate::server::denial::Denial;
use crate::server::service::Core;

/// Commands that may wait. A poke that does not fit is lost: the watch will notice.
const QUEUE: usize = 256;

pub(super) type Outcome = Result<Settled, Denial>;
/// Where the outcome of one settlement goes.
pub(super) type Reply = oneshot::Sender<Outcome>;
/// Where the outcome of a chaining goes.
pub(super) type ChainReply = oneshot::Sender<Result<Chained, ChainingError>>;

/// Why a refused request wants the worker to look at its channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// A settlement would make room: for its rate, or among those that owe.
    Full,
    /// The channel is closing, and its grace runs.
    Closing,
}

pub(super) enum Command {
    Settle(Key, Reply),
    SettleAll(oneshot::Sender<Vec<(Address, oneshot::Receiver<Outcome>)>>),
    Chain(Key, SubChannel, ChainReply),
    Poke(Key, Why),
    LookAtAll,
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
        tokio::spawn(Worker::new(core, stopping.clone()).run(queue));
        Self { commands, stopping }
    }

    pub(crate) fn poke(&self, channel: Key, why: Why) {
        let _ = self.commands.try_send(Command::Poke(channel, why));
    }

    /// For what the chain tells.
    pub(crate) fn noticing(&self) -> Noticing {
        Noticing(self.commands.downgrade())
    }

    pub(crate) async fn settle(&self, channel: Key) -> Outcome {
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
        let (reply, all) = oneshot::channel();
        let _ = self.commands.send(Command::SettleAll(reply)).await;
        let mut outcomes = Vec::new();
        for (channel, outcome) in all.await.unwrap_or_default() {
            outcomes.push((channel, outcome.await.unwrap_or_else(|_| Err(ended()))));
        }
        outcomes
    }

    pub(crate) async fn shutdown(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        let (reply, ended) = oneshot::channel();
        if self.commands.send(Command::Shutdown(reply)).await.is_ok() {
            let _ = ended.await;
        }
    }
}

/// Wakes the worker, and does not keep it from ending. What it sends is not lost where the mailbox is full: money
/// may be waiting for it, and with a rare watch for long. `None` says that the worker has ended.
#[derive(Clone)]
pub(crate) struct Noticing(mpsc::WeakSender<Command>);

impl Noticing {
    /// A channel closes, or is gone.
    pub(crate) async fn notice(&self, channel: Key) -> Option<()> {
        self.0.upgrade()?.send(Command::Poke(channel, Why::Closing)).await.ok()
    }

    /// Nobody knows what happened meanwhile.
    pub(crate) async fn look_at_all(&self) -> Option<()> {
        self.0.upgrade()?.send(Command::LookAtAll).await.ok()
    }
}

fn ended() -> Denial {
    Denial::unavailable("the settlement worker has ended")
}
