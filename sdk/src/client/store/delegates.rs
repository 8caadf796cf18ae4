//! The keys a funder lets spend from its channels: on disk before the first transaction that does so is
//! sent, so that a close knows whose spending its statement may hold.

use amp_protocol::money::Amount;
use rusqlite::{Connection, params};
use solana_address::Address;

use super::Store;
use crate::durable::DurableError;

/// A key that a funder lets, or has let, spend from a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::client) struct Delegate {
    pub(in crate::client) key: Address,
    /// Most it may be claimed for under its present delegation.
    pub(in crate::client) limit: Amount,
    /// Most it was claimed for under earlier delegations of the same channel, which were closed since.
    pub(in crate::client) before: Amount,
    /// The slot in which the present delegation was created; 0: not seen yet.
    created_slot: u64,
}

impl Store {
    /// Remembers that a delegate of this channel is about to be given this limit. `present`: the
    /// `created_slot` of the delegation that is there.
    pub(in crate::client) async fn remember_delegate(
        &self,
        id: i64,
        key: Address,
        limit: Amount,
        present: Option<u64>,
    ) -> Result<(), DurableError> {
        self.database
            .write(move |connection| {
                let known = all(connection, id)?.into_iter().find(|known| known.key == key);
                let fresh = Delegate { key, limit, before: Amount::ZERO, created_slot: 0 };
                let delegate = known.map_or(fresh, |known| known.given(limit, present));
                save(connection, id, &delegate)
            })
            .await
    }

    /// A delegation was seen on chain.
    pub(in crate::client) async fn delegation_seen(
        &self,
        id: i64,
        key: Address,
        limit: Amount,
        created_slot: u64,
    ) -> Result<(), DurableError> {
        self.database
            .write(move |connection| {
                let known = all(connection, id)?.into_iter().find(|known| known.key == key);
                let before = known.map_or(Amount::ZERO, |known| known.before);
                let limit = known.map_or(limit, |known| known.limit.max(limit));
                save(connection, id, &Delegate { key, limit, before, created_slot })
            })
            .await
    }

    /// A delegation is closed: its delegate was claimed for this much, and never will be for more.
    pub(in crate::client) async fn delegation_closed(
        &self,
        channel: Address,
        key: Address,
        claimed: Amount,
    ) -> Result<(), DurableError> {
        let sql = "UPDATE delegates SET delegated_limit = ?3 WHERE delegate = ?2 AND channel_id IN \
            (SELECT id FROM channels WHERE channel = ?1 AND network IN ('', ?4))";
        let keys = [channel, key].map(|key| key.to_bytes());
        let (claimed, network) = (claimed.get().cast_signed(), self.network.clone());
        self.database
            .write(move |connection| {
                connection.execute(sql, params![keys[0], keys[1], claimed, network]).map(drop)
            })
            .await
    }

    /// The delegates of this channel.
    pub(in crate::client) async fn delegates(&self, id: i64) -> Result<Vec<Delegate>, DurableError> {
        self.database.write(move |connection| all(connection, id)).await
    }
}

impl Delegate {
    fn given(self, limit: Amount, present: Option<u64>) -> Self {
        if self.created_slot == 0 || present == Some(self.created_slot) {
            return Self { limit: self.limit.max(limit), ..self };
        }
        let before = self.before.checked_add(self.limit).unwrap_or(Amount::MAX);
        Self { limit, before, created_slot: 0, ..self }
    }
}

// amounts are compared and added here, never in SQL, whose numbers are signed
fn all(connection: &Connection, id: i64) -> rusqlite::Result<Vec<Delegate>> {
    let sql =
        "SELECT delegate, delegated_limit, claimed_before, created_slot FROM delegates WHERE channel_id = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([id], |row| {
        let number = |at: usize| row.get::<_, i64>(at).map(i64::cast_unsigned);
        Ok(Delegate {
            key: Address::from(row.get::<_, [u8; 32]>(0)?),
            limit: Amount::new(number(1)?),
            before: Amount::new(number(2)?),
            created_slot: number(3)?,
        })
    })?;
    rows.collect()
}

fn save(connection: &Connection, id: i64, delegate: &Delegate) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO delegates (channel_id, delegate, delegated_limit, claimed_before, created_slot) \
        VALUES (?1, ?2, ?3, ?4, ?5)";
    let values = params![
        id,
        delegate.key.to_bytes(),
        delegate.limit.get().cast_signed(),
        delegate.before.get().cast_signed(),
        delegate.created_slot.cast_signed(),
    ];
    connection.execute(sql, values).map(drop)
}
