//! The transaction in which changes are made.

use std::collections::{BTreeMap, BTreeSet};

use deadpool_postgres::Client;
use futures::future::try_join_all;
use futures::try_join;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::lane::Asked;
use super::read::{self, Keys, Standing};
use super::{Process, failed, hold};
use crate::server::ledger::SignerRecord;
use crate::server::store::{Change, Exchanged, Incarnation, KeptAnswer, SharedChannel, Stamp, StoreError};

type Answers = Vec<Result<Exchanged, StoreError>>;
type Arguments<'a> = Vec<&'a (dyn ToSql + Sync)>;

/// Makes the changes that were made from what is there. Rows are locked in the order of their keys: two
/// processes that change the same channels wait for each other, and never for ever.
pub(super) async fn exchange(
    client: &Client,
    process: &Process,
    group: &[Asked],
) -> Result<Answers, StoreError> {
    let there = begin(client, process, group).await?;
    let (mut made, mut stale) = (Vec::new(), BTreeSet::new());
    for Asked { change, .. } in group {
        let row = there.get(&change.incarnation).map(|(_, standing)| *standing).unwrap_or_default();
        // made by an earlier attempt whose answer was lost, whatever others have made of it since
        let is_made = !change.is_none() && row.last_made == Some(change.next);
        if !is_made && row.stamp != change.seen {
            stale.insert(change.incarnation);
        } else if !is_made && !change.is_none() {
            made.push(change);
        }
    }
    let too_late = group.iter().map(|asked| &asked.change).filter(|change| !change.is_none());
    let too_late: Vec<&Change> = too_late
        .filter(|change| stale.contains(&change.incarnation) && there.contains_key(&change.incarnation))
        .collect();
    let (written, states) =
        try_join!(write(client, process, &made, &too_late), read::states(client, process, &stale))?;
    let () = written;
    client.batch_execute("COMMIT").await.map_err(failed)?;
    let answer = |Asked { change, seq_window, .. }: &Asked| {
        let row = there.get(&change.incarnation);
        match (stale.contains(&change.incarnation), row) {
            (true, Some((row, _))) => {
                states.channel(row, *seq_window).map(|found| Exchanged::Stale(Box::new(found)))
            }
            // it was never on disk, and the database crashed
            (true, None) => Ok(Exchanged::Stale(Box::new(SharedChannel::nothing(change.incarnation)))),
            (false, row) => {
                let others_wait = row.is_some_and(|(_, standing)| standing.others_wait);
                Ok(Exchanged::Done { stamp: change.next, others_wait })
            }
        }
    };
    Ok(group.iter().map(answer).collect())
}

/// Begins the transaction, and locks and reads the channels.
async fn begin(
    client: &Client,
    process: &Process,
    group: &[Asked],
) -> Result<BTreeMap<Incarnation, (Row, Standing)>, StoreError> {
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
            "SELECT c.channel, c.opened_slot, stamp, claimed, stopped_at, owed_total, statement_sig, sealed, made,
                 EXISTS (SELECT FROM holds o WHERE o.channel = c.channel AND o.opened_slot = c.opened_slot
                     AND o.process <> $3 AND o.waits)
             FROM channels c JOIN unnest($1::bytea[], $2::bytea[]) AS k (channel, opened_slot)
                 ON c.channel = k.channel AND c.opened_slot = k.opened_slot
             LEFT JOIN holds h ON h.channel = c.channel AND h.opened_slot = c.opened_slot AND h.process = $3
             ORDER BY 1, 2 FOR UPDATE OF c",
        )
        .await
        .map_err(failed)?;
    // sent together, done in order
    let inserted =
        async { if new.is_empty() { Ok(0) } else { client.execute(&insert, &new.arguments()).await } };
    let ([channels, slots], process) = (all.arguments(), &process[..]);
    let arguments: [&(dyn ToSql + Sync); 3] = [channels, slots, &process];
    let (_, _, rows) =
        try_join!(client.batch_execute(begin), inserted, client.query(&lock, &arguments)).map_err(failed)?;
    let rows = rows.into_iter().map(|row| {
        let standing = Standing::of(&row)?;
        Ok((read::incarnation(&row)?, (row, standing)))
    });
    rows.collect()
}

async fn write(
    client: &Client,
    process: &Process,
    made: &[&Change],
    too_late: &[&Change],
) -> Result<(), StoreError> {
    let signers: Vec<_> = rows_of(made, |change| &change.signers);
    let answers: Vec<_> = rows_of(made, |change| &change.answers);
    let statements = [
        (!made.is_empty()).then(|| channels(made)),
        (!signers.is_empty()).then(|| write_signers(&signers)),
        (!made.is_empty()).then(|| write_holds(process, made)),
        (!too_late.is_empty()).then(|| wait(process, too_late)),
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
        column(made, |change| !change.signers.is_empty() || change.stopped_at.is_some()),
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

/// What is in flight at this process, and which change of its own was the last.
fn write_holds(process: &Process, made: &[&Change]) -> Statement {
    let sql = "INSERT INTO holds (channel, opened_slot, process, held, made)
        SELECT channel, opened_slot, $1, coalesce(held, ''), made
        FROM unnest($2::bytea[], $3::bytea[], $4::bytea[], $5::bytea[]) AS k (channel, opened_slot, held, made)
        ON CONFLICT (channel, opened_slot, process) DO UPDATE SET made = excluded.made, waits = false,
            held = CASE WHEN $6::bytea[] @> ARRAY[excluded.made] THEN excluded.held ELSE holds.held END";
    let changed = made.iter().filter(|change| change.own.is_some());
    let columns = vec![
        Box::new(process.to_vec()) as Column,
        column(made, |change| change.incarnation.channel.to_vec()),
        column(made, |change| number(change.incarnation.opened_slot)),
        column(made, |change| change.own.as_ref().map(|own| hold::encode(own))),
        column(made, |change| change.next.0.to_vec()),
        Box::new(changed.map(|change| change.next.0.to_vec()).collect::<Vec<_>>()) as Column,
    ];
    (sql, columns)
}

/// Another process was faster. It learns that this one waits: two that write without pause would else never
/// let a third in between what it reads and what it writes.
fn wait(process: &Process, too_late: &[&Change]) -> Statement {
    let sql = "INSERT INTO holds (channel, opened_slot, process, held, made, waits)
        SELECT channel, opened_slot, $1, '', '', true
        FROM unnest($2::bytea[], $3::bytea[]) AS k (channel, opened_slot)
        ON CONFLICT (channel, opened_slot, process) DO UPDATE SET waits = true";
    let columns = vec![
        Box::new(process.to_vec()) as Column,
        column(too_late, |change| change.incarnation.channel.to_vec()),
        column(too_late, |change| number(change.incarnation.opened_slot)),
    ];
    (sql, columns)
}

fn keep_answers(rows: &[(Incarnation, &KeptAnswer)]) -> Statement {
    // admission lets none of a name through while another is under way, or was answered
    let sql = "INSERT INTO answers SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::bytea[],
            $5::bytea[], $6::bytea[], $7::bytea[], $8::bigint[], $9::bytea[])
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
        column(rows, |(_, kept)| number(kept.seq.get())),
    ];
    (sql, columns)
}
