//! The transaction in which changes are made.

use std::collections::BTreeMap;

use deadpool_postgres::Client;
use futures::future::try_join_all;
use futures::try_join;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::lane::Asked;
use super::read::{self, Keys};
use super::{Process, failed, hold};
use crate::server::ledger::SignerRecord;
use crate::server::store::{Change, Exchanged, Incarnation, KeptAnswer, Stamp, StoreError};

type Answers = Vec<Result<Exchanged, StoreError>>;
type Arguments<'a> = Vec<&'a (dyn ToSql + Sync)>;

/// Makes the changes that were made from what is there. Rows are locked in the order of their keys: two
/// processes that change the same channels wait for each other, and never for ever.
pub(super) async fn exchange(
    client: &Client,
    process: &Process,
    group: &[Asked],
) -> Result<Answers, StoreError> {
    let there = begin(client, group).await?;
    let is_stale = |change: &Change| {
        let stamp = there.get(&change.incarnation).map_or(Ok(Stamp::NONE), |row| read::stamp(row, 2));
        stamp.map(|stamp| stamp != change.seen && stamp != change.next)
    };
    let (mut made, mut stale) = (Vec::new(), Vec::new());
    for Asked { change, .. } in group {
        if is_stale(change)? {
            stale.push(change.incarnation);
        } else if !change.is_none() && !is_made(change, &there)? {
            made.push(change);
        }
    }
    let (written, states) = try_join!(write(client, process, &made), read::states(client, process, &stale))?;
    let () = written;
    client.batch_execute("COMMIT").await.map_err(failed)?;
    let answer = |Asked { change, seq_window, .. }: &Asked| match there.get(&change.incarnation) {
        Some(row) if stale.contains(&change.incarnation) => {
            states.channel(row, *seq_window).map(|found| Exchanged::Stale(Box::new(found)))
        }
        _ => Ok(Exchanged::Done(change.next)),
    };
    Ok(group.iter().map(answer).collect())
}

/// Whether the change was made by an earlier attempt, whose answer was lost.
fn is_made(change: &Change, there: &BTreeMap<Incarnation, Row>) -> Result<bool, StoreError> {
    let stamp = there.get(&change.incarnation).map(|row| read::stamp(row, 2)).transpose()?;
    Ok(stamp == Some(change.next))
}

/// Begins the transaction, and locks and reads the channels.
async fn begin(client: &Client, group: &[Asked]) -> Result<BTreeMap<Incarnation, Row>, StoreError> {
    // what need not be on disk yet is seen by all others all the same
    let begin = match group.iter().any(|asked| asked.change.durable) {
        true => "BEGIN",
        false => "BEGIN; SET LOCAL synchronous_commit TO off",
    };
    let new = group.iter().filter(|asked| asked.change.seen == Stamp::NONE && !asked.change.is_none());
    let new = Keys::of(new.map(|asked| asked.change.incarnation));
    let all = Keys::of(group.iter().map(|asked| asked.change.incarnation));
    let insert = client
        .prepare_cached(
            "INSERT INTO channels (channel, opened_slot)
             SELECT * FROM unnest($1::bytea[], $2::bytea[]) AS k (channel, opened_slot) ORDER BY 1, 2
             ON CONFLICT DO NOTHING",
        )
        .await
        .map_err(failed)?;
    let lock = client
        .prepare_cached(
            "SELECT channel, opened_slot, stamp, claimed, stopped_at, owed_total, statement_sig, sealed
             FROM channels JOIN unnest($1::bytea[], $2::bytea[]) AS k (channel, opened_slot)
             USING (channel, opened_slot) ORDER BY channel, opened_slot FOR UPDATE OF channels",
        )
        .await
        .map_err(failed)?;
    // sent together, done in order
    let inserted =
        async { if new.is_empty() { Ok(0) } else { client.execute(&insert, &new.arguments()).await } };
    let arguments = all.arguments();
    let (_, _, rows) =
        try_join!(client.batch_execute(begin), inserted, client.query(&lock, &arguments)).map_err(failed)?;
    rows.into_iter().map(|row| Ok((read::incarnation(&row)?, row))).collect()
}

async fn write(client: &Client, process: &Process, made: &[&Change]) -> Result<(), StoreError> {
    if made.is_empty() {
        return Ok(());
    }
    let signers: Vec<_> = rows_of(made, |change| &change.signers);
    let answers: Vec<_> = rows_of(made, |change| &change.answers);
    let holds =
        made.iter().filter_map(|change| Some((change.incarnation, hold::encode(change.own.as_ref()?))));
    let (held, free): (Vec<_>, Vec<_>) = holds.partition(|(_, held)| !held.is_empty());
    let statements = [
        Some(channels(made)),
        (!signers.is_empty()).then(|| write_signers(&signers)),
        (!held.is_empty()).then(|| write_holds(process, &held)),
        (!free.is_empty()).then(|| release_holds(process, &free)),
        (!answers.is_empty()).then(|| keep_answers(&answers)),
    ];
    let executed = statements.iter().flatten().map(|(sql, columns)| async move {
        let statement = client.prepare_cached(sql).await.map_err(failed)?;
        let arguments: Arguments<'_> =
            columns.iter().map(|column| &**column as &(dyn ToSql + Sync)).collect();
        client.execute(&statement, &arguments).await.map_err(failed)
    });
    try_join_all(executed).await.map(drop)
}

type Column = Box<dyn ToSql + Sync + Send>;
type Statement = (&'static str, Vec<Column>);

fn rows_of<'a, R>(made: &[&'a Change], of: impl Fn(&'a Change) -> &'a Vec<R>) -> Vec<(Incarnation, &'a R)> {
    made.iter().flat_map(|change| of(change).iter().map(|row| (change.incarnation, row))).collect()
}

/// One column of all rows.
fn column<R, V: ToSql + Sync + Send + 'static>(rows: &[R], of: impl Fn(&R) -> V) -> Column {
    Box::new(rows.iter().map(of).collect::<Vec<V>>())
}

fn number(number: u64) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

fn channels(made: &[&Change]) -> Statement {
    let sql = "UPDATE channels AS c SET stamp = k.stamp, ended = c.ended AND NOT k.served,
            stopped_at = coalesce(c.stopped_at, k.stopped_at), sealed = c.sealed OR k.sealed,
            owed_total = coalesce(c.owed_total, k.owed_total),
            statement_sig = coalesce(c.statement_sig, k.statement_sig)
        FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::boolean[], $5::bigint[], $6::boolean[],
            $7::bytea[], $8::bytea[])
            AS k (channel, opened_slot, stamp, served, stopped_at, sealed, owed_total, statement_sig)
        WHERE c.channel = k.channel AND c.opened_slot = k.opened_slot";
    let columns = vec![
        column(made, |change| change.incarnation.channel.to_vec()),
        column(made, |change| number(change.incarnation.opened_slot)),
        column(made, |change| change.next.0.to_vec()),
        // what is served is on chain, whatever was taken for gone before
        column(made, |change| !change.signers.is_empty()),
        column(made, |change| change.stopped_at),
        column(made, |change| change.sealed),
        column(made, |change| change.statement.map(|statement| number(statement.owed_total.get()))),
        column(made, |change| change.statement.map(|statement| statement.sig.0.to_vec())),
    ];
    (sql, columns)
}

fn write_signers(rows: &[(Incarnation, &SignerRecord)]) -> Statement {
    let sql = "INSERT INTO signers SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::bytea[],
            $5::bytea[], $6::bytea[], $7::bytea[], $8::bytea[], $9::bytea[], $10::bytea[], $11::bigint[],
            $12::bigint[], $13::bytea[])
        ON CONFLICT (channel, opened_slot, signer, epoch) DO UPDATE SET revision = excluded.revision,
            seq = excluded.seq, sig = excluded.sig, seq_start = excluded.seq_start, spent = excluded.spent,
            calls = excluded.calls, period_start = excluded.period_start, period_end = excluded.period_end,
            replay = excluded.replay";
    let columns = vec![
        column(rows, |(of, _)| of.channel.to_vec()),
        column(rows, |(of, _)| number(of.opened_slot)),
        column(rows, |(_, record)| record.signer.to_vec()),
        column(rows, |(_, record)| number(record.epoch)),
        column(rows, |(_, record)| number(record.revision)),
        column(rows, |(_, record)| number(record.seq.get())),
        column(rows, |(_, record)| record.sig.to_vec()),
        column(rows, |(_, record)| number(record.seq_start.get())),
        column(rows, |(_, record)| number(record.spent.get())),
        column(rows, |(_, record)| number(record.calls)),
        column(rows, |(_, record)| record.period_start),
        column(rows, |(_, record)| record.period_end),
        column(rows, |(_, record)| record.replay.to_bytes()),
    ];
    (sql, columns)
}

fn write_holds(process: &Process, rows: &[(Incarnation, Vec<u8>)]) -> Statement {
    let sql = "INSERT INTO holds (channel, opened_slot, process, held)
        SELECT channel, opened_slot, $1, held
        FROM unnest($2::bytea[], $3::bytea[], $4::bytea[]) AS k (channel, opened_slot, held)
        ON CONFLICT (channel, opened_slot, process) DO UPDATE SET held = excluded.held";
    let columns = vec![
        Box::new(process.to_vec()) as Column,
        column(rows, |(of, _)| of.channel.to_vec()),
        column(rows, |(of, _)| number(of.opened_slot)),
        column(rows, |(_, held)| held.clone()),
    ];
    (sql, columns)
}

fn release_holds(process: &Process, rows: &[(Incarnation, Vec<u8>)]) -> Statement {
    let sql = "DELETE FROM holds USING unnest($2::bytea[], $3::bytea[]) AS k (channel, opened_slot)
        WHERE holds.channel = k.channel AND holds.opened_slot = k.opened_slot AND holds.process = $1";
    let columns = vec![
        Box::new(process.to_vec()) as Column,
        column(rows, |(of, _)| of.channel.to_vec()),
        column(rows, |(of, _)| number(of.opened_slot)),
    ];
    (sql, columns)
}

fn keep_answers(rows: &[(Incarnation, &KeptAnswer)]) -> Statement {
    // admission lets none of a name through while another is under way, or was answered
    let sql = "INSERT INTO answers SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::bytea[],
            $5::bytea[], $6::bytea[], $7::bytea[], $8::bigint[])
        ON CONFLICT DO NOTHING";
    let columns = vec![
        column(rows, |(of, _)| of.channel.to_vec()),
        column(rows, |(of, _)| number(of.opened_slot)),
        column(rows, |(_, kept)| kept.id.signer.to_vec()),
        column(rows, |(_, kept)| number(kept.id.epoch)),
        column(rows, |(_, kept)| kept.id.key.0.to_vec()),
        column(rows, |(_, kept)| kept.question.to_vec()),
        column(rows, |(_, kept)| kept.answer.clone()),
        column(rows, |(_, kept)| kept.kept_at),
    ];
    (sql, columns)
}
