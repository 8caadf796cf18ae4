//! Openings: on disk before the transaction is sent, with the nonce that makes a second try harmless.

use amp_protocol::account::ChannelAccount;
use amp_protocol::money::{Amount, Seq, UnitPrice};
use rusqlite::{Connection, params, params_from_iter};
use solana_address::Address;

use super::schema::{COLUMNS, ON_CLUSTER, first, load, name_cluster, read, save};
use super::{ChannelRecord, ChannelState, Ledger, Owner, Store, current, unix_seconds};
use crate::chain::ChannelAddress;
use crate::client::PolicyError;
use crate::durable::DurableError;

/// An opening that is about to be sent.
#[derive(Clone, Debug)]
pub(in crate::client) struct Intent {
    pub(in crate::client) origin: String,
    pub(in crate::client) funder: Address,
    pub(in crate::client) authorized_signer: Address,
    pub(in crate::client) recipient: Address,
    pub(in crate::client) mint: Address,
    pub(in crate::client) token_program: Address,
    pub(in crate::client) rent_payer: Address,
    pub(in crate::client) unit_price: UnitPrice,
    pub(in crate::client) deposit: Amount,
    pub(in crate::client) nonce: u64,
}

impl Store {
    /// The smallest nonce above all that were used with this recipient: addresses are not used again,
    /// and a client that lost its store finds its channels by counting.
    pub(in crate::client) async fn next_nonce(
        &self,
        funder: &Address,
        recipient: &Address,
    ) -> Result<u64, DurableError> {
        let keys = [self.owner.program_id, *funder, *recipient].map(|key| key.to_bytes());
        self.database
            .write(move |connection| {
                let sql =
                    "SELECT nonce FROM channels WHERE program_id = ?1 AND funder = ?2 AND recipient = ?3";
                let mut statement = connection.prepare_cached(sql)?;
                let nonces = statement.query_map(keys, |row| row.get::<_, i64>(0))?;
                let highest =
                    nonces.map(|nonce| nonce.map(i64::cast_unsigned)).collect::<Result<Vec<_>, _>>()?;
                Ok(highest.into_iter().max().map_or(0, |nonce| nonce.wrapping_add(1)))
            })
            .await
    }

    /// Begins an opening, or returns the channel to this service that another task or process has
    /// opened or begun. The same opening begun again keeps its nonce: of two transactions for one
    /// address the program lets one through, so the deposit moves once.
    pub(in crate::client) async fn begin_open(
        &self,
        intent: Intent,
        check: impl FnOnce(Amount) -> Result<(), PolicyError> + Send + 'static,
    ) -> Result<Result<ChannelRecord, PolicyError>, DurableError> {
        let (owner, network) = (self.owner, self.network.clone());
        self.database
            .write(move |connection| {
                let found = current(connection, &owner, &network, &intent.origin)?;
                let id = match found {
                    Some(record) if record.state != ChannelState::Opening => return Ok(Ok(record)),
                    Some(record) if record.recipient != intent.recipient || record.mint != intent.mint => {
                        return Ok(Ok(record));
                    }
                    Some(record) => Some(record.id),
                    None => None,
                };
                if let Err(error) = check(committed(connection, &owner, id)?) {
                    return Ok(Err(error));
                }
                let id = match id {
                    Some(id) => id,
                    None => {
                        insert(connection, &owner.program_id, &network, &intent, ChannelState::Opening, 0)?
                    }
                };
                let fresh = Ledger::new(intent.unit_price, intent.deposit);
                save(connection, id, &fresh)?;
                name_cluster(connection, id, &network)?;
                // its age counts from the newest transaction: that one can land for a while yet
                let sql = "UPDATE channels SET unit_price = ?2, created_at = ?3 WHERE id = ?1";
                connection
                    .execute(sql, params![id, intent.unit_price.get().cast_signed(), unix_seconds()])?;
                load(connection, id, i64::MAX).map(Ok)
            })
            .await
    }

    /// The opening was seen on chain: from now on the channel pays.
    pub(in crate::client) async fn opened(
        &self,
        id: i64,
        unit_price: UnitPrice,
        account: &ChannelAccount,
    ) -> Result<ChannelRecord, DurableError> {
        let (slot, deposited) = (account.opened_slot, account.books.deposited);
        let (rent_payer, network) = (account.rent_payer, self.network.clone());
        self.database
            .write(move |connection| {
                let record = load(connection, id, i64::MAX)?;
                if record.state == ChannelState::Opening {
                    let sql = "UPDATE channels SET state = ?2, opened_slot = ?3, unit_price = ?4, rent_payer = ?5 WHERE id = ?1";
                    let values = params![
                        id,
                        ChannelState::Open.number(),
                        slot.cast_signed(),
                        unit_price.get().cast_signed(),
                        rent_payer
                    ];
                    connection.execute(sql, values)?;
                    save(connection, id, &Ledger::new(unit_price, deposited))?;
                    name_cluster(connection, id, &network)?;
                }
                load(connection, id, i64::MAX)
            })
            .await
    }

    /// Forgets an opening that can't have happened, unless it was begun again after `created_at`.
    /// Returns whether it is gone now.
    pub(in crate::client) async fn drop_intent(
        &self,
        id: i64,
        created_at: i64,
    ) -> Result<bool, DurableError> {
        let sql = "DELETE FROM channels WHERE id = ?1 AND state = ?2 AND created_at = ?3";
        let values = [id, ChannelState::Opening.number(), created_at];
        self.database.write(move |connection| Ok(connection.execute(sql, values)? > 0)).await
    }

    /// Takes a channel back that counted as closed and is on chain all the same: a node had lagged, or
    /// was of another cluster. One that is `closing` still has to be closed, any other pays on.
    pub(in crate::client) async fn revive(
        &self,
        id: i64,
        closing: bool,
    ) -> Result<ChannelRecord, DurableError> {
        let state = if closing { ChannelState::Closing } else { ChannelState::Open };
        let sql = "UPDATE channels SET state = ?2, refunded = 0 WHERE id = ?1 AND state = ?3";
        let values = [id, state.number(), ChannelState::Closed.number()];
        let network = self.network.clone();
        self.database
            .write(move |connection| {
                if connection.execute(sql, values)? > 0 {
                    name_cluster(connection, id, &network)?;
                }
                load(connection, id, i64::MAX)
            })
            .await
    }

    /// Takes in a channel that was found on chain and is not in the store, with what the service says
    /// of it as the starting point. A channel that is stored already stays as it is.
    pub(in crate::client) async fn adopt(
        &self,
        intent: Intent,
        opened_slot: u64,
        spent: Amount,
        last_seq: Seq,
    ) -> Result<ChannelRecord, DurableError> {
        let (program_id, network) = (self.owner.program_id, self.network.clone());
        self.database
            .write(move |connection| {
                let sql = format!(
                    "program_id = ? AND funder = ? AND recipient = ? AND nonce = ? AND delegate = x'' AND {ON_CLUSTER}"
                );
                let keys = [program_id, intent.funder, intent.recipient].map(|key| key.to_bytes());
                let values = params![keys[0], keys[1], keys[2], intent.nonce.cast_signed(), network];
                if let Some(stored) = first(connection, &sql, values)? {
                    return Ok(stored);
                }
                let id = insert(connection, &program_id, &network, &intent, ChannelState::Open, opened_slot)?;
                let fresh = Ledger::new(intent.unit_price, intent.deposit);
                save(
                    connection,
                    id,
                    &Ledger { last_signed: last_seq, acknowledged: spent, agreed: spent, ..fresh },
                )?;
                load(connection, id, i64::MAX)
            })
            .await
    }
}

/// What all channels of the owner take of the budget, but for one.
pub(super) fn committed(
    connection: &Connection,
    owner: &Owner,
    except: Option<i64>,
) -> rusqlite::Result<Amount> {
    let sql = format!("SELECT {COLUMNS} FROM channels WHERE {}", owner.condition());
    let mut statement = connection.prepare_cached(&sql)?;
    let mut sum = Amount::ZERO;
    for record in statement.query_map(params_from_iter(owner.keys()), read)? {
        let record = record?;
        if Some(record.id) != except {
            sum = sum.checked_add(record.committed()).unwrap_or(Amount::MAX);
        }
    }
    Ok(sum)
}

fn insert(
    connection: &Connection,
    program_id: &Address,
    network: &str,
    intent: &Intent,
    state: ChannelState,
    opened_slot: u64,
) -> rusqlite::Result<i64> {
    let at = ChannelAddress::derive(program_id, &intent.funder, &intent.recipient, intent.nonce);
    let sql = "INSERT INTO channels (program_id, funder, authorized_signer, origin, state, created_at, recipient, mint, \
        token_program, rent_payer, nonce, channel, vault, opened_slot, unit_price, deposited, network) \
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)";
    connection.execute(
        sql,
        params![
            program_id.to_bytes(),
            intent.funder.to_bytes(),
            intent.authorized_signer.to_bytes(),
            intent.origin,
            state.number(),
            unix_seconds(),
            intent.recipient.to_bytes(),
            intent.mint.to_bytes(),
            intent.token_program.to_bytes(),
            intent.rent_payer.to_bytes(),
            intent.nonce.cast_signed(),
            at.channel.to_bytes(),
            at.vault.to_bytes(),
            opened_slot.cast_signed(),
            intent.unit_price.get().cast_signed(),
            intent.deposit.get().cast_signed(),
            network,
        ],
    )?;
    Ok(connection.last_insert_rowid())
}
