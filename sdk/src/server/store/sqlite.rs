use std::path::Path;

use amp_protocol::json::SignedCloseStatement;
use amp_protocol::money::{Amount, Seq};
use async_trait::async_trait;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::journal::{self, Journal};
use super::{AnswerId, Incarnation, KeptAnswer, Store, StoreError, StoreIdentity, StoredChannel};
use crate::durable::{Database, DurableError, Sharing};
use crate::server::ledger::{ReplayWindow, SignerRecord};

// 64-bit numbers are 8 bytes big-endian: SQLite's integers have a sign, and these compare as bytes
pub(super) const SCHEMA: &[&str] = &[
    "
CREATE TABLE service (
    only_one INTEGER PRIMARY KEY CHECK (only_one = 1),
    recipient BLOB NOT NULL, program_id BLOB NOT NULL, network TEXT NOT NULL
) STRICT;
CREATE TABLE channels (
    channel BLOB NOT NULL, opened_slot BLOB NOT NULL,
    claimed BLOB NOT NULL DEFAULT x'0000000000000000',
    stopped_at INTEGER, owed_total BLOB, statement_sig BLOB,
    ended INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (channel, opened_slot)
) STRICT, WITHOUT ROWID;
CREATE TABLE signers (
    channel BLOB NOT NULL, opened_slot BLOB NOT NULL,
    signer BLOB NOT NULL, epoch BLOB NOT NULL, revision BLOB NOT NULL,
    seq BLOB NOT NULL, sig BLOB NOT NULL, seq_start BLOB NOT NULL,
    spent BLOB NOT NULL, calls BLOB NOT NULL,
    period_start INTEGER NOT NULL, period_end INTEGER NOT NULL, replay BLOB NOT NULL,
    PRIMARY KEY (channel, opened_slot, signer, epoch),
    FOREIGN KEY (channel, opened_slot) REFERENCES channels
) STRICT, WITHOUT ROWID;
",
    journal::SCHEMA,
    "
CREATE TABLE answers (
    channel BLOB NOT NULL, opened_slot BLOB NOT NULL, signer BLOB NOT NULL, epoch BLOB NOT NULL,
    key BLOB NOT NULL, question BLOB NOT NULL, answer BLOB NOT NULL, kept_at INTEGER NOT NULL,
    seq BLOB NOT NULL,
    PRIMARY KEY (channel, opened_slot, signer, epoch, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX answers_by_age ON answers (kept_at);
",
];

const KNOW: &str = "INSERT INTO channels (channel, opened_slot) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
/// A service's store in one SQLite file, which this process alone may open.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    database: Database<Journal>,
}

impl SqliteStore {
    /// Opens or creates the file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, DurableError> {
        let journal = Journal::default();
        let database = Database::gathering(path.as_ref(), Sharing::Exclusive, SCHEMA, journal)?;
        Ok(Self { database })
    }

    async fn write<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Journal, &Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.database.write_with(job).await.map_err(|error| StoreError(Box::new(error)))
    }

    /// Runs `sql` on a channel that is known from then on; `?1` and `?2` are its key.
    async fn update<P>(&self, incarnation: Incarnation, sql: &'static str, third: P) -> Result<(), StoreError>
    where
        P: rusqlite::ToSql + Send + 'static,
    {
        let slot = incarnation.opened_slot.to_be_bytes();
        self.write(move |_, connection| {
            connection.prepare_cached(KNOW)?.execute(params![incarnation.channel, slot])?;
            connection.prepare_cached(sql)?.execute(params![incarnation.channel, slot, third]).map(drop)
        })
        .await
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn load(
        &self,
        identity: &StoreIdentity,
        seq_window: u32,
    ) -> Result<Vec<StoredChannel>, StoreError> {
        let wanted = identity.clone();
        let bound = self.write(move |_, connection| bind(connection, &wanted)).await?;
        if bound != *identity {
            return Err(bound.is_not(identity));
        }
        let (mut channels, records) = self
            .write(move |journal, connection| {
                let newer = journal.records().map(|(incarnation, newer)| (incarnation, newer.clone()));
                let mut records = records(connection)?;
                records.extend(newer);
                Ok((channels(connection)?, records))
            })
            .await?;
        // here, and not in the writer's thread: what a thread allocates and frees is of use to itself alone
        for (incarnation, mut record) in records {
            record.replay = record.replay.with_capacity(seq_window);
            let found = channels.binary_search_by_key(&incarnation, |found| found.incarnation).ok();
            if let Some(found) = found.and_then(|at| channels.get_mut(at)) {
                take_over(&mut found.signers, record);
            }
        }
        Ok(channels)
    }

    async fn recall(
        &self,
        incarnation: Incarnation,
        seq_window: u32,
    ) -> Result<Option<StoredChannel>, StoreError> {
        self.write(move |journal, connection| {
            let Some(mut found) = recall(connection, incarnation)? else { return Ok(None) };
            for newer in journal.records_of(incarnation) {
                take_over(&mut found.signers, newer.clone());
            }
            for signer in &mut found.signers {
                signer.replay = signer.replay.clone().with_capacity(seq_window);
            }
            Ok(Some(found))
        })
        .await
    }

    async fn commit(
        &self,
        incarnation: Incarnation,
        record: SignerRecord,
        answer: Option<KeptAnswer>,
    ) -> Result<(), StoreError> {
        if let Some(answer) = answer {
            return self
                .write(move |journal, connection| {
                    // a record is left for good: first what can fail
                    keep(connection, incarnation, &answer)?;
                    journal.leave(incarnation, record);
                    Ok(())
                })
                .await;
        }
        // the writer wakes with the first record, and on a busy core takes the place of those who are about to
        // have one: so the requests that are ready go first, and then their records come at once
        tokio::task::yield_now().await;
        let left = self.database.leave(move |journal| journal.leave(incarnation, record)).await;
        left.map_err(|error| StoreError(Box::new(error)))
    }

    async fn answer(
        &self,
        incarnation: Incarnation,
        id: &AnswerId,
    ) -> Result<Option<KeptAnswer>, StoreError> {
        let id = *id;
        self.write(move |_, connection| answer(connection, incarnation, id)).await
    }

    async fn forget_answers(&self, before: i64) -> Result<(), StoreError> {
        self.write(move |_, connection| {
            connection.execute("DELETE FROM answers WHERE kept_at < ?1", [before]).map(drop)
        })
        .await
    }

    async fn stop(&self, incarnation: Incarnation, at: i64) -> Result<(), StoreError> {
        let sql = "UPDATE channels SET stopped_at = coalesce(stopped_at, ?3), ended = 0 WHERE channel = ?1 AND opened_slot = ?2";
        self.update(incarnation, sql, at).await
    }

    async fn keep_statement(&self, statement: SignedCloseStatement) -> Result<(), StoreError> {
        let (channel, slot) = (statement.channel.0, statement.opened_slot.to_be_bytes());
        let sql =
            "UPDATE channels SET owed_total = ?3, statement_sig = ?4 WHERE channel = ?1 AND opened_slot = ?2";
        self.write(move |_, connection| {
            let total = statement.owed_total.get().to_be_bytes();
            let changed = connection.execute(sql, params![channel, slot, total, statement.sig.0])?;
            // stop() came first, so the row is there
            if changed == 1 { Ok(()) } else { Err(rusqlite::Error::StatementChangedRows(changed)) }
        })
        .await
    }

    async fn book_claimed(&self, incarnation: Incarnation, claimed: Amount) -> Result<(), StoreError> {
        let sql = "UPDATE channels SET claimed = max(claimed, ?3) WHERE channel = ?1 AND opened_slot = ?2";
        self.update(incarnation, sql, claimed.get().to_be_bytes()).await
    }

    async fn end(&self, incarnation: Incarnation) -> Result<(), StoreError> {
        let key = (incarnation.channel, incarnation.opened_slot.to_be_bytes());
        self.write(move |journal, connection| {
            // a commit that comes later finds nothing of it in the journal, and begins it again
            journal.bring(connection, incarnation)?;
            connection.prepare_cached(KNOW)?.execute(key)?;
            let sql = "UPDATE channels SET ended = 1 WHERE channel = ?1 AND opened_slot = ?2";
            connection.prepare_cached(sql)?.execute(key)?;
            journal.forget(incarnation);
            Ok(())
        })
        .await
    }
}

fn keep(connection: &Connection, incarnation: Incarnation, kept: &KeptAnswer) -> rusqlite::Result<()> {
    let KeptAnswer { id, question, answer, kept_at, seq } = kept;
    let slots = (incarnation.opened_slot.to_be_bytes(), id.epoch.to_be_bytes());
    let seq = seq.get().to_be_bytes();
    let (at, key) = (incarnation.channel, id.key.0);
    let row = params![at, slots.0, id.signer, slots.1, key, question, answer, kept_at, seq];
    // admission lets none of a name through while another is under way, or was answered
    let sql = "INSERT INTO answers VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    connection.prepare_cached(sql)?.execute(row).map(drop)
}

fn answer(
    connection: &Connection,
    incarnation: Incarnation,
    id: AnswerId,
) -> rusqlite::Result<Option<KeptAnswer>> {
    let slots = (incarnation.opened_slot.to_be_bytes(), id.epoch.to_be_bytes());
    let row = params![incarnation.channel, slots.0, id.signer, slots.1, id.key.0];
    let sql = "SELECT question, answer, kept_at, seq FROM answers
        WHERE channel = ?1 AND opened_slot = ?2 AND signer = ?3 AND epoch = ?4 AND key = ?5";
    let found = connection.prepare_cached(sql)?.query_row(row, |row| {
        let (question, answer, kept_at) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(KeptAnswer { id, question, answer, kept_at, seq: Seq::new(number(row, 3)?) })
    });
    found.optional()
}

/// Writes the identity into an empty store, and returns the one that is there.
fn bind(connection: &Connection, wanted: &StoreIdentity) -> rusqlite::Result<StoreIdentity> {
    let found = connection
        .query_row("SELECT recipient, program_id, network FROM service", [], |row| {
            Ok(StoreIdentity { recipient: row.get(0)?, program_id: row.get(1)?, network: row.get(2)? })
        })
        .optional()?;
    if let Some(found) = found {
        return Ok(found);
    }
    let row = params![wanted.recipient, wanted.program_id, wanted.network];
    connection.execute("INSERT INTO service VALUES (1, ?1, ?2, ?3)", row)?;
    Ok(wanted.clone())
}

/// All channels that have not ended, in order.
fn channels(connection: &Connection) -> rusqlite::Result<Vec<StoredChannel>> {
    let mut statement = connection.prepare(
        "SELECT channel, opened_slot, claimed, stopped_at, owed_total, statement_sig FROM channels
         WHERE ended = 0 ORDER BY channel, opened_slot",
    )?;
    statement.query_map([], channel)?.collect()
}

/// The records of all channels.
fn records(connection: &Connection) -> rusqlite::Result<Vec<(Incarnation, SignerRecord)>> {
    let mut statement = connection.prepare("SELECT * FROM signers")?;
    let records = statement.query_map([], |row| {
        let incarnation = Incarnation { channel: row.get(0)?, opened_slot: number(row, 1)? };
        Ok((incarnation, signer(row)?))
    })?;
    records.collect()
}

fn recall(connection: &Connection, incarnation: Incarnation) -> rusqlite::Result<Option<StoredChannel>> {
    let key = params![incarnation.channel, incarnation.opened_slot.to_be_bytes()];
    let mut statement = connection.prepare_cached(
        "SELECT channel, opened_slot, claimed, stopped_at, owed_total, statement_sig FROM channels
         WHERE channel = ?1 AND opened_slot = ?2",
    )?;
    let Some(mut found) = statement.query_row(key, channel).optional()? else { return Ok(None) };
    let mut statement =
        connection.prepare_cached("SELECT * FROM signers WHERE channel = ?1 AND opened_slot = ?2")?;
    let signers = statement.query_map(key, signer)?;
    found.signers = signers.collect::<rusqlite::Result<_>>()?;
    Ok(Some(found))
}

/// Takes a record over, unless a newer one is there.
fn take_over(signers: &mut Vec<SignerRecord>, record: SignerRecord) {
    match signers.iter_mut().find(|known| (known.signer, known.epoch) == (record.signer, record.epoch)) {
        Some(known) if known.revision < record.revision => *known = record,
        Some(_) => {}
        None => {
            signers.reserve_exact(1);
            signers.push(record);
        }
    }
}

fn channel(row: &Row<'_>) -> rusqlite::Result<StoredChannel> {
    let incarnation = Incarnation { channel: row.get(0)?, opened_slot: number(row, 1)? };
    let sig: Option<[u8; 64]> = row.get(5)?;
    let statement = sig.map(|sig| {
        Ok::<_, rusqlite::Error>(SignedCloseStatement {
            channel: incarnation.channel.into(),
            opened_slot: incarnation.opened_slot,
            owed_total: Amount::new(number(row, 4)?),
            sig: sig.into(),
        })
    });
    Ok(StoredChannel {
        incarnation,
        signers: Vec::new(),
        stopped_at: row.get(3)?,
        statement: statement.transpose()?,
        claimed: Amount::new(number(row, 2)?),
    })
}

/// A record with the window that it was stored with.
fn signer(row: &Row<'_>) -> rusqlite::Result<SignerRecord> {
    let replay: Vec<u8> = row.get(12)?;
    // a history that can't be read must not become an empty one: seqs would be accepted twice
    let replay = ReplayWindow::from_bytes(&replay, u32::MAX).ok_or_else(|| {
        rusqlite::Error::FromSqlConversionFailure(12, Type::Blob, "not a replay window".into())
    })?;
    Ok(SignerRecord {
        signer: row.get(2)?,
        epoch: number(row, 3)?,
        revision: number(row, 4)?,
        seq: Seq::new(number(row, 5)?),
        sig: row.get(6)?,
        seq_start: Seq::new(number(row, 7)?),
        spent: Amount::new(number(row, 8)?),
        calls: number(row, 9)?,
        period_start: row.get(10)?,
        period_end: row.get(11)?,
        replay,
    })
}

fn number(row: &Row<'_>, at: usize) -> rusqlite::Result<u64> {
    row.get(at).map(u64::from_be_bytes)
}
