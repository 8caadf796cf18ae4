//! What an agent must not forget: its channels, the seqs it signed, the openings it began.
//!
//! The order is the contract. A seq is on disk before it is sent, so that no process signs it again;
//! an opening is on disk before its transaction is sent, so that no crash loses a deposit. Several
//! processes of one agent may share the file: each change reads and writes in one transaction.

mod delegated;
mod delegates;
mod opening;
mod schema;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use amp_protocol::money::{Amount, Seq};
use futures::FutureExt as _;
use futures::future::{Either, select};
use rusqlite::types::Value;
use rusqlite::{Connection, params, params_from_iter};
use solana_address::Address;
use tokio::sync::oneshot;

use super::PolicyError;
use super::ledger::{Ask, Ledger, LedgerError, Overcharge, Share};
use crate::durable::{Database, DurableError, Sharing};

pub(super) use delegated::Held;
pub(super) use opening::Intent;
pub use schema::{ChannelRecord, ChannelState, HeldDelegation};
use schema::{ON_CLUSTER, first, load, save};

/// Seconds after which a transaction that was not seen can't land any more.
pub(super) const TRANSACTION_LIFE: i64 = crate::chain::TRANSACTION_LIFE.as_secs().cast_signed();

/// Whose channels: a store may hold those of several keys and programs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner {
    pub(super) program_id: Address,
    pub(super) role: Role,
}

/// By which keys the channels are an agent's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Funder { funder: Address, authorized_signer: Address },
    Delegate(Address),
}

impl Owner {
    /// The condition of its channels, with a question mark for each of [`Owner::keys`]. A funder's have
    /// no delegate: what a delegate signed on the same channel is in books of its own.
    const fn condition(&self) -> &'static str {
        match self.role {
            Role::Funder { .. } => {
                "program_id = ? AND funder = ? AND authorized_signer = ? AND delegate = x''"
            }
            Role::Delegate(_) => "program_id = ? AND delegate = ?",
        }
    }

    fn keys(&self) -> Vec<Value> {
        let keys = match self.role {
            Role::Funder { funder, authorized_signer } => vec![self.program_id, funder, authorized_signer],
            Role::Delegate(delegate) => vec![self.program_id, delegate],
        };
        keys.into_iter().map(|key| Value::Blob(key.to_bytes().to_vec())).collect()
    }
}

/// A seq that is on disk and may be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reservation {
    id: i64,
    channel_id: i64,
    pub(super) price: Amount,
    /// What it may cost: of a stream, more than what is signed for it so far.
    pub(super) agreed: Amount,
    pub(super) seq: Seq,
}

impl Reservation {
    /// The channel's row.
    pub(super) const fn channel_id(&self) -> i64 {
        self.channel_id
    }

    /// What it takes of the books.
    fn share(self) -> Share {
        Share { price: self.price, agreed: self.agreed }
    }

    /// For no more than `agreed`.
    pub(super) fn at_most(self, agreed: Amount) -> Self {
        Self { agreed: self.agreed.min(agreed), ..self }
    }
}

/// Why no seq was reserved.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ReserveError {
    /// The books don't allow it.
    Ledger(LedgerError),
    /// The channel does not pay any more.
    State(ChannelState),
    /// It would pass the agent's own budget.
    Policy(PolicyError),
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The service answered, and said this of cost and total.
    Answered { cost: Option<Amount>, spent: Option<Amount> },
    /// It refused, so nothing was charged.
    Refused,
    /// Nobody knows.
    Lost,
}

#[derive(Clone, Debug)]
pub(super) struct Store {
    database: Database,
    owner: Owner,
    /// The cluster that its client is on, by name: where what comes into the store is.
    network: Arc<str>,
    /// How long a call without an outcome counts as in flight.
    in_flight_for: Duration,
}

impl Store {
    pub(super) fn open(
        path: &Path,
        owner: Owner,
        network: &str,
        in_flight_for: Duration,
    ) -> Result<Self, DurableError> {
        let database = Database::open(path, Sharing::Shared, schema::MIGRATIONS)?;
        Ok(Self { database, owner, network: network.into(), in_flight_for })
    }

    /// All channels of this owner, the newest first.
    pub(super) async fn all(&self) -> Result<Vec<ChannelRecord>, DurableError> {
        let (owner, horizon) = (self.owner, self.horizon());
        self.database
            .write(move |connection| {
                let sql = format!("SELECT id FROM channels WHERE {} ORDER BY id DESC", owner.condition());
                let mut statement = connection.prepare_cached(&sql)?;
                let ids = statement.query_map(params_from_iter(owner.keys()), |row| row.get(0))?;
                ids.map(|id| load(connection, id?, horizon)).collect()
            })
            .await
    }

    /// The channel to this service that is opening, open, disputed, or a delegate's that has ended. Not one of
    /// another cluster: the same origin may have one on each.
    pub(super) async fn current(&self, origin: &str) -> Result<Option<ChannelRecord>, DurableError> {
        let (owner, network, origin) = (self.owner, self.network.clone(), origin.to_owned());
        self.database.write(move |connection| current(connection, &owner, &network, &origin)).await
    }

    /// One channel, as it is now.
    pub(super) async fn load(&self, id: i64) -> Result<ChannelRecord, DurableError> {
        let horizon = self.horizon();
        self.database.write(move |connection| load(connection, id, horizon)).await
    }

    /// Reserves the next seq for a call, or for `more` of one that is under way: then its price grows. It is on
    /// disk when this returns. A delegate commits no deposits, so its total budget bounds what it signs for in
    /// all.
    pub(super) async fn reserve(
        &self,
        id: i64,
        ask: Ask,
        total_budget: Option<Amount>,
        more: Option<Reservation>,
    ) -> Result<Result<Reservation, ReserveError>, DurableError> {
        let (horizon, now, owner) = (self.horizon(), unix_millis(), self.owner);
        let total_budget = total_budget.filter(|_| matches!(owner.role, Role::Delegate(_)));
        self.database
            .write(move |connection| {
                if let Some(more) = more {
                    // one that is under way for long may not count any more, and its row be gone
                    put_in_flight(connection, &more, now)?;
                }
                let record = load(connection, id, horizon)?;
                if record.state != ChannelState::Open {
                    return Ok(Err(ReserveError::State(record.state)));
                }
                let before = more.map_or_else(Share::default, |more| more.share());
                let reserved = match total_budget {
                    Some(total) => {
                        let committed = delegated::signed_for(connection, &owner)?;
                        delegated::reserve_within(&record.ledger, ask, before, committed, total)
                    }
                    None => record.ledger.reserve_more(ask, before).map_err(ReserveError::Ledger),
                };
                let (seq, ledger, Share { price, agreed }) = match reserved {
                    Ok(reserved) => reserved,
                    Err(error) => return Ok(Err(error)),
                };
                save(connection, id, &ledger)?;
                let sql = "DELETE FROM in_flight WHERE channel_id = ?1 AND sent_at <= ?2";
                connection.prepare_cached(sql)?.execute([id, horizon])?;
                let reservation =
                    Reservation { id: more.map_or(0, |more| more.id), channel_id: id, price, agreed, seq };
                let row = put_in_flight(connection, &reservation, now)?;
                Ok(Ok(Reservation { id: row, ..reservation }))
            })
            .await
    }

    /// Notes that a call is still under way.
    pub(super) async fn still_in_flight(&self, reservation: Reservation) -> Result<(), DurableError> {
        let now = unix_millis();
        self.database.write(move |connection| put_in_flight(connection, &reservation, now).map(drop)).await
    }

    /// Books how a call ended. A charge that nobody agreed to ends all payments on the channel.
    ///
    /// Returns before it is on disk: after a crash the call counts as lost, which errs on the safe side.
    pub(super) async fn resolve(
        &self,
        reservation: Reservation,
        outcome: Outcome,
    ) -> Result<Result<Ledger, Overcharge>, DurableError> {
        let horizon = self.horizon();
        let Reservation { id, channel_id, price, agreed, .. } = reservation;
        self.soon(move |connection| {
            let ledger = load(connection, channel_id, horizon)?.ledger;
            let after = match outcome {
                Outcome::Answered { cost, spent } => ledger.ended(price, agreed, cost, spent),
                Outcome::Refused => Ok(ledger.refused(price, agreed)),
                Outcome::Lost => Ok(ledger.lost(reservation.share())),
            };
            connection.prepare_cached("DELETE FROM in_flight WHERE id = ?1")?.execute([id])?;
            book(connection, channel_id, after)
        })
        .await
    }

    /// Books that a call was lost, without waiting: for `drop`.
    pub(super) fn abandon(&self, reservation: Reservation) {
        // one poll hands the job to the writer
        let _ = self.resolve(reservation, Outcome::Lost).now_or_never();
    }

    /// Books what the service says it charged in all, as far as it has `proven` it by its signature; all
    /// it says must have been agreed to.
    pub(super) async fn acknowledge(
        &self,
        id: i64,
        total: Amount,
        proven: Amount,
    ) -> Result<Result<Ledger, Overcharge>, DurableError> {
        let horizon = self.horizon();
        self.soon(move |connection| {
            let ledger = load(connection, id, horizon)?.ledger;
            let after = ledger.acknowledge(total).and_then(|_| ledger.acknowledge(proven));
            book(connection, id, after)
        })
        .await
    }

    /// Begins a top-up, beside those that are pending: it counts toward the limits from now on, for
    /// every process. `check` is given what is at risk in the channel and committed in all so far.
    pub(super) async fn begin_top_up(
        &self,
        id: i64,
        amount: Amount,
        check: impl FnOnce(Amount, Amount) -> Result<(), PolicyError> + Send + 'static,
    ) -> Result<Result<(), PolicyError>, DurableError> {
        let owner = self.owner;
        self.database
            .write(move |connection| {
                let record = load(connection, id, i64::MAX)?;
                if let Err(error) = check(record.at_risk(), opening::committed(connection, &owner, None)?) {
                    return Ok(Err(error));
                }
                let pending = record.topping_up.checked_add(amount).unwrap_or(Amount::MAX);
                let sql = "UPDATE channels SET topping_up = ?2, topping_up_at = ?3 WHERE id = ?1";
                connection.execute(sql, params![id, pending.get().cast_signed(), unix_seconds()])?;
                Ok(Ok(()))
            })
            .await
    }

    /// A top-up that can't have happened.
    pub(super) async fn cancel_top_up(&self, id: i64, amount: Amount) -> Result<(), DurableError> {
        self.database
            .write(move |connection| {
                let pending = load(connection, id, i64::MAX)?.topping_up;
                no_longer_pending(connection, id, pending, amount)
            })
            .await
    }

    /// Takes over what the chain says of the deposit.
    pub(super) async fn deposited(&self, id: i64, deposited: Amount) -> Result<ChannelRecord, DurableError> {
        let horizon = self.horizon();
        self.database
            .write(move |connection| {
                let ChannelRecord { mut ledger, topping_up, .. } = load(connection, id, horizon)?;
                // never down: nodes lag behind each other
                let landed = deposited.checked_sub(ledger.deposited).unwrap_or(Amount::ZERO);
                ledger.deposited = ledger.deposited.max(deposited);
                save(connection, id, &ledger)?;
                no_longer_pending(connection, id, topping_up, landed)?;
                load(connection, id, horizon)
            })
            .await
    }

    /// Moves a channel on in its life; `refunded` is what came back.
    pub(super) async fn set_state(
        &self,
        id: i64,
        state: ChannelState,
        refunded: Amount,
    ) -> Result<(), DurableError> {
        let refunded = refunded.get().cast_signed();
        let sql = "UPDATE channels SET state = ?2, refunded = ?3 WHERE id = ?1";
        self.database
            .write(move |connection| connection.execute(sql, params![id, state.number(), refunded]).map(drop))
            .await
    }

    /// The same for a channel that is known by its address. Of another incarnation or cluster, or not this owner's:
    /// nothing. A fork has the slots of what it was forked from, so an incarnation does not tell the two apart.
    pub(super) async fn set_state_at(
        &self,
        channel: Address,
        opened_slot: u64,
        state: ChannelState,
        refunded: Amount,
    ) -> Result<(), DurableError> {
        let known = self.all().await?;
        let its = known
            .iter()
            .find(|own| own.channel == channel && own.opened_slot == opened_slot && own.is_on(&self.network));
        match its.filter(|own| own.state != ChannelState::Closed) {
            Some(record) => self.set_state(record.id, state, refunded).await,
            None => Ok(()),
        }
    }

    /// Waits until everything is on disk that was booked so far.
    pub(super) async fn flush(&self) -> Result<(), DurableError> {
        // changes are made in order
        self.database.write(|_| Ok(())).await
    }

    /// Runs a job and returns its result as soon as it ran, without waiting for the disk.
    async fn soon<T, F>(&self, job: F) -> Result<T, DurableError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let (sender, done) = oneshot::channel();
        let write = self.database.write(move |connection| {
            // a caller that has gone away needs no result
            let _ = sender.send(job(connection)?);
            Ok(())
        });
        match select(done, pin!(write)).await {
            Either::Left((Ok(value), _)) => Ok(value),
            Either::Left((Err(_), write)) => Err(write.await.err().unwrap_or(DurableError::Closed)),
            Either::Right((written, done)) => {
                written?;
                done.await.map_err(|_| DurableError::Closed)
            }
        }
    }

    fn horizon(&self) -> i64 {
        unix_millis().saturating_sub(i64::try_from(self.in_flight_for.as_millis()).unwrap_or(i64::MAX))
    }
}

/// Notes a call as under way since `now`, in a new row where its own has no number yet; the row's number.
fn put_in_flight(connection: &Connection, reservation: &Reservation, now: i64) -> rusqlite::Result<i64> {
    let Reservation { id, channel_id, price, agreed, .. } = *reservation;
    let row = (id != 0).then_some(id);
    let [price, agreed] = [price, agreed].map(|amount| amount.get().cast_signed());
    let sql = "INSERT OR REPLACE INTO in_flight (id, channel_id, price, sent_at, agreed) VALUES (?1, ?2, ?3, ?4, ?5)";
    connection.prepare_cached(sql)?.execute(params![row, channel_id, price, now, agreed])?;
    Ok(row.unwrap_or_else(|| connection.last_insert_rowid()))
}

/// Saves the books, or ends all payments on the channel.
fn book(
    connection: &Connection,
    id: i64,
    after: Result<Ledger, Overcharge>,
) -> rusqlite::Result<Result<Ledger, Overcharge>> {
    match &after {
        Ok(ledger) => save(connection, id, ledger)?,
        Err(_) => {
            let sql = "UPDATE channels SET state = ?2 WHERE id = ?1 AND state = ?3";
            let states = (ChannelState::Disputed.number(), ChannelState::Open.number());
            connection.execute(sql, params![id, states.0, states.1])?;
        }
    }
    Ok(after)
}

/// Takes `amount` off what is pending; the age of the rest stays.
fn no_longer_pending(
    connection: &Connection,
    id: i64,
    pending: Amount,
    amount: Amount,
) -> rusqlite::Result<()> {
    let rest = pending.checked_sub(amount).unwrap_or(Amount::ZERO);
    let sql = "UPDATE channels SET topping_up = ?2 WHERE id = ?1";
    connection.execute(sql, params![id, rest.get().cast_signed()]).map(drop)
}

fn current(
    connection: &Connection,
    owner: &Owner,
    network: &str,
    origin: &str,
) -> rusqlite::Result<Option<ChannelRecord>> {
    let (owners, states) = (owner.condition(), ChannelState::CURRENT);
    let condition = format!("{owners} AND origin = ? AND {ON_CLUSTER} AND state IN ({states})");
    let mut values = owner.keys();
    values.extend([origin, network].map(|text| Value::Text(text.to_owned())));
    first(connection, &condition, params_from_iter(values))
}

/// Unix seconds.
pub(super) fn unix_seconds() -> i64 {
    unix_millis().wrapping_div(1_000)
}

/// Unix milliseconds. A clock before 1970 counts as 1970.
fn unix_millis() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
