use amp_protocol::json::SignedCloseStatement;
use amp_protocol::money::{Amount, Seq};

use super::*;
use crate::server::ledger::ReplayWindow;

const AT: Incarnation = Incarnation { channel: [1; 32], opened_slot: u64::MAX };

fn identity() -> StoreIdentity {
    StoreIdentity { recipient: [7; 32], program_id: [8; 32], network: "solana:localnet".to_owned() }
}

/// Numbers that a signed 64-bit integer or a float would lose.
fn record(revision: u64, spent: u64) -> SignerRecord {
    let mut replay = ReplayWindow::new(64, Seq::new(1 << 63));
    replay.accept(Seq::MAX);
    SignerRecord {
        signer: [3; 32],
        epoch: u64::MAX - 1,
        revision,
        seq: Seq::MAX,
        sig: [9; 64],
        seq_start: Seq::new((1 << 53) + 1),
        spent: Amount::new(spent),
        calls: u64::MAX - 2,
        period_start: i64::MIN,
        period_end: i64::MAX,
        replay,
    }
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn open(&self) -> SqliteStore {
        let path = self.0.path().join("service.db");
        (0..5).find_map(|_| SqliteStore::open(&path).ok()).unwrap()
    }
}

async fn loaded(store: &SqliteStore) -> Vec<StoredChannel> {
    store.load(&identity(), 64).await.unwrap()
}

#[tokio::test]
async fn every_field_survives_a_restart() {
    let folder = Folder::new();
    let statement = SignedCloseStatement {
        channel: AT.channel.into(),
        opened_slot: AT.opened_slot,
        owed_total: Amount::MAX,
        sig: [5; 64].into(),
    };
    {
        let store = folder.open();
        store.commit(AT, record(u64::MAX, u64::MAX)).await.unwrap();
        store.stop(AT, 12).await.unwrap();
        store.stop(AT, 13).await.unwrap();
        store.keep_statement(statement).await.unwrap();
        store.book_claimed(AT, Amount::MAX).await.unwrap();
    }
    let expected = StoredChannel {
        incarnation: AT,
        signers: vec![record(u64::MAX, u64::MAX)],
        stopped_at: Some(12),
        statement: Some(statement),
        claimed: Amount::MAX,
    };
    assert_eq!(loaded(&folder.open()).await, [expected]);
}

#[tokio::test]
async fn an_older_record_that_comes_late_replaces_nothing() {
    let folder = Folder::new();
    let store = folder.open();
    // as bytes, 256 is above 255: as text or little-endian it would not be
    for (revision, spent) in [(256, 20), (255, 10), (256, 30)] {
        store.commit(AT, record(revision, spent)).await.unwrap();
    }
    assert_eq!(loaded(&store).await[0].signers, [record(256, 20)]);
    store.commit(AT, record(257, 30)).await.unwrap();
    assert_eq!(loaded(&store).await[0].signers, [record(257, 30)]);
}

#[tokio::test]
async fn what_was_claimed_never_shrinks() {
    let folder = Folder::new();
    let store = folder.open();
    for claimed in [256, 255] {
        store.book_claimed(AT, Amount::new(claimed)).await.unwrap();
    }
    assert_eq!(loaded(&store).await[0].claimed, Amount::new(256));
}

#[tokio::test]
async fn an_ended_channel_is_not_loaded_and_others_are() {
    let folder = Folder::new();
    let store = folder.open();
    let other = Incarnation { opened_slot: 0, ..AT };
    store.commit(AT, record(1, 1)).await.unwrap();
    store.commit(other, record(1, 1)).await.unwrap();
    store.end(AT).await.unwrap();
    let found: Vec<_> = loaded(&store).await.into_iter().map(|channel| channel.incarnation).collect();
    assert_eq!(found, [other]);
}

#[tokio::test]
async fn an_ended_channel_that_is_served_again_is_loaded_with_all_it_had() {
    let folder = Folder::new();
    let store = folder.open();
    store.commit(AT, record(1, 1)).await.unwrap();
    store.book_claimed(AT, Amount::new(1)).await.unwrap();
    store.end(AT).await.unwrap();
    assert_eq!(loaded(&store).await, []);
    let ended = store.recall(AT, 64).await.unwrap().unwrap();
    assert_eq!((&ended.signers[..], ended.claimed), (&[record(1, 1)][..], Amount::new(1)));
    assert_eq!(store.recall(Incarnation { opened_slot: 0, ..AT }, 64).await.unwrap(), None);
    store.commit(AT, record(2, 2)).await.unwrap();
    let found = &loaded(&store).await[0];
    assert_eq!((&found.signers[..], found.claimed), (&[record(2, 2)][..], Amount::new(1)));
}

#[tokio::test]
async fn an_ended_channel_stays_ended_after_a_restart_and_begins_again_with_a_commit() {
    let folder = Folder::new();
    {
        let store = folder.open();
        store.commit(AT, record(1, 1)).await.unwrap();
        store.end(AT).await.unwrap();
    }
    {
        let store = folder.open();
        assert_eq!(loaded(&store).await, []);
        assert_eq!(store.recall(AT, 64).await.unwrap().unwrap().signers, [record(1, 1)]);
        store.commit(AT, record(2, 2)).await.unwrap();
    }
    assert_eq!(loaded(&folder.open()).await[0].signers, [record(2, 2)]);
}

#[tokio::test]
async fn what_is_stored_is_read_with_the_window_that_is_asked_for() {
    let folder = Folder::new();
    let store = folder.open();
    let mut replay = ReplayWindow::new(64, Seq::ZERO);
    (1..=9).for_each(|seq| replay.accept(Seq::new(seq)));
    store.commit(AT, SignerRecord { replay: replay.clone(), ..record(1, 1) }).await.unwrap();
    let expected = replay.with_capacity(3);
    let stored = store.load(&identity(), 3).await.unwrap();
    assert_eq!(stored[0].signers[0].replay, expected);
    assert_eq!(store.recall(AT, 3).await.unwrap().unwrap().signers[0].replay, expected);
}

#[tokio::test]
async fn a_statement_for_a_channel_that_was_not_stopped_is_refused() {
    let folder = Folder::new();
    let store = folder.open();
    let statement = SignedCloseStatement {
        channel: AT.channel.into(),
        opened_slot: AT.opened_slot,
        owed_total: Amount::ZERO,
        sig: [5; 64].into(),
    };
    let error = store.keep_statement(statement).await.unwrap_err().to_string();
    assert!(error.contains("0 rows"), "{error}");
    assert_eq!(loaded(&store).await, []);
}

#[tokio::test]
async fn a_store_is_bound_to_the_first_service_that_loads_it() {
    let folder = Folder::new();
    assert_eq!(loaded(&folder.open()).await, []);
    for other in [
        StoreIdentity { recipient: [6; 32], ..identity() },
        StoreIdentity { program_id: [6; 32], ..identity() },
        StoreIdentity { network: "solana:devnet".to_owned(), ..identity() },
    ] {
        let error = folder.open().load(&other, 64).await.unwrap_err().to_string();
        assert!(error.contains("use another file"), "{error}");
    }
}
