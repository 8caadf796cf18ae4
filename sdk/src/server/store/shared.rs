//! What several processes on one store have to agree on.

use amp_protocol::json::SignedCloseStatement;
use amp_protocol::message::Key;
use amp_protocol::money::{Amount, Seq};
use async_trait::async_trait;

use super::{AnswerKey, Incarnation, KeptAnswer, StoreError, StoredChannel};
use crate::server::ledger::SignerRecord;

/// Which state of a channel's books somebody has seen. Every change gives them a new one that no other
/// change ever had: equal stamps are equal books.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp(pub [u8; 16]);

impl Stamp {
    /// Nothing was seen.
    pub const NONE: Self = Self([0; 16]);
}

/// A request in flight: its seq is used, and its price set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hold {
    /// The signer.
    pub signer: Key,
    /// The slot in which its authority was created.
    pub epoch: u64,
    /// Its seq.
    pub seq: Seq,
    /// The most that it will cost, in base units.
    pub price: Amount,
    /// The client's name for it, if it has one.
    pub key: Option<AnswerKey>,
    /// Its answer leaves bit by bit, and so much of it was charged so far. Its price is what it may use beyond, and
    /// counts as spent in the stored record of its signer, until the last of it is charged. So what was in
    /// flight at a process that died stays spent, as it may have left.
    pub metered: Option<Amount>,
}

/// A channel's books as they are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedChannel {
    /// Which state this is.
    pub stamp: Stamp,
    /// Signers, and how far service has ended.
    pub stored: StoredChannel,
    /// Nothing is charged any more.
    pub sealed: bool,
    /// Requests in flight at the process that asks.
    pub own: Vec<Hold>,
    /// Those at all others.
    pub elsewhere: Vec<Hold>,
}

/// What a process makes of a channel's books.
#[derive(Clone, Debug)]
pub struct Change {
    /// Whose.
    pub incarnation: Incarnation,
    /// The state it was made from.
    pub seen: Stamp,
    /// The state it leads to: a stamp that was never used. The same change may be sent again with it.
    pub next: Stamp,
    /// Signers whose records are others now.
    pub signers: Vec<SignerRecord>,
    /// All requests in flight at this process; `None`: as before.
    pub own: Option<Vec<Hold>>,
    /// Unix seconds since when it is not served, if it is not.
    pub stopped_at: Option<i64>,
    /// Nothing is charged any more.
    pub sealed: bool,
    /// The close statement, if one was made.
    pub statement: Option<SignedCloseStatement>,
    /// Answers to be kept.
    pub answers: Vec<KeptAnswer>,
    /// It must be on disk before [`SharedStore::exchange`] returns. Otherwise others must see it from then on,
    /// and it may be lost with a crash of the database: then nobody sees it any more, nor what was made
    /// from it, and [its stamp](Stamp) is never seen again.
    pub durable: bool,
}

impl SharedChannel {
    /// The books of a channel that was never stored.
    pub fn nothing(incarnation: Incarnation) -> Self {
        let claimed = Amount::ZERO;
        let stored =
            StoredChannel { incarnation, signers: Vec::new(), stopped_at: None, statement: None, claimed };
        Self { stamp: Stamp::NONE, stored, sealed: false, own: Vec::new(), elsewhere: Vec::new() }
    }
}

impl Change {
    /// Nothing to write, of what was seen.
    pub fn nothing(incarnation: Incarnation, seen: Stamp) -> Self {
        Self {
            incarnation,
            seen,
            next: seen,
            signers: Vec::new(),
            own: None,
            stopped_at: None,
            sealed: false,
            statement: None,
            answers: Vec::new(),
            durable: false,
        }
    }

    /// Bytes of answers in it: all else is small.
    pub fn weight(&self) -> usize {
        self.answers.iter().map(|kept| kept.answer.len()).fold(0, usize::saturating_add)
    }

    /// Whether there is anything to write.
    pub fn is_none(&self) -> bool {
        let kept = self.signers.is_empty() && self.own.is_none() && self.answers.is_empty();
        kept && self.stopped_at.is_none() && !self.sealed && self.statement.is_none()
    }
}

/// What came of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exchanged {
    /// It was made; the books have this stamp now, or had it until somebody changed them again.
    Done {
        /// The change's `next`.
        stamp: Stamp,
        /// Another process came too late with a change of its own, and waits for a pause.
        others_wait: bool,
    },
    /// It was made from another state than the one that is there, and nothing was written. This is what is
    /// there: make it anew from that.
    Stale(Box<SharedChannel>),
}

/// A store at which several processes serve the same channels: none of them acts on what it remembers.
///
/// A change is made from a state that was seen, and is written only where that is still the state: all at
/// once, or nothing of it. So every request is admitted on what all processes have admitted and charged
/// before, whichever process it comes to; no seq is taken twice, and no bound passed by two of them together.
#[async_trait]
pub trait SharedStore: Send + Sync {
    /// A stamp that no change ever had.
    fn next_stamp(&self) -> Stamp;

    /// Makes a change, or says what has become of the books meanwhile. A change without anything to write
    /// asks for just that.
    ///
    /// A change that was made and whose answer was lost is known by its `next` stamp, and not made again.
    ///
    /// # Errors
    /// Whether it was made is not known: it is found out by sending it again.
    async fn exchange(&self, change: Change, seq_window: u32) -> Result<Exchanged, StoreError>;

    /// This process is about to close the incarnation on chain.
    async fn note_close(&self, incarnation: Incarnation) -> Result<(), StoreError>;

    /// Whether a process noted within the last `seconds` that it closes another incarnation of the same
    /// address: landing late, that would close this one.
    async fn may_be_closed(&self, incarnation: Incarnation, seconds: u64) -> Result<bool, StoreError>;

    /// All that has not [ended](super::Store::end), with the stamps of their books.
    async fn stamps(&self) -> Result<Vec<(Incarnation, Stamp)>, StoreError>;

    /// Tells the others that this process is alive; to be called every [`ALIVE_EVERY`]. What was in
    /// flight at one that does not for [`DEAD_AFTER`] is released. Returns whether this process is the one
    /// that looks after all channels: of those that `would_lead`, one at a time is.
    async fn stay_alive(&self, would_lead: bool) -> Result<bool, StoreError>;
}

/// How often a process tells that it is alive, in seconds.
pub const ALIVE_EVERY: u64 = 5;
/// After how many seconds of silence a process counts as dead.
pub const DEAD_AFTER: u64 = 30;
