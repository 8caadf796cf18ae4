//! What the history is asked.

use amp_protocol::money::Amount;
use amp_sdk::server::Incarnation;
use rusqlite::{OptionalExtension as _, Row, params};

use super::history::{Entry, History, Period, Remembered, Transfer, key};

/// Most rows of an answer.
pub(super) const MOST: u32 = 500;
const DAY: i64 = 24 * 3_600;

impl History {
    /// Charges, the newest first; of one channel, and before an id, where those are given.
    pub(crate) fn charges(
        &self,
        channel: Option<&str>,
        before: Option<i64>,
        limit: u32,
    ) -> rusqlite::Result<Vec<Entry>> {
        let sql = "SELECT id, at, channel, opened_slot, signer, seq, cost, gathered FROM charges
             WHERE (?1 IS NULL OR channel = ?1) AND id < ?2 ORDER BY id DESC LIMIT ?3";
        self.newest(sql, (channel, before, limit), |row| {
            Ok(Entry {
                id: row.get(0)?,
                at: row.get(1)?,
                channel: row.get(2)?,
                opened_slot: number(row, 3)?,
                signer: row.get(4)?,
                seq: row.get(5)?,
                cost: amount(row, 6)?,
                is_gathered: row.get(7)?,
            })
        })
    }

    /// Settlements and chainings, the newest first.
    pub(crate) fn transfers(
        &self,
        channel: Option<&str>,
        before: Option<i64>,
        limit: u32,
    ) -> rusqlite::Result<Vec<Transfer>> {
        let sql = "SELECT id, at, channel, opened_slot, kind, who, paid, signature FROM transfers
             WHERE (?1 IS NULL OR channel = ?1) AND id < ?2 ORDER BY id DESC LIMIT ?3";
        self.newest(sql, (channel, before, limit), |row| {
            Ok(Transfer {
                id: row.get(0)?,
                at: row.get(1)?,
                channel: row.get(2)?,
                opened_slot: number(row, 3)?,
                kind: row.get(4)?,
                who: row.get(5)?,
                paid: amount(row, 6)?,
                signature: row.get(7)?,
            })
        })
    }

    /// Of one channel, and before an id, where those are given; so many at the most.
    fn newest<T>(
        &self,
        sql: &str,
        (channel, before, limit): (Option<&str>, Option<i64>, u32),
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<T>> {
        let reader = self.reader();
        let mut statement = reader.prepare_cached(sql)?;
        let rows =
            statement.query_map(params![channel, before.unwrap_or(i64::MAX), limit.min(MOST)], read)?;
        rows.collect()
    }

    /// Sums by the hour, or by the day, of the hours that begin in this time; those without anything are left out.
    pub(crate) fn periods(&self, by_day: bool, from: i64, to: i64) -> rusqlite::Result<Vec<Period>> {
        let reader = self.reader();
        let mut statement = reader.prepare_cached(
            "SELECT hour - hour % ?1, sum(charged), sum(calls), sum(settled) FROM hours
             WHERE hour >= ?2 AND hour < ?3 GROUP BY 1 ORDER BY 1",
        )?;
        let length = if by_day { DAY } else { 1 };
        let rows = statement.query_map(params![length, from, to], |row| {
            Ok(Period {
                start: row.get(0)?,
                charged: amount(row, 1)?,
                calls: number(row, 2)?,
                settled: amount(row, 3)?,
            })
        })?;
        rows.collect()
    }

    /// All that was ever charged, and settled.
    pub(crate) fn totals(&self) -> rusqlite::Result<(Amount, Amount)> {
        let reader = self.reader();
        let charged =
            reader.query_row("SELECT coalesce(sum(charged), 0) FROM signers", [], |row| amount(row, 0))?;
        let paid = reader.query_row("SELECT coalesce(sum(paid), 0) FROM paid", [], |row| amount(row, 0))?;
        Ok((charged, paid))
    }

    /// What was charged to each signer of a channel, and what was paid out of it.
    pub(crate) fn sums(&self, incarnation: &Incarnation) -> rusqlite::Result<(Amount, Amount)> {
        let (channel, slot) = key(incarnation);
        let reader = self.reader();
        let sum = |sql: &str| reader.query_row(sql, params![channel, slot], |row| amount(row, 0));
        let charged =
            sum("SELECT coalesce(sum(charged), 0) FROM signers WHERE channel = ?1 AND opened_slot = ?2")?;
        let paid = sum("SELECT coalesce(sum(paid), 0) FROM paid WHERE channel = ?1 AND opened_slot = ?2")?;
        Ok((charged, paid))
    }

    /// A channel that was seen, with its newest opening.
    pub(crate) fn remembered(&self, channel: &str) -> rusqlite::Result<Option<Remembered>> {
        let reader = self.reader();
        let sql = "SELECT * FROM channels WHERE channel = ?1 ORDER BY opened_slot DESC LIMIT 1";
        reader.query_row(sql, [channel], remembered).optional()
    }

    /// Channels that are gone, the last one first.
    pub(crate) fn gone(&self, limit: u32) -> rusqlite::Result<Vec<Remembered>> {
        let reader = self.reader();
        let mut statement = reader.prepare_cached(
            "SELECT * FROM channels WHERE gone_at IS NOT NULL ORDER BY gone_at DESC LIMIT ?1",
        )?;
        let rows = statement.query_map([limit.min(MOST)], remembered)?;
        rows.collect()
    }
}

fn remembered(row: &Row<'_>) -> rusqlite::Result<Remembered> {
    let statement: Option<i64> = row.get(5)?;
    Ok(Remembered {
        channel: row.get(0)?,
        opened_slot: number(row, 1)?,
        funder: row.get(2)?,
        deposited: amount(row, 3)?,
        claimed: amount(row, 4)?,
        statement: statement.map(|total| Amount::new(u64::try_from(total).unwrap_or_default())),
        gone_at: row.get(6)?,
    })
}

fn number(row: &Row<'_>, at: usize) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(at)?).unwrap_or_default())
}

fn amount(row: &Row<'_>, at: usize) -> rusqlite::Result<Amount> {
    number(row, at).map(Amount::new)
}
