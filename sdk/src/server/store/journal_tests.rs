use std::collections::BTreeMap;

use super::*;

fn connection() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    crate::server::store::sqlite::SCHEMA.iter().for_each(|sql| connection.execute_batch(sql).unwrap());
    connection.pragma_update(None, "foreign_keys", true).unwrap();
    connection
}

fn at(channel: u16) -> Incarnation {
    let mut address = [0; 32];
    address[..2].copy_from_slice(&channel.to_be_bytes());
    Incarnation { channel: address, opened_slot: 9 }
}

/// A record whose every number is beyond a signed one, and different in each.
fn record(revision: u64) -> SignerRecord {
    let mut replay = ReplayWindow::new(u32::MAX, Seq::new(u64::MAX - 9));
    replay.accept(Seq::new(u64::MAX - 3));
    SignerRecord {
        signer: [3; 32],
        epoch: u64::MAX - 1,
        revision,
        seq: Seq::new(u64::MAX - 3),
        sig: [9; 64],
        seq_start: Seq::new(u64::MAX - 4),
        spent: Amount::new(u64::MAX - 5),
        calls: u64::MAX - 6,
        period_start: i64::MIN,
        period_end: i64::MAX,
        replay,
    }
}

fn commit(journal: &mut Journal, connection: &Connection, records: &[(u16, u64)]) {
    records.iter().for_each(|(channel, revision)| journal.leave(at(*channel), record(*revision)));
    journal.write(connection).unwrap();
}

fn count(connection: &Connection, table: &str) -> usize {
    let count = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
    connection.query_row(&format!("SELECT COUNT(*) FROM {table}"), [], count).unwrap().try_into().unwrap()
}

/// The revision of each channel's signer in the table.
fn brought(connection: &Connection) -> BTreeMap<Key, u64> {
    let mut statement = connection.prepare("SELECT channel, revision FROM signers").unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1).map(u64::from_be_bytes)?)));
    rows.unwrap().collect::<rusqlite::Result<_>>().unwrap()
}

#[test]
fn a_commit_is_one_row_with_the_newest_record_of_each_signer() {
    let (mut journal, connection) = (Journal::default(), connection());
    commit(&mut journal, &connection, &[(1, 5), (2, 1), (1, 7), (1, 6)]);
    assert_eq!((count(&connection, "journal"), count(&connection, "signers")), (1, 0));
    let bytes: Vec<u8> = connection.query_row("SELECT records FROM journal", [], |row| row.get(0)).unwrap();
    assert_eq!(decode(&bytes).unwrap(), [(at(1), record(7)), (at(2), record(1))]);
    commit(&mut journal, &connection, &[(1, 7), (2, 1)]);
    assert_eq!(count(&connection, "journal"), 1, "nothing was new");
}

#[test]
fn a_journal_that_is_opened_finds_all_and_empties_it() {
    let connection = connection();
    commit(&mut Journal::default(), &connection, &[(1, 5), (2, 1)]);
    commit(&mut Journal::default(), &connection, &[(1, 4)]);
    let mut opened = Journal::default();
    opened.write(&connection).unwrap();
    assert_eq!(brought(&connection), BTreeMap::from([(at(1).channel, 5), (at(2).channel, 1)]));
    assert_eq!((count(&connection, "journal"), opened.records().count()), (0, 0));
}

#[test]
fn nothing_is_lost_while_a_full_journal_is_emptied_under_load() {
    const SIGNERS: u64 = 3_000;
    const GROUP: u64 = 100;
    const FULL: usize = 10_000;
    let (mut journal, connection) = (Journal::that_is_full_after(FULL), connection());
    let (mut newest, mut most) = (BTreeMap::new(), 0);
    for group in 0..(FULL as u64 * 4 / GROUP) {
        let records: Vec<(u16, u64)> = (0..GROUP)
            .map(|n| ((group * GROUP + n * 37) % SIGNERS, group + 1))
            .map(|(channel, revision)| (channel.try_into().unwrap(), revision))
            .collect();
        commit(&mut journal, &connection, &records);
        newest.extend(records.iter().map(|(channel, revision)| (at(*channel).channel, *revision)));
        most = most.max(count(&connection, "journal"));
    }
    let rows_when_full = FULL / GROUP as usize;
    assert!(most > rows_when_full && most < rows_when_full * 2, "{most} rows");
    let mut known = brought(&connection);
    assert!(known.len() > 1_000, "some were brought");
    for (incarnation, record) in journal.records() {
        let before = known.insert(incarnation.channel, record.revision);
        assert!(before.is_none_or(|before| before <= record.revision));
    }
    assert_eq!(known, newest, "in memory and in the table");
    Journal::default().write(&connection).unwrap();
    assert_eq!(brought(&connection), newest, "on disk");
}

#[test]
fn what_a_lost_transaction_wrote_is_not_taken_for_written() {
    let (mut journal, mut connection) = (Journal::default(), connection());
    commit(&mut journal, &connection, &[(1, 5)]);
    let transaction = connection.transaction().unwrap();
    commit(&mut journal, &transaction, &[(1, 6), (2, 1)]);
    transaction.rollback().unwrap();
    journal.leave(at(3), record(1));
    journal.lost();
    commit(&mut journal, &connection, &[(1, 6)]);
    assert_eq!(brought(&connection), BTreeMap::from([(at(1).channel, 5)]));
    let known: Vec<_> =
        journal.records().map(|(incarnation, record)| (incarnation, record.revision)).collect();
    assert_eq!(known, [(at(1), 6)]);
}

#[test]
fn rows_that_no_journal_wrote_are_an_error_and_stay() {
    let mut whole = Vec::new();
    encode(&mut whole, &at(1), &record(1));
    assert_eq!(decode(&whole).unwrap().len(), 1);
    for broken in [&whole[..whole.len() - 1], &whole[..40], &[0]] {
        let connection = connection();
        connection.execute("INSERT INTO journal (records) VALUES (?1)", [broken]).unwrap();
        let error = Journal::default().write(&connection).unwrap_err().to_string();
        assert!(error.contains("not a journal's records"), "{error}");
        assert_eq!(count(&connection, "journal"), 1);
    }
}
