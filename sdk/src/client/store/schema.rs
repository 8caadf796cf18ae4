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
    // a channel is stored once for its funder and once for each delegation of its: the unique key grows,
    // for which SQLite needs a new table. In flight first, so that nothing refers to the old one.
    "
CREATE TABLE in_flight_before AS SELECT id, channel_id, price, sent_at FROM in_flight;
DROP TABLE in_flight;
ALTER TABLE channels RENAME TO channels_before;
CREATE TABLE channels (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    program_id BLOB NOT NULL, funder BLOB NOT NULL, authorized_signer BLOB NOT NULL,
    delegate BLOB NOT NULL DEFAULT x'', created_slot INTEGER NOT NULL DEFAULT 0,
    delegated_limit INTEGER NOT NULL DEFAULT 0, expires_at INTEGER NOT NULL DEFAULT 0,
    origin TEXT NOT NULL, state INTEGER NOT NULL, created_at INTEGER NOT NULL,
    recipient BLOB NOT NULL, mint BLOB NOT NULL, token_program BLOB NOT NULL, rent_payer BLOB NOT NULL,
    nonce INTEGER NOT NULL, channel BLOB NOT NULL, vault BLOB NOT NULL,
    opened_slot INTEGER NOT NULL, unit_price INTEGER NOT NULL, deposited INTEGER NOT NULL,
    topping_up INTEGER NOT NULL DEFAULT 0, topping_up_at INTEGER NOT NULL DEFAULT 0,
    refunded INTEGER NOT NULL DEFAULT 0,
    last_signed INTEGER NOT NULL DEFAULT 0, acknowledged INTEGER NOT NULL DEFAULT 0,
    agreed INTEGER NOT NULL DEFAULT 0,
    UNIQUE (program_id, funder, recipient, nonce, delegate, created_slot)
);
INSERT INTO channels (id, program_id, funder, authorized_signer, origin, state, created_at, recipient, mint,
        token_program, rent_payer, nonce, channel, vault, opened_slot, unit_price, deposited, topping_up,
        topping_up_at, refunded, last_signed, acknowledged, agreed)
    SELECT id, program_id, funder, authorized_signer, origin, state, created_at, recipient, mint,
        token_program, rent_payer, nonce, channel, vault, opened_slot, unit_price, deposited, topping_up,
        topping_up_at, refunded, last_signed, acknowledged, agreed FROM channels_before;
DROP TABLE channels_before;
CREATE INDEX channels_by_origin ON channels (origin, state);
CREATE TABLE in_flight (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    channel_id INTEGER NOT NULL REFERENCES channels (id),
    price INTEGER NOT NULL, sent_at INTEGER NOT NULL
);
INSERT INTO in_flight SELECT id, channel_id, price, sent_at FROM in_flight_before;
DROP TABLE in_flight_before;
CREATE INDEX in_flight_by_channel ON in_flight (channel_id);
CREATE TABLE delegates (
    channel_id INTEGER NOT NULL REFERENCES channels (id),
    delegate BLOB NOT NULL, delegated_limit INTEGER NOT NULL, claimed_before INTEGER NOT NULL,
    created_slot INTEGER NOT NULL, PRIMARY KEY (channel_id, delegate)
) WITHOUT ROWID;
",
    // clusters may have one address each, a fork and its original for one: the unique key grows again
    "
CREATE TABLE in_flight_before AS SELECT id, channel_id, price, sent_at FROM in_flight;
DROP TABLE in_flight;
CREATE TABLE delegates_before AS
    SELECT channel_id, delegate, delegated_limit, claimed_before, created_slot FROM delegates;
DROP TABLE delegates;
ALTER TABLE channels RENAME TO channels_before;
CREATE TABLE channels (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    program_id BLOB NOT NULL, funder BLOB NOT NULL, authorized_signer BLOB NOT NULL,
    delegate BLOB NOT NULL DEFAULT x'', created_slot INTEGER NOT NULL DEFAULT 0,
    delegated_limit INTEGER NOT NULL DEFAULT 0, expires_at INTEGER NOT NULL DEFAULT 0,
    network TEXT NOT NULL DEFAULT '',
    origin TEXT NOT NULL, state INTEGER NOT NULL, created_at INTEGER NOT NULL,
    recipient BLOB NOT NULL, mint BLOB NOT NULL, token_program BLOB NOT NULL, rent_payer BLOB NOT NULL,
    nonce INTEGER NOT NULL, channel BLOB NOT NULL, vault BLOB NOT NULL,
    opened_slot INTEGER NOT NULL, unit_price INTEGER NOT NULL, deposited INTEGER NOT NULL,
    topping_up INTEGER NOT NULL DEFAULT 0, topping_up_at INTEGER NOT NULL DEFAULT 0,
    refunded INTEGER NOT NULL DEFAULT 0,
    last_signed INTEGER NOT NULL DEFAULT 0, acknowledged INTEGER NOT NULL DEFAULT 0,
    agreed INTEGER NOT NULL DEFAULT 0,
    UNIQUE (program_id, funder, recipient, nonce, delegate, created_slot, network)
);
INSERT INTO channels (id, program_id, funder, authorized_signer, delegate, created_slot, delegated_limit, expires_at,
        origin, state, created_at, recipient, mint, token_program, rent_payer, nonce, channel, vault, opened_slot,
        unit_price, deposited, topping_up, topping_up_at, refunded, last_signed, acknowledged, agreed)
    SELECT id, program_id, funder, authorized_signer, delegate, created_slot, delegated_limit, expires_at,
        origin, state, created_at, recipient, mint, token_program, rent_payer, nonce, channel, vault, opened_slot,
        unit_price, deposited, topping_up, topping_up_at, refunded, last_signed, acknowledged, agreed
    FROM channels_before;
DROP TABLE channels_before;
CREATE INDEX channels_by_origin ON channels (origin, state);
CREATE TABLE in_flight (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    channel_id INTEGER NOT NULL REFERENCES channels (id),
    price INTEGER NOT NULL, sent_at INTEGER NOT NULL
);
INSERT INTO in_flight SELECT id, channel_id, price, sent_at FROM in_flight_before;
DROP TABLE in_flight_before;
CREATE INDEX in_flight_by_channel ON in_flight (channel_id);
CREATE TABLE delegates (
    channel_id INTEGER NOT NULL REFERENCES channels (id),
    delegate BLOB NOT NULL, delegated_limit INTEGER NOT NULL, claimed_before INTEGER NOT NULL,
    created_slot INTEGER NOT NULL, PRIMARY KEY (channel_id, delegate)
) WITHOUT ROWID;
INSERT INTO delegates SELECT channel_id, delegate, delegated_limit, claimed_before, created_slot FROM delegates_before;
DROP TABLE delegates_before;
",
    // what a stream may cost: of others, and of those of earlier releases, it is no more than the price
    "
ALTER TABLE in_flight ADD COLUMN agreed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE channels ADD COLUMN lapsed INTEGER NOT NULL DEFAULT 0;
",
];

/// The condition of channels that are on the client's cluster, or were stored by a release that did not record it: with
/// a question mark for the cluster's name.
pub(super) const ON_CLUSTER: &str = "network IN ('', ?)";

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
    /// A delegate's, which can't spend from it as of the last look: the delegation is revoked, expired or
    /// gone, or the channel is. The next call looks again.
    Ended,
    /// A delegate's, which uses another channel for this service now, or a newer delegation of this one.
    Replaced,
}

impl ChannelState {
    /// Numbers of the states of a channel that the next call begins with: opening, open, disputed, ended.
    /// A service has at most one of them, or one beside a disputed one that a delegate left.
    pub(super) const CURRENT: &'static str = "0, 1, 2, 5";

    pub(super) const fn number(self) -> i64 {
        match self {
            Self::Opening => 0,
            Self::Open => 1,
            Self::Disputed => 2,
            Self::Closing => 3,
            Self::Closed => 4,
            Self::Ended => 5,
            Self::Replaced => 6,
        }
    }

    fn from_number(number: i64) -> Self {
        let all = [Self::Opening, Self::Open, Self::Disputed, Self::Closing, Self::Ended, Self::Replaced];
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
    /// The cluster it is on, by its name. `None`: it was stored by a release that did not record it.
    pub network: Option<String>,
    /// The channel's address.
    pub channel: Address,
    /// Its vault.
    pub vault: Address,
    /// Owns the deposit.
    pub funder: Address,
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
    /// The slot of its opening.
    pub opened_slot: u64,
    /// By which delegation it is spent from. `None`: it is the funder's own.
    pub delegation: Option<HeldDelegation>,
    /// Came back at close.
    pub refunded: Amount,
    /// Top-ups that were sent, were not seen confirmed, and may land yet: as of the reading.
    pub topping_up: Amount,
    /// Unix seconds at which the opening was decided.
    pub created_at: i64,
    /// What was signed, charged and agreed to. In flight: as of the reading.
    pub ledger: Ledger,
}

/// A delegation as the delegate's client has it. Its limit is the ledger's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldDelegation {
    /// Who may spend.
    pub delegate: Address,
    /// The slot it was made in: the epoch of its credentials.
    pub created_slot: u64,
    /// Unix seconds, as of the last look at the chain. `None`: never.
    pub expires_at: Option<i64>,
}

impl ChannelRecord {
    /// The epoch of the credentials: the slot in which the authority to sign them was created.
    pub fn epoch(&self) -> u64 {
        self.delegation.map_or(self.opened_slot, |delegation| delegation.created_slot)
    }

    /// Whether it is on this cluster, or on one that was not recorded.
    pub(in crate::client) fn is_on(&self, network: &str) -> bool {
        self.network.as_deref().is_none_or(|named| named == network)
    }

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
    topping_up_at, funder, delegate, created_slot, delegated_limit, expires_at, network, lapsed";

pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<ChannelRecord> {
    let key = |at: usize| row.get::<_, [u8; 32]>(at).map(Address::from);
    let number = |at: usize| row.get::<_, i64>(at).map(i64::cast_unsigned);
    let amount = |at: usize| number(at).map(Amount::new);
    // empty for the funder's own
    let delegate: Option<[u8; 32]> = row.get::<_, Vec<u8>>(21)?.try_into().ok();
    let expires_at: i64 = row.get(24)?;
    let limit = amount(23)?;
    let unit_price = UnitPrice::new(number(14)?).ok_or(rusqlite::Error::IntegralValueOutOfRange(14, 0))?;
    Ok(ChannelRecord {
        id: row.get(0)?,
        origin: row.get(1)?,
        state: ChannelState::from_number(row.get(2)?),
        network: Some(row.get::<_, String>(25)?).filter(|network| !network.is_empty()),
        channel: key(3)?,
        vault: key(4)?,
        recipient: key(5)?,
        mint: key(6)?,
        token_program: key(7)?,
        rent_payer: key(8)?,
        nonce: number(9)?,
        funder: key(20)?,
        opened_slot: number(10)?,
        delegation: match delegate {
            Some(delegate) => Some(HeldDelegation {
                delegate: Address::from(delegate),
                created_slot: number(22)?,
                expires_at: (expires_at != 0).then_some(expires_at),
            }),
            None => None,
        },
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
            lapsed: amount(26)?,
            limit: delegate.map(|_| limit),
            ..Ledger::new(unit_price, amount(15)?)
        },
    })
}

/// The record with this id, with the prices of the calls sent after `horizon` (unix milliseconds) in
/// flight: what is older belongs to a process that died, or was never answered.
pub(super) fn load(connection: &Connection, id: i64, horizon: i64) -> rusqlite::Result<ChannelRecord> {
    let sql = format!("SELECT {COLUMNS} FROM channels WHERE id = ?1");
    let mut record = connection.prepare_cached(&sql)?.query_row([id], read)?;
    let mut prices = connection
        .prepare_cached("SELECT price, agreed FROM in_flight WHERE channel_id = ?1 AND sent_at > ?2")?;
    let mut rows = prices.query([id, horizon])?;
    while let Some(row) = rows.next()? {
        let amount = |at| row.get::<_, i64>(at).map(|bits| Amount::new(bits.cast_unsigned()));
        let (price, agreed) = (amount(0)?, amount(1)?);
        let ledger = &mut record.ledger;
        let later = agreed.checked_sub(price).unwrap_or(Amount::ZERO);
        ledger.in_flight = ledger.in_flight.checked_add(price).unwrap_or(Amount::MAX);
        ledger.unsigned = ledger.unsigned.checked_add(later).unwrap_or(Amount::MAX);
    }
    Ok(record)
}

/// Records the cluster of a channel that has none so far.
pub(super) fn name_cluster(connection: &Connection, id: i64, network: &str) -> rusqlite::Result<()> {
    let sql = "UPDATE channels SET network = ?2 WHERE id = ?1 AND network = ''";
    connection.prepare_cached(sql)?.execute(params![id, network]).map(drop)
}

/// Writes the ledger back.
pub(super) fn save(connection: &Connection, id: i64, ledger: &Ledger) -> rusqlite::Result<()> {
    let sql = "UPDATE channels SET deposited = ?2, last_signed = ?3, acknowledged = ?4, agreed = ?5, \
        delegated_limit = ?6, lapsed = ?7 WHERE id = ?1";
    connection.prepare_cached(sql)?.execute(params![
        id,
        ledger.deposited.get().cast_signed(),
        ledger.last_signed.get().cast_signed(),
        ledger.acknowledged.get().cast_signed(),
        ledger.agreed.get().cast_signed(),
        ledger.limit.unwrap_or_default().get().cast_signed(),
        ledger.lapsed.get().cast_signed(),
    ])?;
    Ok(())
}

/// The first record of a query, if there is one.
pub(super) fn first(
    connection: &Connection,
    condition: &str,
    values: impl rusqlite::Params,
) -> rusqlite::Result<Option<ChannelRecord>> {
    let disputed = ChannelState::Disputed.number();
    let sql = format!(
        "SELECT {COLUMNS} FROM channels WHERE {condition} ORDER BY state = {disputed}, id DESC LIMIT 1"
    );
    connection.prepare_cached(&sql)?.query_row(values, read).optional()
}
