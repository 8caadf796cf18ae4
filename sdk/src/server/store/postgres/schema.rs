use deadpool_postgres::Client;

use super::{failed, refused};
use crate::server::store::StoreError;

/// `MIGRATIONS[n]` leads from version `n` to `n + 1`. 64-bit numbers are 8 bytes big-endian, which compare as
/// numbers: PostgreSQL's integers have a sign.
const MIGRATIONS: &[&str] = &["
CREATE TABLE service (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    recipient bytea NOT NULL, program_id bytea NOT NULL, network text NOT NULL
);
CREATE TABLE channels (
    channel bytea NOT NULL, opened_slot bytea NOT NULL,
    stamp bytea NOT NULL DEFAULT '\\x00000000000000000000000000000000',
    claimed bytea NOT NULL DEFAULT '\\x0000000000000000',
    stopped_at bigint, sealed boolean NOT NULL DEFAULT false,
    owed_total bytea, statement_sig bytea,
    ended boolean NOT NULL DEFAULT false, close_sent_at timestamptz,
    PRIMARY KEY (channel, opened_slot)
);
CREATE TABLE signers (
    channel bytea NOT NULL, opened_slot bytea NOT NULL,
    signer bytea NOT NULL, epoch bytea NOT NULL, revision bytea NOT NULL,
    seq bytea NOT NULL, sig bytea NOT NULL, seq_start bytea NOT NULL,
    spent bytea NOT NULL, calls bytea NOT NULL,
    period_start bigint NOT NULL, period_end bigint NOT NULL, replay bytea NOT NULL,
    PRIMARY KEY (channel, opened_slot, signer, epoch),
    FOREIGN KEY (channel, opened_slot) REFERENCES channels
);
CREATE TABLE holds (
    channel bytea NOT NULL, opened_slot bytea NOT NULL, process bytea NOT NULL,
    held bytea NOT NULL, made bytea NOT NULL, waits boolean NOT NULL DEFAULT false,
    PRIMARY KEY (channel, opened_slot, process),
    FOREIGN KEY (channel, opened_slot) REFERENCES channels
);
CREATE INDEX holds_by_process ON holds (process);
CREATE TABLE processes (process bytea PRIMARY KEY, seen_at timestamptz NOT NULL);
CREATE TABLE leader (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    process bytea NOT NULL, until timestamptz NOT NULL
);
CREATE TABLE answers (
    channel bytea NOT NULL, opened_slot bytea NOT NULL, signer bytea NOT NULL, epoch bytea NOT NULL,
    key bytea NOT NULL, question bytea NOT NULL, answer bytea NOT NULL, kept_at bigint NOT NULL,
    seq bytea NOT NULL,
    PRIMARY KEY (channel, opened_slot, signer, epoch, key)
);
CREATE INDEX answers_by_age ON answers (kept_at);
"];

/// Any number, as long as it is always this one: processes that start together migrate one after the other.
const LOCK: i64 = 0x616d_7073_746f_7265;

/// Brings the schema up to date; makes it where it is not there.
pub(super) async fn migrate(client: &mut Client, schema: &str) -> Result<(), StoreError> {
    let transaction = client.transaction().await.map_err(failed)?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await.map_err(failed)?;
    // the name was checked: it needs no escaping
    let begin = format!(
        "CREATE SCHEMA IF NOT EXISTS \"{schema}\"; CREATE TABLE IF NOT EXISTS version (version bigint NOT NULL)"
    );
    transaction.batch_execute(&begin).await.map_err(failed)?;
    let found = transaction.query_opt("SELECT version FROM version", &[]).await.map_err(failed)?;
    let found: i64 = found.map_or(0, |row| row.get(0));
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    if found > known {
        return Err(refused(format!(
            "the schema {schema} has version {found}, this release knows {known}; use the release that wrote it"
        )));
    }
    for migration in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or_default()) {
        transaction.batch_execute(migration).await.map_err(failed)?;
    }
    transaction.execute("DELETE FROM version", &[]).await.map_err(failed)?;
    transaction.execute("INSERT INTO version VALUES ($1)", &[&known]).await.map_err(failed)?;
    transaction.commit().await.map_err(failed)
}
