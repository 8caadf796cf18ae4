//! Which processes live, and which of them looks after the channels.

use deadpool_postgres::Client;
use tokio_postgres::types::ToSql;

use super::read::{self, Keys};
use super::{Process, failed};
use crate::server::store::{DEAD_AFTER, Incarnation, Stamp, StoreError};

/// Of whom nothing was heard for so long. The database's clock, which all share.
const DEAD: &str = "NOT EXISTS (SELECT FROM processes p WHERE p.process = holds.process
    AND p.seen_at > clock_timestamp() - $1::bigint * interval '1 second')";

/// Channels whose dead requests are released at once.
const BURIED: i64 = 500;

pub(super) async fn stay_alive(
    client: &mut Client,
    process: &Process,
    would_lead: bool,
    next_stamp: impl Fn() -> Stamp + Send,
) -> Result<bool, StoreError> {
    let (me, dead_after) = (&process[..], i64::try_from(DEAD_AFTER).unwrap_or(i64::MAX));
    let seen = "INSERT INTO processes VALUES ($1, clock_timestamp())
        ON CONFLICT (process) DO UPDATE SET seen_at = clock_timestamp()";
    client.execute(seen, &[&me]).await.map_err(failed)?;
    let leads = lead(client, me, dead_after, would_lead).await?;
    if let Err(error) = bury(client, dead_after, next_stamp).await {
        tracing::error!(%error, "what was in flight at dead processes is not released yet");
    }
    Ok(leads)
}

async fn lead(client: &Client, me: &[u8], dead_after: i64, would_lead: bool) -> Result<bool, StoreError> {
    if !would_lead {
        let resign = "UPDATE leader SET until = '-infinity' WHERE process = $1";
        client.execute(resign, &[&me]).await.map_err(failed)?;
        return Ok(false);
    }
    let first = "INSERT INTO leader (process, until) VALUES ($1, '-infinity') ON CONFLICT DO NOTHING";
    client.execute(first, &[&me]).await.map_err(failed)?;
    let lead = "UPDATE leader SET process = $1, until = clock_timestamp() + $2::bigint * interval '1 second'
        WHERE process = $1 OR until < clock_timestamp()";
    Ok(client.execute(lead, &[&me, &dead_after]).await.map_err(failed)? == 1)
}

/// Releases what was in flight at dead processes. Their channels get new stamps: so one that was only slow
/// finds out before it charges what it held, and all others stop counting that.
async fn bury(
    client: &mut Client,
    dead_after: i64,
    next_stamp: impl Fn() -> Stamp + Send,
) -> Result<(), StoreError> {
    let forget = format!("DELETE FROM holds WHERE held = '' AND {DEAD}");
    client.execute(&forget, &[&dead_after]).await.map_err(failed)?;
    let forget = "DELETE FROM processes WHERE seen_at < clock_timestamp() - interval '1 hour'";
    client.execute(forget, &[]).await.map_err(failed)?;
    let find =
        format!("SELECT DISTINCT channel, opened_slot FROM holds WHERE held <> '' AND {DEAD} LIMIT $2");
    let rows = client.query(&find, &[&dead_after, &BURIED]).await.map_err(failed)?;
    let found = rows.iter().map(read::incarnation).collect::<Result<Vec<Incarnation>, _>>()?;
    if found.is_empty() {
        return Ok(());
    }
    let keys = Keys::of(found.iter().copied());
    let stamps: Vec<Vec<u8>> = found.iter().map(|_| next_stamp().0.to_vec()).collect();
    let [channels, slots] = keys.arguments();
    let transaction = client.transaction().await.map_err(failed)?;
    let lock = "SELECT FROM channels JOIN unnest($1::bytea[], $2::bytea[]) AS k (channel, opened_slot)
        USING (channel, opened_slot) ORDER BY channel, opened_slot FOR UPDATE OF channels";
    transaction.query(lock, &[channels, slots]).await.map_err(failed)?;
    let release = format!(
        "DELETE FROM holds USING unnest($2::bytea[], $3::bytea[]) AS k (channel, opened_slot)
         WHERE holds.channel = k.channel AND holds.opened_slot = k.opened_slot AND {DEAD}"
    );
    transaction.execute(&release, &[&dead_after, channels, slots]).await.map_err(failed)?;
    let mark = "UPDATE channels AS c SET stamp = k.stamp
        FROM unnest($1::bytea[], $2::bytea[], $3::bytea[]) AS k (channel, opened_slot, stamp)
        WHERE c.channel = k.channel AND c.opened_slot = k.opened_slot";
    let stamps: &(dyn ToSql + Sync) = &stamps;
    transaction.execute(mark, &[channels, slots, stamps]).await.map_err(failed)?;
    transaction.commit().await.map_err(failed)?;
    tracing::warn!(channels = found.len(), "requests in flight at a process that died were released");
    Ok(())
}

#[cfg(test)]
impl super::PostgresStore {
    /// As if nothing had been heard of this process for an hour.
    pub(in crate::server) async fn be_silent(&self) {
        let client = self.client().await.unwrap();
        let ago = "UPDATE processes SET seen_at = seen_at - interval '59 minutes' WHERE process = $1";
        client.execute(ago, &[&&self.process[..]]).await.unwrap();
        let ago = "UPDATE leader SET until = until - interval '59 minutes' WHERE process = $1";
        client.execute(ago, &[&&self.process[..]]).await.unwrap();
    }
}
