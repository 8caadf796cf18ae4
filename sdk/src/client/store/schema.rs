//! The store's tables. 64-bit unsigned numbers keep their bits in SQLite's signed ones: they are
//! never compared or added in SQL.

use amp_protocol::money::{Amount, Seq, UnitPrice};
use rusqlite::{Connection, OptionalExtension, Row, params};
use solana_address::Address;

use super::{TRANSACTION_LIFE, unix_seconds};
use crate::client::ledger::Ledger;

pub(super) const MIGRATIONS: &[&str] = &[
    "
CREATE TABLE channels (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    program_id BLOB NOT NULL, funder BLOB NOT NULL, authorized_signer BLOB NOT NULL,
    origin TEXT NOT NULL, state INTEGER NOT NULL, created_at INTEGER NOT NULL,
    recipient BLOB NOT NULL, mint BLOB NOT NULL, token_program BLOB NOT NULL, rent_payer BLOB NOT NULL,
    nonce INTEGER NOT NULL, channel BLOB NOT NULL, vault BLOB NOT NULL,
    opened_slot INTEGER NOT NULL, unit_price INTEGER NOT NULL, deposited INTEGER NOT NULL,
    topping_up INTEGER NOT NULL DEFAULT 0, refunded INTEGER NOT NULL DEFAULT 0,
    last_signed INTEGER NOT NULL DEFAULT 0, acknowledged INTEGER NOT NULL DEFAULT 0,
    agreed INTEGER NOT NULL DEFAULT 0,
    UNIQUE (program_id, funder, recipient, nonce)
);
CREATE INDEX channels_by_origin ON channels (origin, state);
CREATE TABLE in_flight (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    channel_id INTEGER NOT NULL REFERENCES channels (id),
    price INTEGER NOT NULL, sent_at INTEGER NOT NULL
);
CREATE INDEX in_flight_by_channel ON in_flight (channel_id);
",
    "
ALTER TABLE channels ADD COLUMN topping_up_at INTEGER NOT NULL DEFAULT 0;
UPDATE channels SET topping_up_at = CAST(strftime('%s', 'now') AS INTEGER) WHERE topping_up != 0;
",
];

/// Where a channel is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelState {
    /// The opening was sent, or was about to be: the chain knows.
    Opening,
    /// It pays.
    Open,
    /// The service charged what nobody agreed to: nothing more is signed, only the close.
    Disputed,
    /// A close was asked for; it must still be finished.
    Closing,
    /// It is gone from the chain.
    Closed,
}

impl ChannelState {
    pub(super) const fn number(self) -> i64 {
        match self {
            Self::Opening => 0,
            Self::Open => 1,
            Self::Disputed => 2,
            Self::Closing => 3,
            Self::Closed => 4,
        }
    }

    fn from_number(number: i64) -> Self {
        let all = [Self::Opening, Self::Open, Self::Disputed, Self::Closing];
        all.into_iter().find(|state| state.number() == number).unwrap_or(Self::Closed)
    }
}

/// A stored channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelRecord {
    pub(in crate::client) id: i64,
    /// The service, as scheme, host and port.
    pub origin: String,
    /// Where it is in its life.
    pub state: ChannelState,
    /// The channel's address.
    pub channel: Address,
    /// Its vault.
    pub vault: Address,
    /// The service's key.
    pub recipient: Address,
    /// The token.
    pub mint: Address,
    /// The token's program.
    pub token_program: Address,
    /// Gets the rent back at close.
    pub rent_payer: Address,
    /// Tells channels to the same recipient apart.
    pub nonce: u64,
    /// The epoch of the credentials.
    pub opened_slot: u64,
    /// Came back at close.
    pub refunded: Amount,
    /// Top-ups that were sent, were not seen confirmed, and may land yet: as of the reading.
    pub topping_up: Amount,
    /// Unix seconds at which the opening was decided.
    pub created_at: i64,
    /// What was signed, charged and agreed to. In flight: as of the reading.
    pub ledger: Ledger,
}

impl ChannelRecord {
    /// What it holds, or may hold soon, and the service has not charged yet.
    pub(in crate::client) fn at_risk(&self) -> Amount {
        let deposited = self.ledger.deposited.checked_add(self.topping_up).unwrap_or(Amount::MAX);
        deposited.checked_sub(self.ledger.acknowledged).unwrap_or(Amount::ZERO)
    }

    /// What it takes of the total budget.
    pub(in crate::client) fn committed(&self) -> Amount {
        let deposited = self.ledger.deposited.checked_add(self.topping_up).unwrap_or(Amount::MAX);
        deposited.checked_sub(self.refunded).unwrap_or(Amount::ZERO)
    }
}

/// The columns that [`read`] reads, in its order.
pub(super) const COLUMNS: &str = "id, origin, state, channel, vault, recipient, mint, token_program, rent_payer, \
    nonce, opened_slot, refunded, topping_up, created_at, unit_price, deposited, last_signed, acknowledged, agreed, \
    topping_up_at";

pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<ChannelRecord> {
    let key = |at: usize| row.get::<_, [u8; 32]>(at).map(Address::from);
    let number = |at: usize| row.get::<_, i64>(at).map(i64::cast_unsigned);
    let amount = |at: usize| number(at).map(Amount::new);
    let unit_price = UnitPrice::new(number(14)?).ok_or(rusqlite::Error::IntegralValueOutOfRange(14, 0))?;
    Ok(ChannelRecord {
        id: row.get(0)?,
        origin: row.get(1)?,
        state: ChannelState::from_number(row.get(2)?),
        channel: key(3)?,
        vault: key(4)?,
        recipient: key(5)?,
        mint: key(6)?,
        token_program: key(7)?,
        rent_payer: key(8)?,
        nonce: number(9)?,
        opened_slot: number(10)?,
        refunded: amount(11)?,
        topping_up: if unix_seconds().saturating_sub(row.get(19)?) < TRANSACTION_LIFE {
            amount(12)?
        } else {
            Amount::ZERO
        },
        created_at: row.get(13)?,
        ledger: Ledger {
            last_signed: Seq::new(number(16)?),
            acknowledged: amount(17)?,
            agreed: amount(18)?,
            ..Ledger::new(unit_price, amount(15)?)
        },
    })
}

/// The record with this id, with the prices of the calls sent after `horizon` (unix milliseconds) in
/// flight: what is older belongs to a process that died, or was never answered.
pub(super) fn load(connection: &Connection, id: i64, horizon: i64) -> rusqlite::Result<ChannelRecord> {
    let sql = format!("SELECT {COLUMNS} FROM channels WHERE id = ?1");
    let mut record = connection.prepare_cached(&sql)?.query_row([id], read)?;
    let mut prices =
        connection.prepare_cached("SELECT price FROM in_flight WHERE channel_id = ?1 AND sent_at > ?2")?;
    for price in prices.query_map([id, horizon], |row| row.get::<_, i64>(0))? {
        let price = Amount::new(price?.cast_unsigned());
        record.ledger.in_flight = record.ledger.in_flight.checked_add(price).unwrap_or(Amount::MAX);
    }
    Ok(record)
}

/// Writes the ledger back.
pub(super) fn save(connection: &Connection, id: i64, ledger: &Ledger) -> rusqlite::Result<()> {
    let sql =
        "UPDATE channels SET deposited = ?2, last_signed = ?3, acknowledged = ?4, agreed = ?5 WHERE id = ?1";
    connection.prepare_cached(sql)?.execute(params![
        id,
        ledger.deposited.get().cast_signed(),
        ledger.last_signed.get().cast_signed(),
        ledger.acknowledged.get().cast_signed(),
        ledger.agreed.get().cast_signed(),
    ])?;
    Ok(())
}

/// The first record of a query, if there is one.
pub(super) fn first(
    connection: &Connection,
    condition: &str,
    values: impl rusqlite::Params,
) -> rusqlite::Result<Option<ChannelRecord>> {
    let sql = format!("SELECT {COLUMNS} FROM channels WHERE {condition} ORDER BY id DESC LIMIT 1");
    connection.prepare_cached(&sql)?.query_row(values, read).optional()
}
