//! What a service must not forget.

mod answer;
mod journal;
#[cfg(feature = "postgres")]
mod postgres;
mod shared;
mod sqlite;
#[cfg(test)]
mod tests;

use std::fmt;

use amp_protocol::json::SignedCloseStatement;
use amp_protocol::message::Key;
use amp_protocol::money::Amount;
use async_trait::async_trait;
use solana_address::Address;

use super::ledger::SignerRecord;

pub use answer::{AnswerId, AnswerKey, KeptAnswer};
#[cfg(feature = "postgres")]
pub use postgres::PostgresStore;
pub use shared::{ALIVE_EVERY, Change, DEAD_AFTER, Exchanged, Hold, SharedChannel, SharedStore, Stamp};
pub use sqlite::SqliteStore;

/// A channel between one opening and its close: addresses may be reopened, slots don't return.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation {
    /// The channel's address.
    pub channel: Key,
    /// The slot of its opening.
    pub opened_slot: u64,
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (opened in slot {})", Address::from(self.channel), self.opened_slot)
    }
}

/// Whose books these are. A store is bound to the first identity that loads it: on another cluster
/// every channel of this one would seem closed, and what it owes would be given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreIdentity {
    /// The service's key.
    pub recipient: Key,
    /// The program.
    pub program_id: Key,
    /// The network's name.
    pub network: String,
}

impl StoreIdentity {
    /// The store is bound to this one, and was loaded for another.
    fn is_not(&self, wanted: &Self) -> StoreError {
        let describe = |identity: &Self| {
            let key = amp_protocol::json::Base58(identity.recipient);
            let program = amp_protocol::json::Base58(identity.program_id);
            format!("recipient {key}, program {program}, network {}", identity.network)
        };
        let (bound, wanted) = (describe(self), describe(wanted));
        StoreError(format!("it belongs to {bound}; this service is {wanted}; use another store").into())
    }
}

/// One incarnation as it was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredChannel {
    /// Which.
    pub incarnation: Incarnation,
    /// Its signers.
    pub signers: Vec<SignerRecord>,
    /// Unix seconds since when it is not served any more.
    pub stopped_at: Option<i64>,
    /// The close statement that was given out.
    pub statement: Option<SignedCloseStatement>,
    /// What the chain had paid out when it was last settled, in base units.
    pub claimed: Amount,
}

/// The store failed; what was asked of it may not be there.
#[derive(Debug, thiserror::Error)]
#[error("the store failed: {0}")]
pub struct StoreError(#[from] pub Box<dyn std::error::Error + Send + Sync>);

/// Durable state. **Each method returns only when its effect survives `kill -9` and power loss**, or
/// with an error; the service acts on that, in this order:
///
/// - [`commit`](Self::commit) returns before the answer it belongs to leaves. So whatever a client
///   saw served can be claimed, and its seq is refused for ever.
/// - [`stop`](Self::stop) returns before the close statement's total is fixed, and
///   [`keep_statement`](Self::keep_statement) before the statement leaves. So no restart serves a
///   channel whose final account was given out.
/// - Settlement reads only what was committed: a claim on chain is never ahead of the store.
///
/// Calls for one signer may overlap and arrive out of order.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// All that was stored and has not [ended](Self::end). Binds an empty store to `identity`, and
    /// fails for any other afterwards. `seq_window` is how many seqs a replay window remembers now.
    async fn load(&self, identity: &StoreIdentity, seq_window: u32)
    -> Result<Vec<StoredChannel>, StoreError>;

    /// What was stored of one incarnation, ended or not: a channel that was taken for closed is on
    /// chain, and goes on with what it had.
    async fn recall(
        &self,
        incarnation: Incarnation,
        seq_window: u32,
    ) -> Result<Option<StoredChannel>, StoreError>;

    /// Keeps a signer's record, unless one with a higher revision is there already: that one holds
    /// all that this one does. A channel that had [ended](Self::end) has not: it is served. The answer that
    /// the charge was for is kept with it: both or neither.
    async fn commit(
        &self,
        incarnation: Incarnation,
        record: SignerRecord,
        answer: Option<KeptAnswer>,
    ) -> Result<(), StoreError>;

    /// The answer that was kept under a name, if there is one.
    async fn answer(&self, incarnation: Incarnation, id: &AnswerId)
    -> Result<Option<KeptAnswer>, StoreError>;

    /// Forgets the answers that were kept before a time (Unix seconds).
    async fn forget_answers(&self, before: i64) -> Result<(), StoreError>;

    /// The incarnation is not served any more, from `at` (Unix seconds) on. The first call counts. One that had
    /// [ended](Self::end) has not: it is there to be closed.
    async fn stop(&self, incarnation: Incarnation, at: i64) -> Result<(), StoreError>;

    /// Keeps the close statement that is about to be given out.
    async fn keep_statement(&self, statement: SignedCloseStatement) -> Result<(), StoreError>;

    /// What the chain has paid out, for the books; never lower than before.
    async fn book_claimed(&self, incarnation: Incarnation, claimed: Amount) -> Result<(), StoreError>;

    /// The channel is gone from the chain: nothing can be claimed any more. Its records are kept for
    /// the books, and not loaded again unless a later [commit](Self::commit) shows that it was there.
    async fn end(&self, incarnation: Incarnation) -> Result<(), StoreError>;

    /// Where several processes may use the store at once: how they agree. The service then changes no
    /// channel's books but through that, and [`commit`](Self::commit), [`stop`](Self::stop) and
    /// [`keep_statement`](Self::keep_statement) are not called.
    fn shared(&self) -> Option<&dyn SharedStore> {
        None
    }
}
