use std::collections::BTreeSet;
use std::time::Duration;

use deadpool_postgres::{Object, Pool};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::{Process, exchange, failed, refused};
use crate::server::store::{Change, Exchanged, Incarnation, StoreError};

/// Transactions under way at once. A channel is always of the same lane, so that a process never waits for
/// itself.
pub(super) const LANES: usize = 4;
/// Most changes that share a transaction.
const GROUP: usize = 256;
/// Most changes that wait. Further callers wait for room.
const QUEUE: usize = 2 * GROUP;
/// Most bytes of answers in a group: what takes too long to send would be sent again for ever.
const HEAVY: usize = 8 << 20;
/// How long a transaction may take before its connection is given up.
pub(super) const LIMIT: Duration = Duration::from_secs(10);

type Answer = Result<Exchanged, StoreError>;

/// A change that waits for its transaction.
pub(super) struct Asked {
    pub(super) change: Change,
    pub(super) seq_window: u32,
    caller: oneshot::Sender<Answer>,
}

/// What runs the transactions. It ends with its last clone.
#[derive(Clone)]
pub(super) struct Lanes(Vec<mpsc::Sender<Asked>>);

impl Lanes {
    pub(super) fn start(pool: &Pool, process: Process) -> Self {
        let start = |_| {
            let (asked, queue) = mpsc::channel(QUEUE);
            tokio::spawn(run(pool.clone(), process, queue));
            asked
        };
        Self((0..LANES).map(start).collect())
    }

    pub(super) async fn exchange(&self, change: Change, seq_window: u32) -> Answer {
        let closed = || refused("the store is closed");
        let [.., last] = change.incarnation.channel;
        let lane = usize::from(last).checked_rem(self.0.len()).and_then(|lane| self.0.get(lane));
        let (caller, answer) = oneshot::channel();
        let asked = Asked { change, seq_window, caller };
        lane.ok_or_else(closed)?.send(asked).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }
}

async fn run(pool: Pool, process: Process, mut queue: mpsc::Receiver<Asked>) {
    // of one channel one change at a time: a second waits for the next transaction
    let mut next: Option<Asked> = None;
    loop {
        let first = match next.take() {
            Some(first) => first,
            None => match queue.recv().await {
                Some(first) => first,
                None => return,
            },
        };
        let mut channels: BTreeSet<Incarnation> = BTreeSet::from([first.change.incarnation]);
        let mut weight = first.change.weight();
        let mut group = vec![first];
        while group.len() < GROUP
            && weight < HEAVY
            && let Ok(asked) = queue.try_recv()
        {
            if !channels.insert(asked.change.incarnation) {
                next = Some(asked);
                break;
            }
            weight = weight.saturating_add(asked.change.weight());
            group.push(asked);
        }
        match attempt(&pool, &process, &group).await {
            Ok(answers) => {
                for (asked, answer) in group.into_iter().zip(answers) {
                    let _ = asked.caller.send(answer);
                }
            }
            Err(error) => {
                let reason = error.to_string();
                for asked in group {
                    let _ = asked.caller.send(Err(refused(reason.clone())));
                }
            }
        }
    }
}

/// One transaction. Where it fails its connection goes with it: who knows what is open on it.
async fn attempt(pool: &Pool, process: &Process, group: &[Asked]) -> Result<Vec<Answer>, StoreError> {
    let slow = |_| Err(refused("a transaction took too long"));
    let client = timeout(LIMIT, async { pool.get().await.map_err(failed) }).await.unwrap_or_else(slow)?;
    let slow = |_| Err(refused("a transaction took too long"));
    let done = timeout(LIMIT, exchange::exchange(&client, process, group)).await.unwrap_or_else(slow);
    if done.is_err() {
        drop(Object::take(client));
    }
    done
}
