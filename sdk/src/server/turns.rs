//! Changes of a channel's books where other processes keep books of it too.
//!
//! Requests of this process on one channel take their turn together: all that wait are applied to a copy
//! of the ledger, in order, and what that makes is exchanged with the store in one go. Where another process
//! was faster, they are applied again to what it left. So a hundred parallel requests cost a few exchanges,
//! and each is decided on the books as they are.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use super::books::Book;
use super::ledger::ChannelLedger;
use super::store::{Change, Exchanged, KeptAnswer, SharedStore, Stamp, Store, StoreError};
use super::views::lock;

/// Most turns that are taken together: bounds how large an exchange gets.
const TOGETHER: usize = 128;
/// How long a caller waits for its turn. What comes of it later is taken back.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pause between attempts at an exchange of which nobody knows whether it was made.
const PAUSE: Duration = Duration::from_millis(200);

/// What a turn wants to be written beside the ledger's own changes.
#[derive(Default)]
pub(crate) struct Wishes {
    /// It must be on disk before the turn is over.
    pub(crate) durable: bool,
    pub(crate) answers: Vec<KeptAnswer>,
}

/// Takes back what came of a turn.
pub(crate) type Undo<T> = Box<dyn Fn(&mut ChannelLedger, &T) + Send>;

trait Turn: Send {
    /// Changes the ledger; once more, on another copy, where another process was faster.
    fn take(&mut self, ledger: &mut ChannelLedger, wishes: &mut Wishes);
    /// It is stored. Where its caller has gone meanwhile: the turn that takes it back.
    fn over(self: Box<Self>) -> Option<Box<dyn Turn>>;
    /// Whether it is still wanted.
    fn is_wanted(&self) -> bool;
}

type TurnOf<T> = Box<dyn FnMut(&mut ChannelLedger, &mut Wishes) -> T + Send>;

struct Asked<T> {
    change: TurnOf<T>,
    outcome: Option<T>,
    /// None: nobody waits for it, and it is taken all the same.
    caller: Option<oneshot::Sender<T>>,
    undo: Option<Undo<T>>,
}

impl<T: Send + 'static> Turn for Asked<T> {
    fn take(&mut self, ledger: &mut ChannelLedger, wishes: &mut Wishes) {
        self.outcome = Some((self.change)(ledger, wishes));
    }

    fn over(self: Box<Self>) -> Option<Box<dyn Turn>> {
        let unheard = self.caller?.send(self.outcome?).err()?;
        let undo = self.undo?;
        let change = move |ledger: &mut ChannelLedger, _: &mut Wishes| undo(ledger, &unheard);
        Some(Box::new(Asked { change: Box::new(change), outcome: None, caller: None, undo: None }))
    }

    fn is_wanted(&self) -> bool {
        self.caller.as_ref().is_none_or(|caller| !caller.is_closed())
    }
}

/// The turns of one channel.
#[derive(Default)]
pub(crate) struct Turns {
    waiting: Mutex<Waiting>,
    /// Which state of the books the ledger is.
    seen: Mutex<Stamp>,
}

#[derive(Default)]
struct Waiting {
    queue: Vec<Box<dyn Turn>>,
    under_way: bool,
}

impl Turns {
    pub(crate) fn seen(&self) -> Stamp {
        *lock(&self.seen)
    }
}

/// Takes a turn on a channel's books, and returns once what it made is stored. A caller that is dropped, or
/// that has waited for [`PATIENCE`], has changed nothing: what came of its turn after that is undone.
pub(crate) async fn turn<T: Send + 'static>(
    store: &Arc<dyn Store>,
    book: &Arc<Book>,
    seq_window: u32,
    change: impl FnMut(&mut ChannelLedger, &mut Wishes) -> T + Send + 'static,
    undo: Option<Undo<T>>,
) -> Result<T, StoreError> {
    let (caller, outcome) = oneshot::channel();
    let asked = Asked { change: Box::new(change), outcome: None, caller: Some(caller), undo };
    queue(store, book, seq_window, Box::new(asked));
    let slow = |_| StoreError("the database did not answer in time".into());
    let gone = |_| StoreError("the turn was not taken to its end".into());
    timeout(PATIENCE, outcome).await.map_err(slow)?.map_err(gone)
}

/// Has a turn taken for which nobody waits.
pub(crate) fn later(
    store: &Arc<dyn Store>,
    book: &Arc<Book>,
    seq_window: u32,
    change: impl FnMut(&mut ChannelLedger, &mut Wishes) + Send + 'static,
) {
    let asked = Asked { change: Box::new(change), outcome: None, caller: None, undo: None };
    queue(store, book, seq_window, Box::new(asked));
}

fn queue(store: &Arc<dyn Store>, book: &Arc<Book>, seq_window: u32, turn: Box<dyn Turn>) {
    let mut waiting = lock(&book.turns.waiting);
    waiting.queue.push(turn);
    if !std::mem::replace(&mut waiting.under_way, true) {
        // a task of its own: a client that goes away must not leave the others' turns undone
        tokio::spawn(run(store.clone(), book.clone(), seq_window));
    }
}

async fn run(store: Arc<dyn Store>, book: Arc<Book>, seq_window: u32) {
    loop {
        let mut turns: Vec<Box<dyn Turn>> = {
            let mut waiting = lock(&book.turns.waiting);
            if waiting.queue.is_empty() {
                (waiting.under_way, waiting.queue) = (false, Vec::new());
                return;
            }
            let together = waiting.queue.len().min(TOGETHER);
            waiting.queue.drain(..together).collect()
        };
        turns.retain(|turn| turn.is_wanted());
        if let Some(shared) = store.shared().filter(|_| !turns.is_empty()) {
            take_all(shared, &book, seq_window, &mut turns).await;
        }
        let undoing: Vec<_> = turns.into_iter().filter_map(Turn::over).collect();
        lock(&book.turns.waiting).queue.extend(undoing);
    }
}

/// Takes the turns until what they made is stored.
async fn take_all(shared: &dyn SharedStore, book: &Book, seq_window: u32, turns: &mut [Box<dyn Turn>]) {
    loop {
        let before = book.ledger().clone();
        let (mut made, mut wishes) = (before.clone(), Wishes::default());
        for turn in &mut *turns {
            turn.take(&mut made, &mut wishes);
        }
        let mut change = made.change_since(&before, book.incarnation, book.turns.seen());
        (change.answers, change.durable) = (wishes.answers, wishes.durable);
        if !change.is_none() {
            change.next = shared.next_stamp();
        }
        match until_known(shared, book, change, seq_window).await {
            Exchanged::Done(stamp) => {
                book.ledger().follow(&made);
                *lock(&book.turns.seen) = stamp;
                return;
            }
            Exchanged::Stale(stored) => {
                book.ledger().adopt(&stored);
                *lock(&book.turns.seen) = stored.stamp;
            }
        }
    }
}

/// Sends a change until it is known what became of it. Its callers don't wait for so long; but whether they
/// were charged must be known before the next change is made.
async fn until_known(shared: &dyn SharedStore, book: &Book, change: Change, seq_window: u32) -> Exchanged {
    loop {
        match shared.exchange(change.clone(), seq_window).await {
            Ok(exchanged) => return exchanged,
            Err(error) => {
                tracing::error!(%error, channel = %book.incarnation, "the books could not be exchanged; trying again");
                sleep(PAUSE).await;
            }
        }
    }
}
