//! A delegate's channels: each delegation has books of its own, by the slot it was created in.

use amp_protocol::account::{ChannelAccount, DelegationAccount};
use amp_protocol::json::ChannelStatus;
use amp_protocol::money::{Amount, Seq, UnitPrice};
use rusqlite::{Connection, params, params_from_iter};
use solana_address::Address;

use super::schema::{ON_CLUSTER, first, load, name_cluster, save};
use super::{Ask, ChannelRecord, ChannelState, Ledger, Owner, ReserveError, Share, Store, unix_seconds};
use crate::client::policy::check_budget;
use crate::durable::DurableError;

/// A delegation that was found on chain, live.
#[derive(Clone, Debug)]
pub(in crate::client) struct Held {
    pub(in crate::client) origin: String,
    pub(in crate::client) channel: Address,
    pub(in crate::client) token_program: Address,
    pub(in crate::client) unit_price: UnitPrice,
    pub(in crate::client) account: ChannelAccount,
    pub(in crate::client) delegation: DelegationAccount,
}

impl Held {
    /// The books of a delegation that this store knows nothing of, whose key has signed up to `last_signed`.
    /// What the service has signed for, or the chain has paid on a credential that covered it, is
    /// acknowledged; what the service only says is agreed to, and must be proven before more is signed
    /// because of it.
    pub(in crate::client) fn first_books(&self, status: &ChannelStatus, last_signed: Seq) -> Ledger {
        let claimed = self.delegation.delegation.signer.claimed;
        let proven = status.metering_proof.as_ref().map_or(Amount::ZERO, |proof| proof.owed);
        Ledger {
            limit: Some(self.delegation.delegation.limit),
            last_signed,
            acknowledged: proven.max(claimed),
            agreed: status.spent.max(claimed),
            ..Ledger::new(self.unit_price, self.account.books.deposited)
        }
    }

    fn keys(&self) -> [[u8; 32]; 2] {
        [self.channel.to_bytes(), self.delegation.delegate]
    }
}

impl Store {
    /// The stored books of a delegation, whatever became of them.
    pub(in crate::client) async fn held(&self, held: &Held) -> Result<Option<ChannelRecord>, DurableError> {
        let (held, program_id, network) = (held.clone(), self.owner.program_id, self.network.clone());
        self.database.write(move |connection| stored(connection, &program_id, &network, &held)).await
    }

    /// Makes a delegation the one that its service is paid by. It goes on with its stored books, or begins
    /// with `books`, and takes over limit, deposit and expiry from the chain. `looked_at`: the channel whose
    /// look led to it; `None` is returned where that is not the service's any more, as another task or
    /// process has named another. One in dispute stays in dispute.
    pub(in crate::client) async fn hold(
        &self,
        held: Held,
        books: Option<Ledger>,
        looked_at: Option<i64>,
    ) -> Result<Option<ChannelRecord>, DurableError> {
        let (owner, network, horizon) = (self.owner, self.network.clone(), self.horizon());
        self.database
            .write(move |connection| {
                if let Some(id) = looked_at {
                    let state = load(connection, id, horizon)?.state;
                    if !matches!(state, ChannelState::Open | ChannelState::Ended) {
                        return Ok(None);
                    }
                }
                let id = match (stored(connection, &owner.program_id, &network, &held)?, books) {
                    (Some(record), _) if record.state == ChannelState::Disputed => return Ok(Some(record)),
                    (Some(record), _) => record.id,
                    (None, Some(books)) => {
                        let id = insert(connection, &owner.program_id, &network, &held)?;
                        save(connection, id, &books)?;
                        id
                    }
                    (None, None) => return Ok(None),
                };
                name_cluster(connection, id, &network)?;
                replace_others(connection, &owner, &network, &held.origin)?;
                let sql = "UPDATE channels SET state = ?2, origin = ?3, expires_at = ?4 WHERE id = ?1";
                let expires_at = held.delegation.delegation.expires_at;
                connection.execute(sql, params![id, ChannelState::Open.number(), held.origin, expires_at])?;
                let mut ledger = load(connection, id, horizon)?.ledger;
                // never down: nodes lag behind each other, and neither of the two is ever lowered
                ledger.deposited = ledger.deposited.max(held.account.books.deposited);
                ledger.limit = ledger.limit.max(Some(held.delegation.delegation.limit));
                save(connection, id, &ledger)?;
                load(connection, id, horizon).map(Some)
            })
            .await
    }

    /// The delegate can't spend from this channel any more, or for now.
    pub(in crate::client) async fn end(&self, id: i64) -> Result<(), DurableError> {
        let sql = "UPDATE channels SET state = ?2 WHERE id = ?1 AND state = ?3";
        let states = [ChannelState::Ended, ChannelState::Open].map(ChannelState::number);
        self.database
            .write(move |connection| connection.execute(sql, [id, states[0], states[1]]).map(drop))
            .await
    }
}

/// What the owner has signed for on all its channels, those of the past too.
pub(super) fn signed_for(connection: &Connection, owner: &Owner) -> rusqlite::Result<Amount> {
    let sql = format!("SELECT unit_price, last_signed FROM channels WHERE {}", owner.condition());
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(owner.keys()))?;
    let mut sum = Amount::ZERO;
    while let Some(row) = rows.next()? {
        let unit_price = UnitPrice::new(row.get::<_, i64>(0)?.cast_unsigned()).unwrap_or(UnitPrice::ONE);
        let last_signed = Seq::new(row.get::<_, i64>(1)?.cast_unsigned());
        let signed = Ledger { last_signed, ..Ledger::new(unit_price, Amount::ZERO) }.signed_for();
        sum = sum.checked_add(signed).unwrap_or(Amount::MAX);
    }
    Ok(sum)
}

/// Reserves where all that the delegate signed for, this call included, stays within `total`.
pub(super) fn reserve_within(
    ledger: &Ledger,
    ask: Ask,
    before: Share,
    committed: Amount,
    total: Amount,
) -> Result<(Seq, Ledger, Share), ReserveError> {
    let reserve = |ask| {
        let (seq, after, share) = ledger.reserve_more(ask, before).map_err(ReserveError::Ledger)?;
        let wanted = after.signed_for().checked_sub(ledger.signed_for()).unwrap_or(Amount::ZERO);
        check_budget(Some(total), committed, wanted).map_err(ReserveError::Policy)?;
        Ok((seq, after, share))
    };
    match reserve(ask) {
        // what is signed ahead is no reason to refuse a call
        Err(ReserveError::Policy(_)) => reserve(Ask { prepay: Amount::ZERO, ..ask }),
        outcome => outcome,
    }
}

fn stored(
    connection: &Connection,
    program_id: &Address,
    network: &str,
    held: &Held,
) -> rusqlite::Result<Option<ChannelRecord>> {
    let condition =
        format!("program_id = ? AND channel = ? AND delegate = ? AND created_slot = ? AND {ON_CLUSTER}");
    let [channel, delegate] = held.keys();
    let created_slot = held.delegation.created_slot.cast_signed();
    first(connection, &condition, params![program_id.to_bytes(), channel, delegate, created_slot, network])
}

fn replace_others(
    connection: &Connection,
    owner: &Owner,
    network: &str,
    origin: &str,
) -> rusqlite::Result<()> {
    let sql = format!(
        "UPDATE channels SET state = {} WHERE {} AND origin = ? AND {ON_CLUSTER} AND state IN ({}, {})",
        ChannelState::Replaced.number(),
        owner.condition(),
        ChannelState::Open.number(),
        ChannelState::Ended.number(),
    );
    let mut values = owner.keys();
    values.extend([origin, network].map(|text| text.to_owned().into()));
    connection.execute(&sql, params_from_iter(values)).map(drop)
}

fn insert(
    connection: &Connection,
    program_id: &Address,
    network: &str,
    held: &Held,
) -> rusqlite::Result<i64> {
    let sql = "INSERT INTO channels (program_id, funder, authorized_signer, delegate, created_slot, origin, state, \
        created_at, recipient, mint, token_program, rent_payer, nonce, channel, vault, opened_slot, unit_price, \
        network, deposited) \
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, 0)";
    let [channel, delegate] = held.keys();
    let account = &held.account;
    connection.execute(
        sql,
        params![
            program_id.to_bytes(),
            account.funder,
            account.authorized_signer,
            delegate,
            held.delegation.created_slot.cast_signed(),
            held.origin,
            ChannelState::Open.number(),
            unix_seconds(),
            account.recipient,
            account.mint,
            held.token_program.to_bytes(),
            account.rent_payer,
            account.nonce.cast_signed(),
            channel,
            account.vault,
            account.opened_slot.cast_signed(),
            held.unit_price.get().cast_signed(),
            network,
        ],
    )?;
    Ok(connection.last_insert_rowid())
}
