//! The store that several processes share: PostgreSQL.
//!
//! Exchanges of all channels that come together share a transaction ([`lane`]), so that many requests wait
//! for one sync of the database's disk; what need not be on disk yet does not wait for one at all.

mod alive;
mod exchange;
mod hold;
mod lane;
mod open;
mod read;
mod schema;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use amp_protocol::json::SignedCloseStatement;
use amp_protocol::money::Amount;
use async_trait::async_trait;
use deadpool_postgres::{Object, Pool};
use tokio::time::timeout;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use self::lane::{LIMIT, Lanes};
use super::{
    AnswerId, Change, Exchanged, Incarnation, KeptAnswer, SharedChannel, SharedStore, Stamp, Store,
    StoreError, StoreIdentity, StoredChannel,
};
use crate::server::ledger::SignerRecord;

/// How many seqs the windows of records remember that only pass through.
const ALL_SEQS: u32 = u32::MAX;

/// A random name for a process, new at every start.
type Process = [u8; 8];

/// A service's store in a schema of a PostgreSQL database. Any number of processes may use it at once: they
/// serve the same channels, whichever of them a request comes to. Each service connects for itself: clones of one
/// store are one process to all others.
///
/// The database must keep what it has committed: `fsync` and `full_page_writes` on, as they are by default,
/// and, where a standby takes over, one that commits wait for (`synchronous_standby_names`).
#[derive(Clone)]
pub struct PostgresStore {
    pool: Pool,
    lanes: Lanes,
    process: Process,
    stamps: Arc<AtomicU64>,
}

fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    StoreError(error.into())
}

/// Why something could not be done that is not the database's fault.
fn refused(why: impl Into<String>) -> StoreError {
    StoreError(why.into().into())
}

/// A database that vanished without a word must not hold up its caller for minutes.
async fn limited<T>(work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    timeout(LIMIT, work).await.unwrap_or_else(|_| Err(refused("the database did not answer in time")))
}

impl PostgresStore {
    async fn client(&self) -> Result<Object, StoreError> {
        self.pool.get().await.map_err(failed)
    }

    /// Makes a change out of what is there, once more where another process is faster; `None`: there is
    /// nothing to change.
    async fn update(
        &self,
        incarnation: Incarnation,
        make: impl Fn(&SharedChannel, Change) -> Result<Option<Change>, StoreError> + Send + Sync,
    ) -> Result<(), StoreError> {
        let look = Change::nothing(incarnation, Stamp::NONE);
        let mut there = match self.exchange(look, ALL_SEQS).await? {
            Exchanged::Done { .. } => SharedChannel::nothing(incarnation),
            Exchanged::Stale(stored) => *stored,
        };
        loop {
            let next = self.next_stamp();
            let change = Change { next, durable: true, ..Change::nothing(incarnation, there.stamp) };
            let Some(change) = make(&there, change)? else { return Ok(()) };
            match self.exchange(change, ALL_SEQS).await? {
                Exchanged::Done { .. } => return Ok(()),
                Exchanged::Stale(stored) => there = *stored,
            }
        }
    }

    /// Runs a statement about a channel, whose `$1` and `$2` are its key.
    async fn query(
        &self,
        of: Incarnation,
        sql: &str,
        more: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, StoreError> {
        let slot = of.opened_slot.to_be_bytes();
        let key: [&(dyn ToSql + Sync); 2] = [&&of.channel[..], &&slot[..]];
        self.client().await?.query(sql, &[&key, more].concat()).await.map_err(failed)
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn load(
        &self,
        identity: &StoreIdentity,
        seq_window: u32,
    ) -> Result<Vec<StoredChannel>, StoreError> {
        let client = self.client().await?;
        read::bind(&client, identity).await?;
        read::load(&client, seq_window).await
    }

    async fn recall(
        &self,
        incarnation: Incarnation,
        seq_window: u32,
    ) -> Result<Option<StoredChannel>, StoreError> {
        let asked = Change::nothing(incarnation, Stamp::NONE);
        Ok(match self.exchange(asked, seq_window).await? {
            Exchanged::Done { .. } => None,
            Exchanged::Stale(found) => Some(found.stored),
        })
    }

    async fn commit(
        &self,
        incarnation: Incarnation,
        record: SignerRecord,
        answer: Option<KeptAnswer>,
    ) -> Result<(), StoreError> {
        let make = |there: &SharedChannel, change: Change| {
            let known = there.stored.signers.iter();
            let mut known = known.filter(|one| (one.signer, one.epoch) == (record.signer, record.epoch));
            let is_newer = known.all(|known| known.revision < record.revision);
            let signers = if is_newer { vec![record.clone()] } else { Vec::new() };
            Ok(Some(Change { signers, answers: answer.iter().cloned().collect(), ..change }))
        };
        self.update(incarnation, make).await
    }

    async fn answer(
        &self,
        incarnation: Incarnation,
        id: &AnswerId,
    ) -> Result<Option<KeptAnswer>, StoreError> {
        limited(async { read::answer(&self.client().await?, incarnation, *id).await }).await
    }

    async fn forget_answers(&self, before: i64) -> Result<(), StoreError> {
        // a backlog of days is no one statement
        let sql =
            "DELETE FROM answers WHERE ctid IN (SELECT ctid FROM answers WHERE kept_at < $1 LIMIT 5000)";
        let client = self.client().await?;
        while client.execute(sql, &[&before]).await.map_err(failed)? > 0 {}
        Ok(())
    }

    async fn stop(&self, incarnation: Incarnation, at: i64) -> Result<(), StoreError> {
        let make = |there: &SharedChannel, change| {
            let is_new = there.stored.stopped_at.is_none();
            Ok(is_new.then_some(Change { stopped_at: Some(at), ..change }))
        };
        self.update(incarnation, make).await
    }

    async fn keep_statement(&self, statement: SignedCloseStatement) -> Result<(), StoreError> {
        let incarnation = Incarnation { channel: statement.channel.0, opened_slot: statement.opened_slot };
        let make = |there: &SharedChannel, change| {
            // stop() came first
            let stopped = there.stored.stopped_at.ok_or_else(|| refused("the channel was not stopped"));
            stopped.map(|_| Some(Change { statement: Some(statement), sealed: true, ..change }))
        };
        self.update(incarnation, make).await
    }

    async fn book_claimed(&self, incarnation: Incarnation, claimed: Amount) -> Result<(), StoreError> {
        let sql = "INSERT INTO channels (channel, opened_slot, claimed) VALUES ($1, $2, $3)
            ON CONFLICT (channel, opened_slot) DO UPDATE SET claimed = greatest(channels.claimed, excluded.claimed)";
        self.query(incarnation, sql, &[&&claimed.get().to_be_bytes()[..]]).await.map(drop)
    }

    async fn end(&self, incarnation: Incarnation) -> Result<(), StoreError> {
        let sql = "UPDATE channels SET ended = true WHERE channel = $1 AND opened_slot = $2";
        self.query(incarnation, sql, &[]).await.map(drop)
    }

    fn shared(&self) -> Option<&dyn SharedStore> {
        Some(self)
    }
}

#[async_trait]
impl SharedStore for PostgresStore {
    fn next_stamp(&self) -> Stamp {
        let count = self.stamps.fetch_add(1, Ordering::Relaxed);
        let mut stamp = Stamp::NONE;
        let (process, rest) = stamp.0.split_at_mut(8);
        process.copy_from_slice(&self.process);
        rest.copy_from_slice(&count.to_be_bytes());
        stamp
    }

    async fn exchange(&self, change: Change, seq_window: u32) -> Result<Exchanged, StoreError> {
        self.lanes.exchange(change, seq_window).await
    }

    async fn note_close(&self, incarnation: Incarnation) -> Result<(), StoreError> {
        let sql =
            "UPDATE channels SET close_sent_at = clock_timestamp() WHERE channel = $1 AND opened_slot = $2";
        self.query(incarnation, sql, &[]).await.map(drop)
    }

    async fn may_be_closed(&self, incarnation: Incarnation, seconds: u64) -> Result<bool, StoreError> {
        let sql = "SELECT FROM channels WHERE channel = $1 AND opened_slot <> $2
            AND close_sent_at > clock_timestamp() - $3::bigint * interval '1 second' LIMIT 1";
        let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
        let sent = self.query(incarnation, sql, &[&seconds]).await?;
        Ok(!sent.is_empty())
    }

    async fn stamps(&self) -> Result<Vec<(Incarnation, Stamp)>, StoreError> {
        limited(async { read::stamps(&self.client().await?).await }).await
    }

    async fn stay_alive(&self, would_lead: bool) -> Result<bool, StoreError> {
        limited(async {
            let mut client = self.client().await?;
            alive::stay_alive(&mut client, &self.process, would_lead, || self.next_stamp()).await
        })
        .await
    }
}
