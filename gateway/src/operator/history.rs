//! What happened to money, for people: a file of its own beside the store.
//!
//! The store keeps what must never be wrong, one row a signer. This keeps how it came about, and is made from what the
//! engine tells once the store knows. It is written some times a second, in the order of events, never by a request;
//! what a crash cuts off is found at the next start, where the store knows more than this, and booked in one row that
//! says so ([`Entry::is_gathered`]). So its sums are the store's, and details are missing for a second at most
//! (docs/decisions/0025).
//!
//! It is bounded: single charges are kept to a number, sums by the hour for 400 days.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use amp_protocol::money::Amount;
use amp_sdk::server::{Incarnation, MoneyEvent, MoneyKind, Session};
use rusqlite::{Connection, params};
use serde::Serialize;
use solana_address::Address;
use tokio::sync::broadcast;

/// Events that wait to be written. Of more, their sums are booked at the next start.
const WAITING: usize = 65_536;
/// Single charges that are kept.
const KEPT_CHARGES: i64 = 200_000;
/// Settlements that are kept.
const KEPT_TRANSFERS: i64 = 100_000;
/// Seconds that sums by the hour are kept for.
const KEPT_HOURS: i64 = 400 * 24 * 3_600;
const HOUR: i64 = 3_600;
/// How long events are gathered, so that many share a write.
const GATHER: Duration = Duration::from_millis(100);
/// Live charges that a slow reader may fall behind.
const LIVE: usize = 1_024;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS charges (
    id INTEGER PRIMARY KEY, at INTEGER NOT NULL, channel TEXT NOT NULL, opened_slot INTEGER NOT NULL,
    signer TEXT NOT NULL, seq TEXT NOT NULL, cost INTEGER NOT NULL, gathered INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS signers (
    channel TEXT NOT NULL, opened_slot INTEGER NOT NULL, signer TEXT NOT NULL, epoch INTEGER NOT NULL,
    charged INTEGER NOT NULL, PRIMARY KEY (channel, opened_slot, signer, epoch)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS hours (
    hour INTEGER PRIMARY KEY, charged INTEGER NOT NULL, calls INTEGER NOT NULL, settled INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS transfers (
    id INTEGER PRIMARY KEY, at INTEGER NOT NULL, channel TEXT NOT NULL, opened_slot INTEGER NOT NULL,
    kind TEXT NOT NULL, who TEXT NOT NULL, paid INTEGER NOT NULL, signature TEXT
) STRICT;
CREATE TABLE IF NOT EXISTS paid (
    channel TEXT NOT NULL, opened_slot INTEGER NOT NULL, paid INTEGER NOT NULL, PRIMARY KEY (channel, opened_slot)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS channels (
    channel TEXT NOT NULL, opened_slot INTEGER NOT NULL, funder TEXT NOT NULL,
    deposited INTEGER NOT NULL, claimed INTEGER NOT NULL, statement INTEGER, gone_at INTEGER,
    PRIMARY KEY (channel, opened_slot)
) STRICT, WITHOUT ROWID;
";

/// A charge. Amounts are base units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Entry {
    pub(crate) id: i64,
    /// Unix seconds.
    pub(crate) at: i64,
    pub(crate) channel: String,
    pub(crate) opened_slot: u64,
    pub(crate) signer: String,
    pub(crate) seq: String,
    pub(crate) cost: Amount,
    /// Many in one: what was not written one by one.
    pub(crate) is_gathered: bool,
}

/// A settlement, or a chaining. Amounts are base units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Transfer {
    pub(crate) id: i64,
    pub(crate) at: i64,
    pub(crate) channel: String,
    pub(crate) opened_slot: u64,
    /// `settled`, `chained`, or `gathered`: what was paid out while nobody wrote.
    pub(crate) kind: String,
    /// The signer that was settled, or the channel that was chained.
    pub(crate) who: String,
    pub(crate) paid: Amount,
    pub(crate) signature: Option<String>,
}

/// An hour, or a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Period {
    /// Unix seconds.
    pub(crate) start: i64,
    pub(crate) charged: Amount,
    pub(crate) calls: u64,
    pub(crate) settled: Amount,
}

/// A channel that was seen, perhaps gone by now. Amounts are base units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Remembered {
    pub(crate) channel: String,
    pub(crate) opened_slot: u64,
    pub(crate) funder: String,
    pub(crate) deposited: Amount,
    pub(crate) claimed: Amount,
    pub(crate) statement: Option<Amount>,
    /// Unix seconds.
    pub(crate) gone_at: Option<i64>,
}

enum Note {
    Event(MoneyEvent),
    Seen(Box<Session>),
    /// Says when all before it is written.
    Flush(SyncSender<()>),
}

/// The history, open for writing by one thread, and for reading.
#[derive(Clone)]
pub(crate) struct History(Arc<Inner>);

struct Inner {
    notes: SyncSender<Note>,
    missed: AtomicU64,
    live: broadcast::Sender<MoneyEvent>,
    reader: Mutex<Connection>,
}

impl History {
    /// Opens or creates the file.
    pub(crate) fn open(path: &Path) -> rusqlite::Result<Self> {
        let writer = connect(path)?;
        writer.execute_batch(SCHEMA)?;
        let reader = connect(path)?;
        let (notes, queue) = sync_channel(WAITING);
        std::thread::Builder::new()
            .name("amp-history".to_owned())
            .spawn(move || write(writer, &queue))
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
        let (missed, live) = (AtomicU64::new(0), broadcast::Sender::new(LIVE));
        Ok(Self(Arc::new(Inner { notes, missed, live, reader: Mutex::new(reader) })))
    }

    /// Takes note of an event: it waits for nothing.
    pub(crate) fn note(&self, event: MoneyEvent) {
        // nobody may be reading
        let _ = self.0.live.send(event);
        if let Err(TrySendError::Full(_)) = self.0.notes.try_send(Note::Event(event))
            && self.0.missed.fetch_add(1, Ordering::Relaxed) == 0
        {
            tracing::warn!("the history can't keep up: some charges are booked together at the next start");
        }
    }

    /// Takes note of how a channel stands: of one that is gone nobody else will know.
    pub(crate) fn saw(&self, session: Session) {
        let _ = self.0.notes.try_send(Note::Seen(Box::new(session)));
    }

    /// What happens from now on.
    pub(crate) fn live(&self) -> broadcast::Receiver<MoneyEvent> {
        self.0.live.subscribe()
    }

    /// Waits until all that was noted is written. It blocks.
    pub(crate) fn flush(&self) {
        let (done, written) = sync_channel(1);
        if self.0.notes.send(Note::Flush(done)).is_ok() {
            let _ = written.recv_timeout(Duration::from_secs(10));
        }
    }

    pub(super) fn reader(&self) -> MutexGuard<'_, Connection> {
        self.0.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Books together what the store has charged and this does not know, of a channel on which nothing is under way.
    /// It blocks.
    pub(crate) fn gather_charges(
        &self,
        incarnation: &Incarnation,
        session: &Session,
        at: i64,
    ) -> rusqlite::Result<()> {
        let (channel, slot) = key(incarnation);
        let mut reader = self.reader();
        let transaction = reader.transaction()?;
        for signer in &session.signers {
            let known: i64 = transaction
                .prepare_cached("SELECT coalesce(sum(charged), 0) FROM signers WHERE channel = ?1 AND opened_slot = ?2 AND signer = ?3 AND epoch = ?4")?
                .query_row(params![channel, slot, signer.signer, whole(signer.epoch)], |row| row.get(0))?;
            let missing = integer(signer.spent).saturating_sub(known);
            if missing > 0 {
                charge(&transaction, at, &channel, slot, &signer.signer, signer.epoch, "", missing, 0)?;
            }
        }
        transaction.commit()
    }

    /// Books together what the chain has paid out and this does not know: while nobody wrote, or by another process.
    pub(crate) fn gather_paid(
        &self,
        incarnation: &Incarnation,
        session: &Session,
        at: i64,
    ) -> rusqlite::Result<()> {
        let Some(on_chain) = &session.on_chain else { return Ok(()) };
        if on_chain.claimed.is_zero() {
            return Ok(());
        }
        let (channel, slot) = key(incarnation);
        let mut reader = self.reader();
        let transaction = reader.transaction()?;
        let known: i64 = transaction
            .prepare_cached(
                "SELECT coalesce(sum(paid), 0) FROM paid WHERE channel = ?1 AND opened_slot = ?2",
            )?
            .query_row(params![channel, slot], |row| row.get(0))?;
        let missing = integer(on_chain.claimed).saturating_sub(known);
        if missing > 0 {
            transfer(&transaction, at, (&channel, slot), "gathered", ("", None), missing)?;
        }
        transaction.commit()
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    // consistent after a power cut, though the last moment may be missing: see the module
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.busy_timeout(Duration::from_secs(10))?;
    Ok(connection)
}

/// The writer: until all that note are gone.
fn write(mut connection: Connection, queue: &Receiver<Note>) {
    while let Ok(first) = queue.recv() {
        if !matches!(first, Note::Flush(_)) {
            std::thread::sleep(GATHER);
        }
        let notes = std::iter::once(first).chain(queue.try_iter().take(WAITING));
        let mut flushed = Vec::new();
        if let Err(error) = write_all(&mut connection, notes, &mut flushed) {
            tracing::error!(%error, "the history can't be written; the books are not touched by that");
        }
        for done in flushed {
            let _ = done.send(());
        }
    }
}

fn write_all(
    connection: &mut Connection,
    notes: impl Iterator<Item = Note>,
    flushed: &mut Vec<SyncSender<()>>,
) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    for note in notes {
        match note {
            Note::Event(event) => write_event(&transaction, &event)?,
            Note::Seen(session) => write_session(&transaction, &session)?,
            Note::Flush(done) => flushed.push(done),
        }
    }
    transaction
        .execute("DELETE FROM charges WHERE id <= (SELECT max(id) FROM charges) - ?1", [KEPT_CHARGES])?;
    transaction.execute(
        "DELETE FROM transfers WHERE id <= (SELECT max(id) FROM transfers) - ?1",
        [KEPT_TRANSFERS],
    )?;
    transaction.execute("DELETE FROM hours WHERE hour < (SELECT max(hour) FROM hours) - ?1", [KEPT_HOURS])?;
    transaction.commit()
}

fn write_event(connection: &Connection, event: &MoneyEvent) -> rusqlite::Result<()> {
    let (channel, slot) = key(&event.incarnation);
    match event.kind {
        MoneyKind::Charged { signer, epoch, seq, cost } => {
            let (signer, seq) = (signer.to_string(), seq.to_string());
            charge(connection, event.at, &channel, slot, &signer, epoch, &seq, integer(cost), 1)
        }
        MoneyKind::Settled { signer: who, paid, transaction }
        | MoneyKind::Chained { into: who, paid, transaction } => {
            let kind = if let MoneyKind::Settled { .. } = event.kind { "settled" } else { "chained" };
            let whose = (&*who.to_string(), transaction.map(|signature| signature.to_string()));
            transfer(connection, event.at, (&channel, slot), kind, whose, integer(paid))
        }
        MoneyKind::Gone => connection
            .prepare_cached("UPDATE channels SET gone_at = ?3 WHERE channel = ?1 AND opened_slot = ?2")?
            .execute(params![channel, slot, event.at])
            .map(drop),
    }
}

#[allow(clippy::too_many_arguments, reason = "the columns of one row")]
fn charge(
    connection: &Connection,
    at: i64,
    channel: &str,
    slot: i64,
    signer: &str,
    epoch: u64,
    seq: &str,
    cost: i64,
    calls: i64,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT INTO charges (at, channel, opened_slot, signer, seq, cost, gathered) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
        .execute(params![at, channel, slot, signer, seq, cost, calls == 0])?;
    connection
        .prepare_cached("INSERT INTO signers VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET charged = charged + excluded.charged")?
        .execute(params![channel, slot, signer, whole(epoch), cost])?;
    hour(connection, at, cost, calls, 0)
}

fn transfer(
    connection: &Connection,
    at: i64,
    (channel, slot): (&str, i64),
    kind: &str,
    (who, signature): (&str, Option<String>),
    paid: i64,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT INTO transfers (at, channel, opened_slot, kind, who, paid, signature) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
        .execute(params![at, channel, slot, kind, who, paid, signature])?;
    // transfers are kept for a while, and this for ever: what is forgotten of them must not be missing from the sum
    connection
        .prepare_cached(
            "INSERT INTO paid VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET paid = paid + excluded.paid",
        )?
        .execute(params![channel, slot, paid])?;
    hour(connection, at, 0, 0, paid)
}

fn hour(connection: &Connection, at: i64, charged: i64, calls: i64, settled: i64) -> rusqlite::Result<()> {
    let hour = at.saturating_sub(at.rem_euclid(HOUR));
    connection
        .prepare_cached("INSERT INTO hours VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET charged = charged + excluded.charged, calls = calls + excluded.calls, settled = settled + excluded.settled")?
        .execute(params![hour, charged, calls, settled])
        .map(drop)
}

fn write_session(connection: &Connection, session: &Session) -> rusqlite::Result<()> {
    let Some(on_chain) = &session.on_chain else {
        // gone already, and its statement may be new
        return connection
            .prepare_cached("UPDATE channels SET statement = coalesce(?3, statement) WHERE channel = ?1 AND opened_slot = ?2")?
            .execute(params![session.channel, whole(session.opened_slot), session.statement.map(integer)])
            .map(drop);
    };
    connection
        .prepare_cached("INSERT INTO channels VALUES (?1, ?2, ?3, ?4, ?5, ?6, NULL) ON CONFLICT DO UPDATE SET deposited = excluded.deposited, claimed = max(claimed, excluded.claimed), statement = coalesce(excluded.statement, statement), gone_at = NULL")?
        .execute(params![
            session.channel,
            whole(session.opened_slot),
            on_chain.funder,
            integer(on_chain.deposited),
            integer(on_chain.claimed),
            session.statement.map(integer),
        ])
        .map(drop)
}

pub(super) fn key(incarnation: &Incarnation) -> (String, i64) {
    (Address::from(incarnation.channel).to_string(), whole(incarnation.opened_slot))
}

pub(super) fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn integer(amount: Amount) -> i64 {
    // more than 2^63 base units of a token are not there to be paid
    whole(amount.get())
}
