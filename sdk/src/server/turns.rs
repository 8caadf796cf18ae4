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
/// Most turns of a channel that wait while the database does not answer. Further callers are refused.
const WAITING: usize = 1_024;
/// How long a caller waits for its turn. What comes of it later is taken back.
const PATIENCE: Duration = Duration::from_secs(5);
/// Most bytes of answers in one exchange.
const HEAVY: usize = 4 << 20;
/// Pause for a process that came too late with its change: longer than it takes from what it reads to what it
/// writes. Without it one that is never idle would keep all others out.
const COURTESY: Duration = Duration::from_millis(5);
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
pub(crate) type Undo<T> = Arc<dyn Fn(&mut ChannelLedger, &T) + Send + Sync>;

trait Turn: Send {
    /// Changes the ledger; once more, on another copy, where another process was faster.
    fn take(&mut self, ledger: &mut ChannelLedger, wishes: &mut Wishes);
    /// It is stored. Where its caller has gone meanwhile: the turn that takes it back.
    fn over(self: Box<Self>) -> Option<Box<dyn Turn>>;
    /// Whether it is still wanted.
    fn is_wanted(&self) -> bool;
    /// Bytes that it writes beside the ledger.
    fn weight(&self) -> usize;
}

type TurnOf<T> = Box<dyn FnMut(&mut ChannelLedger, &mut Wishes) -> T + Send>;

struct Asked<T> {
    change: TurnOf<T>,
    outcome: Option<T>,
    /// None: nobody waits for it, and it is taken all the same.
    caller: Option<oneshot::Sender<T>>,
    undo: Option<Undo<T>>,
    weight: usize,
}

impl<T: Send + Sync + 'static> Turn for Asked<T> {
    fn take(&mut self, ledger: &mut ChannelLedger, wishes: &mut Wishes) {
        self.outcome = Some((self.change)(ledger, wishes));
    }

    fn over(self: Box<Self>) -> Option<Box<dyn Turn>> {
        let unheard = self.caller?.send(self.outcome?).err()?;
        Some(undoing(self.undo?, unheard))
    }

    fn is_wanted(&self) -> bool {
        self.caller.as_ref().is_none_or(|caller| !caller.is_closed())
    }

    fn weight(&self) -> usize {
        self.weight
    }
}

/// The turn that takes back what came of another.
fn undoing<T: Send + Sync + 'static>(undo: Undo<T>, unheard: T) -> Box<dyn Turn> {
    let change = move |ledger: &mut ChannelLedger, wishes: &mut Wishes| {
        wishes.durable = true;
        undo(ledger, &unheard);
    };
    Box::new(Asked { change: Box::new(change), outcome: None, caller: None, undo: None, weight: 0 })
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

/// The store and the channel of a turn.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) book: Arc<Book>,
    pub(crate) seq_window: u32,
}

/// What a caller waits for. Dropped after its turn was over, and before the outcome was taken from it, it has
/// that undone: whoever hangs up in that instant would leave a reservation that nobody knows of.
struct Outcome<T: Send + Sync + 'static> {
    outcome: oneshot::Receiver<T>,
    undo: Option<Undo<T>>,
    place: Place,
}

impl<T: Send + Sync + 'static> Drop for Outcome<T> {
    fn drop(&mut self) {
        self.outcome.close();
        if let Ok(unheard) = self.outcome.try_recv()
            && let Some(undo) = self.undo.take()
            && tokio::runtime::Handle::try_current().is_ok()
        {
            queue(&self.place, undoing(undo, unheard));
        }
    }
}

/// Takes a turn on a channel's books, and returns once what it made is stored. A caller that is dropped, or
/// that has waited for [`PATIENCE`], has changed nothing: what came of its turn after that is undone. `weight` is
/// how many bytes of answers it keeps.
pub(crate) async fn turn<T: Send + Sync + 'static>(
    place: Place,
    change: impl FnMut(&mut ChannelLedger, &mut Wishes) -> T + Send + 'static,
    undo: Option<Undo<T>>,
    weight: usize,
) -> Result<T, StoreError> {
    let (caller, outcome) = oneshot::channel();
    let (change, caller) = (Box::new(change), Some(caller));
    let asked = Asked { change, outcome: None, caller, undo: undo.clone(), weight };
    if !has_room(&place.book) {
        return Err(StoreError("too many requests of this channel wait for the database".into()));
    }
    queue(&place, Box::new(asked));
    let mut waiting = Outcome { outcome, undo, place };
    let slow = |_| StoreError("the database did not answer in time".into());
    let gone = |_| StoreError("the turn was not taken to its end".into());
    timeout(PATIENCE, &mut waiting.outcome).await.map_err(slow)?.map_err(gone)
}

/// Has a turn taken for which nobody waits.
pub(crate) fn later(place: &Place, change: impl FnMut(&mut ChannelLedger, &mut Wishes) + Send + 'static) {
    let change = Box::new(change);
    queue(place, Box::new(Asked { change, outcome: None, caller: None, undo: None, weight: 0 }));
}

/// Whether another turn may wait. Those whose callers have given up meanwhile make room.
fn has_room(book: &Book) -> bool {
    let queue = &mut lock(&book.turns().waiting).queue;
    if queue.len() >= WAITING {
        queue.retain(|turn| turn.is_wanted());
    }
    queue.len() < WAITING
}

fn queue(place: &Place, turn: Box<dyn Turn>) {
    let mut waiting = lock(&place.book.turns().waiting);
    waiting.queue.push(turn);
    if !std::mem::replace(&mut waiting.under_way, true) {
        // a task of its own: a client that goes away must not leave the others' turns undone
        tokio::spawn(run(place.clone()));
    }
}

/// The turns that are taken together next; none: the queue is empty, and nothing is under way any more.
fn next(book: &Book) -> Option<Vec<Box<dyn Turn>>> {
    let mut waiting = lock(&book.turns().waiting);
    let (mut together, mut weight) = (0_usize, 0_usize);
    for turn in waiting.queue.iter().take(TOGETHER) {
        weight = weight.saturating_add(turn.weight());
        if weight > HEAVY && together > 0 {
            break;
        }
        together = together.saturating_add(1);
    }
    if together == 0 {
        (waiting.under_way, waiting.queue) = (false, Vec::new());
        return None;
    }
    Some(waiting.queue.drain(..together).collect())
}

async fn run(Place { store, book, seq_window }: Place) {
    while let Some(mut turns) = next(&book) {
        turns.retain(|turn| turn.is_wanted());
        if let Some(shared) = store.shared().filter(|_| !turns.is_empty()) {
            let others_wait = take_all(shared, &book, seq_window, &mut turns).await;
            if others_wait {
                sleep(COURTESY).await;
            }
        }
        let undoing: Vec<_> = turns.into_iter().filter_map(Turn::over).collect();
        lock(&book.turns().waiting).queue.extend(undoing);
    }
}

/// Takes the turns until what they made is stored; whether another process came too late meanwhile.
async fn take_all(
    shared: &dyn SharedStore,
    book: &Book,
    seq_window: u32,
    turns: &mut [Box<dyn Turn>],
) -> bool {
    let mut is_new = false;
    loop {
        let before = book.ledger().clone();
        let (mut made, mut wishes) = (before.clone(), Wishes::default());
        for turn in &mut *turns {
            turn.take(&mut made, &mut wishes);
        }
        let mut change = made.change_since(&before, book.incarnation, book.turns().seen());
        (change.answers, change.durable) = (wishes.answers, wishes.durable);
        if change.is_none() && is_new {
            // it was decided on what was stored a moment ago: while others write, there is no newer truth
            return false;
        }
        if !change.is_none() {
            change.next = shared.next_stamp();
        }
        match until_known(shared, book, change, seq_window).await {
            Exchanged::Done { stamp, others_wait } => {
                book.ledger().follow(&made);
                *lock(&book.turns().seen) = stamp;
                return others_wait;
            }
            Exchanged::Stale(stored) => {
                book.ledger().adopt(&stored);
                if stored.stored.stopped_at.is_some() {
                    // its streams are to end
                    book.has_changed();
                }
                *lock(&book.turns().seen) = stored.stamp;
                is_new = true;
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
