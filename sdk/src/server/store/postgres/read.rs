use std::collections::{BTreeMap, BTreeSet};

use amp_protocol::json::SignedCloseStatement;
use amp_protocol::money::{Amount, Seq};
use deadpool_postgres::Client;
use futures::try_join;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::{AnswerId, Process, failed, hold, refused};
use crate::server::ledger::{ReplayWindow, SignerRecord};
use crate::server::store::{
    Hold, Incarnation, KeptAnswer, SharedChannel, Stamp, StoreError, StoreIdentity, StoredChannel,
};

/// Channels as arguments: `unnest($1::bytea[], $2::bytea[])`.
pub(super) struct Keys {
    channels: Vec<Vec<u8>>,
    slots: Vec<Vec<u8>>,
}

impl Keys {
    pub(super) fn of(all: impl Iterator<Item = Incarnation>) -> Self {
        let pair = |of: Incarnation| (of.channel.to_vec(), of.opened_slot.to_be_bytes().to_vec());
        let (channels, slots) = all.map(pair).unzip();
        Self { channels, slots }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.channels.is_empty()
    }

    pub(super) fn arguments(&self) -> [&(dyn ToSql + Sync); 2] {
        [&self.channels, &self.slots]
    }
}

/// Signers and holds of channels that are read anew.
#[derive(Default)]
pub(super) struct States(BTreeMap<Incarnation, State>);

#[derive(Default)]
struct State {
    signers: Vec<Row>,
    own: Vec<Hold>,
    elsewhere: Vec<Hold>,
}

/// What stands beside the channels' own rows.
pub(super) async fn states(
    client: &Client,
    process: &Process,
    channels: &BTreeSet<Incarnation>,
) -> Result<States, StoreError> {
    if channels.is_empty() {
        return Ok(States::default());
    }
    let keys = Keys::of(channels.iter().copied());
    let signers = client
        .prepare_cached(
            "SELECT signers.* FROM signers JOIN unnest($1::bytea[], $2::bytea[]) AS k (channel, opened_slot)
             USING (channel, opened_slot)",
        )
        .await
        .map_err(failed)?;
    let holds = client
        .prepare_cached(
            "SELECT holds.channel, holds.opened_slot, process, held FROM holds JOIN unnest($1::bytea[], $2::bytea[]) AS k (channel, opened_slot)
             USING (channel, opened_slot)",
        )
        .await
        .map_err(failed)?;
    let arguments = keys.arguments();
    let (signers, held) =
        try_join!(client.query(&signers, &arguments), client.query(&holds, &arguments)).map_err(failed)?;
    let mut states: BTreeMap<Incarnation, State> = BTreeMap::new();
    for row in signers {
        states.entry(incarnation(&row)?).or_default().signers.push(row);
    }
    for row in held {
        let state = states.entry(incarnation(&row)?).or_default();
        let bytes: Vec<u8> = get(&row, 3)?;
        let these = hold::decode(&bytes).ok_or_else(|| refused("requests in flight can't be read"))?;
        let is_own = get::<Vec<u8>>(&row, 2)? == process;
        if is_own { &mut state.own } else { &mut state.elsewhere }.extend(these);
    }
    Ok(States(states))
}

impl States {
    /// The books of a channel, with its own row.
    pub(super) fn channel(&self, row: &Row, seq_window: u32) -> Result<SharedChannel, StoreError> {
        let mut stored = channel(row, 3)?;
        let (mut own, mut elsewhere) = (Vec::new(), Vec::new());
        if let Some(state) = self.0.get(&stored.incarnation) {
            let signers = state.signers.iter().map(|row| signer(row, seq_window));
            stored.signers = signers.collect::<Result<_, _>>()?;
            (own, elsewhere) = (state.own.clone(), state.elsewhere.clone());
        }
        Ok(SharedChannel { stamp: stamp(row, 2)?, sealed: get(row, 7)?, stored, own, elsewhere })
    }
}

/// Writes the identity into an empty store, and refuses any other than the one that is there.
pub(super) async fn bind(client: &Client, wanted: &StoreIdentity) -> Result<(), StoreError> {
    let insert =
        "INSERT INTO service (recipient, program_id, network) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    let row: [&(dyn ToSql + Sync); 3] = [&&wanted.recipient[..], &&wanted.program_id[..], &wanted.network];
    client.execute(insert, &row).await.map_err(failed)?;
    let row = client.query_one("SELECT recipient, program_id, network FROM service", &[]).await;
    let row = row.map_err(failed)?;
    let bound =
        StoreIdentity { recipient: bytes(&row, 0)?, program_id: bytes(&row, 1)?, network: get(&row, 2)? };
    if bound == *wanted { Ok(()) } else { Err(bound.is_not(wanted)) }
}

/// All that has not ended.
pub(super) async fn load(client: &Client, seq_window: u32) -> Result<Vec<StoredChannel>, StoreError> {
    let channels = "SELECT channel, opened_slot, claimed, stopped_at, owed_total, statement_sig
        FROM channels WHERE NOT ended";
    let signers = "SELECT signers.* FROM signers JOIN channels USING (channel, opened_slot) WHERE NOT ended";
    let (channels, signers) =
        try_join!(client.query(channels, &[]), client.query(signers, &[])).map_err(failed)?;
    let mut all: BTreeMap<Incarnation, StoredChannel> = BTreeMap::new();
    for row in channels {
        let found = channel(&row, 2)?;
        all.insert(found.incarnation, found);
    }
    for row in signers {
        if let Some(found) = all.get_mut(&incarnation(&row)?) {
            found.signers.push(signer(&row, seq_window)?);
        }
    }
    Ok(all.into_values().collect())
}

pub(super) async fn stamps(client: &Client) -> Result<Vec<(Incarnation, Stamp)>, StoreError> {
    let sql = "SELECT channel, opened_slot, stamp FROM channels WHERE NOT ended";
    let rows = client.query(sql, &[]).await.map_err(failed)?;
    rows.iter().map(|row| Ok((incarnation(row)?, stamp(row, 2)?))).collect()
}

pub(super) async fn answer(
    client: &Client,
    of: Incarnation,
    id: AnswerId,
) -> Result<Option<KeptAnswer>, StoreError> {
    let sql = "SELECT question, answer, kept_at, seq FROM answers
        WHERE channel = $1 AND opened_slot = $2 AND signer = $3 AND epoch = $4 AND key = $5";
    let statement = client.prepare_cached(sql).await.map_err(failed)?;
    let (slot, epoch) = (of.opened_slot.to_be_bytes(), id.epoch.to_be_bytes());
    let key: [&(dyn ToSql + Sync); 5] =
        [&&of.channel[..], &&slot[..], &&id.signer[..], &&epoch[..], &&id.key.0[..]];
    let found = client.query_opt(&statement, &key).await.map_err(failed)?;
    let kept = |row: Row| {
        let (question, answer) = (bytes(&row, 0)?, get(&row, 1)?);
        Ok(KeptAnswer { id, question, answer, kept_at: get(&row, 2)?, seq: Seq::new(number(&row, 3)?) })
    };
    found.map(kept).transpose()
}

pub(super) fn incarnation(row: &Row) -> Result<Incarnation, StoreError> {
    Ok(Incarnation { channel: bytes(row, 0)?, opened_slot: number(row, 1)? })
}

pub(super) fn stamp(row: &Row, at: usize) -> Result<Stamp, StoreError> {
    bytes(row, at).map(Stamp)
}

/// Where a channel stands, by its own row.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Standing {
    pub(super) stamp: Stamp,
    /// The last change that this process made, if it made any.
    pub(super) last_made: Option<Stamp>,
    /// Another process came too late with a change.
    pub(super) others_wait: bool,
}

impl Standing {
    pub(super) fn of(row: &Row) -> Result<Self, StoreError> {
        let made: Option<&[u8]> = get(row, 8)?;
        let made = made.filter(|made| !made.is_empty());
        let last_made = made.map(|made| array(made).map(Stamp)).transpose()?;
        Ok(Self { stamp: stamp(row, 2)?, last_made, others_wait: get(row, 9)? })
    }
}

/// A channel without its signers; `claimed` and what follows it stand from `at` on.
fn channel(row: &Row, at: usize) -> Result<StoredChannel, StoreError> {
    let incarnation = incarnation(row)?;
    let place = |after: usize| at.saturating_add(after);
    let sig: Option<Vec<u8>> = get(row, place(3))?;
    let statement = match sig {
        None => None,
        Some(sig) => Some(SignedCloseStatement {
            channel: incarnation.channel.into(),
            opened_slot: incarnation.opened_slot,
            owed_total: Amount::new(number(row, place(2))?),
            sig: array::<64>(&sig)?.into(),
        }),
    };
    Ok(StoredChannel {
        incarnation,
        signers: Vec::new(),
        stopped_at: get(row, place(1))?,
        statement,
        claimed: Amount::new(number(row, at)?),
    })
}

fn signer(row: &Row, seq_window: u32) -> Result<SignerRecord, StoreError> {
    let replay: Vec<u8> = get(row, 12)?;
    // a history that can't be read must not become an empty one: seqs would be accepted twice
    let replay =
        ReplayWindow::from_bytes(&replay, seq_window).ok_or_else(|| refused("not a replay window"))?;
    Ok(SignerRecord {
        signer: bytes(row, 2)?,
        epoch: number(row, 3)?,
        revision: number(row, 4)?,
        seq: Seq::new(number(row, 5)?),
        sig: bytes(row, 6)?,
        seq_start: Seq::new(number(row, 7)?),
        spent: Amount::new(number(row, 8)?),
        calls: number(row, 9)?,
        period_start: get(row, 10)?,
        period_end: get(row, 11)?,
        replay,
    })
}

fn get<'a, V: tokio_postgres::types::FromSql<'a>>(row: &'a Row, at: usize) -> Result<V, StoreError> {
    row.try_get(at).map_err(failed)
}

fn bytes<const N: usize>(row: &Row, at: usize) -> Result<[u8; N], StoreError> {
    array(get(row, at)?)
}

fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N], StoreError> {
    bytes.try_into().map_err(|_| refused(format!("a value has {} bytes instead of {N}", bytes.len())))
}

fn number(row: &Row, at: usize) -> Result<u64, StoreError> {
    bytes(row, at).map(u64::from_be_bytes)
}
