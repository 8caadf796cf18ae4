//! Records on their way into the table.
//!
//! A commit of many records that change as many rows would write a page of the database for nearly every one
//! of them. So a group's records are appended to the journal, in one row, and go to their places in the table
//! later: of each signer only the newest, neighbours together, some with every commit.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Bound;

use amp_protocol::message::Key;
use amp_protocol::money::{Amount, Seq};
use rusqlite::types::Type;
use rusqlite::{Connection, params};

use super::Incarnation;
use crate::durable::Gather;
use crate::server::ledger::{ReplayWindow, SignerRecord};

/// The journal's table: schema 2.
pub(super) const SCHEMA: &str =
    "CREATE TABLE journal (id INTEGER PRIMARY KEY, records BLOB NOT NULL) STRICT;";

/// Records after which those in the journal are brought to their places. More of them are brought in fewer
/// writes; as many, and as many again, are in memory and read again at a start.
const FULL: usize = 65_536;
/// How many are brought for each one that is appended, so that the journal never grows for long.
const BROUGHT: usize = 2;

/// What is served is on chain, whatever was taken for gone before.
const SERVE: &str = "INSERT INTO channels (channel, opened_slot) VALUES (?1, ?2)
ON CONFLICT DO UPDATE SET ended = 0 WHERE ended <> 0";
const APPEND: &str = "INSERT INTO journal (records) VALUES (?1)";
const BRING: &str = "
INSERT INTO signers VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
ON CONFLICT DO UPDATE SET revision = excluded.revision, seq = excluded.seq, sig = excluded.sig,
    seq_start = excluded.seq_start, spent = excluded.spent, calls = excluded.calls,
    period_start = excluded.period_start, period_end = excluded.period_end, replay = excluded.replay
WHERE excluded.revision > signers.revision";

/// One signer of one incarnation, in one epoch.
type Place = (Incarnation, Key, u64);

type Records = BTreeMap<Place, SignerRecord>;

/// Bringing all that was appended up to some row.
struct Sweep {
    up_to: i64,
    /// The place that was brought last.
    at: Option<Place>,
}

/// The records that are not in the table yet.
pub(super) struct Journal {
    /// Records after which a sweep begins.
    full: usize,
    /// To be appended.
    left: Vec<(Incarnation, SignerRecord)>,
    /// Appended and not brought, of each signer the newest. `None`: nothing is known of the journal's table,
    /// which is brought first.
    appended: Option<Records>,
    /// What is appended with one commit, in one piece of memory.
    bytes: Vec<u8>,
    /// The last row of the journal's table.
    last: i64,
    /// Records appended since the last sweep began.
    since_sweep: usize,
    sweep: Option<Sweep>,
}

impl Default for Journal {
    fn default() -> Self {
        Self::that_is_full_after(FULL)
    }
}

impl Journal {
    fn that_is_full_after(full: usize) -> Self {
        let (left, bytes) = Default::default();
        Self { full, left, appended: None, bytes, last: 0, since_sweep: 0, sweep: None }
    }

    /// Takes a record, to be appended with the others of its commit.
    pub(super) fn leave(&mut self, incarnation: Incarnation, record: SignerRecord) {
        self.left.push((incarnation, record));
    }

    /// The newest records that are not in the table.
    pub(super) fn records(&self) -> impl Iterator<Item = (Incarnation, &SignerRecord)> {
        self.appended.iter().flatten().map(|((incarnation, ..), record)| (*incarnation, record))
    }

    /// Those of one incarnation.
    pub(super) fn records_of(&self, incarnation: Incarnation) -> impl Iterator<Item = &SignerRecord> {
        let appended = self.appended.iter();
        appended.flat_map(move |records| records.range(places(incarnation))).map(|(_, record)| record)
    }

    /// Brings an incarnation's records to the table. Its rows of the journal's table stay, and change nothing
    /// when they are brought again.
    pub(super) fn bring(&self, connection: &Connection, incarnation: Incarnation) -> rusqlite::Result<()> {
        self.records_of(incarnation).try_for_each(|record| bring(connection, incarnation, record))
    }

    /// An incarnation's records were brought, and nothing can fail any more.
    pub(super) fn forget(&mut self, incarnation: Incarnation) {
        if let Some(appended) = &mut self.appended {
            appended.extract_if(places(incarnation), |_, _| true).for_each(drop);
        }
    }

    /// Appends what was left, of each signer the newest; how many records that are.
    fn append(&mut self, connection: &Connection) -> rusqlite::Result<usize> {
        let appended = self.appended.get_or_insert_default();
        let mut left: Vec<_> = self.left.drain(..).map(|(of, record)| (place(of, &record), record)).collect();
        // the newest of a signer first. The map of all that is appended is large, and looked into once for each
        left.sort_unstable_by(|(a, one), (b, other)| a.cmp(b).then(other.revision.cmp(&one.revision)));
        left.dedup_by(|(later, _), (first, _)| later == first);
        self.bytes.clear();
        let (bytes, mut count) = (&mut self.bytes, 0_usize);
        for (place, record) in left {
            let incarnation = place.0;
            match appended.entry(place) {
                Entry::Occupied(known) if known.get().revision >= record.revision => continue,
                Entry::Occupied(mut known) => {
                    encode(bytes, &incarnation, &record);
                    known.insert(record);
                }
                Entry::Vacant(vacant) => {
                    encode(bytes, &incarnation, &record);
                    vacant.insert(record);
                    let Incarnation { channel, opened_slot } = incarnation;
                    let key = params![channel, opened_slot.to_be_bytes()];
                    connection.prepare_cached(SERVE)?.execute(key)?;
                }
            }
            count = count.saturating_add(1);
        }
        if count > 0 {
            connection.prepare_cached(APPEND)?.execute([bytes.as_slice()])?;
            self.last = connection.last_insert_rowid();
            self.since_sweep = self.since_sweep.saturating_add(count);
        }
        Ok(count)
    }

    /// Brings some records to the table, in the order in which they stand there.
    fn sweep(&mut self, connection: &Connection, most: usize) -> rusqlite::Result<()> {
        if self.sweep.is_none() && self.since_sweep >= self.full {
            self.since_sweep = 0;
            self.sweep = Some(Sweep { up_to: self.last, at: None });
        }
        let (Some(sweep), Some(appended)) = (&mut self.sweep, &mut self.appended) else { return Ok(()) };
        for _ in 0..most {
            let after = sweep.at.map_or(Bound::Unbounded, Bound::Excluded);
            let Some((place, record)) = appended.range((after, Bound::Unbounded)).next() else {
                // all that was appended up to there was brought, or something newer in its place
                connection.execute("DELETE FROM journal WHERE id <= ?1", [sweep.up_to])?;
                self.sweep = None;
                return Ok(());
            };
            bring(connection, place.0, record)?;
            let place = *place;
            appended.remove(&place);
            sweep.at = Some(place);
        }
        Ok(())
    }
}

impl Gather for Journal {
    fn write(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        if self.appended.is_none() {
            bring_all(connection)?;
            self.appended = Some(Records::new());
        }
        if self.left.is_empty() {
            return Ok(());
        }
        let count = self.append(connection)?;
        self.sweep(connection, count.saturating_mul(BROUGHT).max(1))
    }

    fn lost(&mut self) {
        *self = Self::that_is_full_after(self.full);
    }
}

fn place(incarnation: Incarnation, record: &SignerRecord) -> Place {
    (incarnation, record.signer, record.epoch)
}

fn places(incarnation: Incarnation) -> std::ops::RangeInclusive<Place> {
    (incarnation, [0; 32], 0)..=(incarnation, [u8::MAX; 32], u64::MAX)
}

fn bring(connection: &Connection, incarnation: Incarnation, record: &SignerRecord) -> rusqlite::Result<()> {
    let row = params![
        incarnation.channel,
        incarnation.opened_slot.to_be_bytes(),
        record.signer,
        record.epoch.to_be_bytes(),
        record.revision.to_be_bytes(),
        record.seq.get().to_be_bytes(),
        record.sig,
        record.seq_start.get().to_be_bytes(),
        record.spent.get().to_be_bytes(),
        record.calls.to_be_bytes(),
        record.period_start,
        record.period_end,
        record.replay.to_bytes(),
    ];
    connection.prepare_cached(BRING)?.execute(row).map(drop)
}

/// Brings all that the journal's table holds, and empties it: a row at a time, so that a start needs no memory
/// for all of them. What is newer stays, in whichever order they come.
fn bring_all(connection: &Connection) -> rusqlite::Result<()> {
    let mut statement = connection.prepare("SELECT records FROM journal ORDER BY id DESC")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        // a history that can't be read must not become an empty one: seqs would be accepted twice
        let unreadable =
            || rusqlite::Error::FromSqlConversionFailure(0, Type::Blob, "not a journal's records".into());
        for (incarnation, record) in decode(row.get_ref(0)?.as_blob()?).ok_or_else(unreadable)? {
            bring(connection, incarnation, &record)?;
        }
    }
    connection.execute("DELETE FROM journal", []).map(drop)
}

/// Numbers are 8 bytes big-endian, the replay window has its length before it.
fn encode(bytes: &mut Vec<u8>, incarnation: &Incarnation, record: &SignerRecord) {
    bytes.extend_from_slice(&incarnation.channel);
    bytes.extend_from_slice(&incarnation.opened_slot.to_be_bytes());
    bytes.extend_from_slice(&record.signer);
    bytes.extend_from_slice(&record.sig);
    let numbers = [
        record.epoch,
        record.revision,
        record.seq.get(),
        record.seq_start.get(),
        record.spent.get(),
        record.calls,
    ];
    numbers.iter().for_each(|number| bytes.extend_from_slice(&number.to_be_bytes()));
    let times = [record.period_start, record.period_end];
    times.iter().for_each(|time| bytes.extend_from_slice(&time.to_be_bytes()));
    let replay = record.replay.to_bytes();
    bytes.extend_from_slice(&(replay.len() as u64).to_be_bytes());
    bytes.extend_from_slice(&replay);
}

fn decode(mut bytes: &[u8]) -> Option<Vec<(Incarnation, SignerRecord)>> {
    let mut records = Vec::new();
    while !bytes.is_empty() {
        records.push(decode_one(&mut bytes)?);
    }
    Some(records)
}

fn decode_one(bytes: &mut &[u8]) -> Option<(Incarnation, SignerRecord)> {
    let channel = *chunk(bytes)?;
    let number = |bytes: &mut &[u8]| chunk(bytes).copied().map(u64::from_be_bytes);
    let incarnation = Incarnation { channel, opened_slot: number(bytes)? };
    let (signer, sig) = (*chunk(bytes)?, *chunk(bytes)?);
    let (epoch, revision) = (number(bytes)?, number(bytes)?);
    let (seq, seq_start) = (Seq::new(number(bytes)?), Seq::new(number(bytes)?));
    let (spent, calls) = (Amount::new(number(bytes)?), number(bytes)?);
    let time = |bytes: &mut &[u8]| chunk(bytes).copied().map(i64::from_be_bytes);
    let (period_start, period_end) = (time(bytes)?, time(bytes)?);
    let length = usize::try_from(number(bytes)?).ok()?;
    let (replay, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    // whoever takes the record up gives it its window's width
    let replay = ReplayWindow::from_bytes(replay, u32::MAX)?;
    let record = SignerRecord {
        signer,
        epoch,
        revision,
        seq,
        sig,
        seq_start,
        spent,
        calls,
        period_start,
        period_end,
        replay,
    };
    Some((incarnation, record))
}

fn chunk<'a, const N: usize>(bytes: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (chunk, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(chunk)
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
