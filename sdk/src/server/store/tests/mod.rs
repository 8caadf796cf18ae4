//! The contract of a store, held against each there is; and what a shared one promises beyond that.

mod contract;
#[cfg(feature = "postgres")]
mod sharing;

use std::sync::Arc;

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

fn statement() -> SignedCloseStatement {
    SignedCloseStatement {
        channel: AT.channel.into(),
        opened_slot: AT.opened_slot,
        owed_total: Amount::MAX,
        sig: [5; 64].into(),
    }
}

fn answer(kept_at: i64) -> KeptAnswer {
    let id = AnswerId { signer: [3; 32], epoch: u64::MAX - 1, key: AnswerKey::of(b"name") };
    KeptAnswer { id, question: [6; 32], answer: vec![0, 255, 1], kept_at, seq: Seq::MAX }
}

/// Where a store is, so that it can be opened again as after a restart.
enum Place {
    Folder(tempfile::TempDir),
    #[cfg(feature = "postgres")]
    Schema(String),
}

impl Place {
    /// One of each kind that there is here.
    fn all() -> Vec<Self> {
        let mut all = vec![Self::Folder(tempfile::tempdir().unwrap())];
        #[cfg(feature = "postgres")]
        if amp_test_postgres::TestPostgres::shared().is_some() {
            all.push(Self::Schema(amp_test_postgres::TestPostgres::schema()));
        }
        all
    }

    async fn open(&self) -> Arc<dyn Store> {
        match self {
            Self::Folder(folder) => {
                let path = folder.path().join("service.db");
                for _ in 0..100 {
                    if let Ok(store) = SqliteStore::open(&path) {
                        return Arc::new(store);
                    }
                    // the one before it ends with its last commit, on its own thread
                    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                }
                panic!("the store is still open");
            }
            #[cfg(feature = "postgres")]
            Self::Schema(schema) => {
                let server = amp_test_postgres::TestPostgres::shared().unwrap();
                Arc::new(PostgresStore::connect(&server.address(), schema).await.unwrap())
            }
        }
    }
}

async fn loaded(store: &dyn Store) -> Vec<StoredChannel> {
    store.load(&identity(), 64).await.unwrap()
}
