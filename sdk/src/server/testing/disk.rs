use std::sync::{Arc, Mutex};

use amp_protocol::money::Amount;
use async_trait::async_trait;

use crate::server::ledger::SignerRecord;
use crate::server::store::{
    AnswerId, Incarnation, KeptAnswer, SqliteStore, Store, StoreError, StoreIdentity, StoredChannel,
};
use crate::server::views::lock;

/// What happens to the writes of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disk {
    Works,
    /// This many writes more, then it is full.
    FullAfter(usize),
    /// So many writes fail, then it works again.
    FailsFirst(usize),
    /// Writes wait.
    Hangs,
    /// It can be written, and not read.
    Unreadable,
}

/// A store whose writes can be made to fail.
pub(crate) struct BreakableStore {
    pub(super) inner: SqliteStore,
    pub(super) disk: Arc<Mutex<Disk>>,
}

impl BreakableStore {
    async fn check(&self) -> Result<(), StoreError> {
        while *lock(&self.disk) == Disk::Hangs {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        match &mut *lock(&self.disk) {
            Disk::FullAfter(0) => Err(StoreError("disk full".into())),
            Disk::FullAfter(left) => {
                *left -= 1;
                Ok(())
            }
            Disk::FailsFirst(left @ 1..) => {
                *left -= 1;
                Err(StoreError("disk busy".into()))
            }
            Disk::FailsFirst(0) | Disk::Works | Disk::Hangs | Disk::Unreadable => Ok(()),
        }
    }
}

#[async_trait]
impl Store for BreakableStore {
    async fn load(
        &self,
        identity: &StoreIdentity,
        seq_window: u32,
    ) -> Result<Vec<StoredChannel>, StoreError> {
        self.inner.load(identity, seq_window).await
    }

    async fn recall(
        &self,
        incarnation: Incarnation,
        seq_window: u32,
    ) -> Result<Option<StoredChannel>, StoreError> {
        if *lock(&self.disk) == Disk::Unreadable {
            return Err(StoreError("bad sector".into()));
        }
        self.inner.recall(incarnation, seq_window).await
    }

    async fn commit(
        &self,
        incarnation: Incarnation,
        record: SignerRecord,
        answer: Option<KeptAnswer>,
    ) -> Result<(), StoreError> {
        self.check().await?;
        self.inner.commit(incarnation, record, answer).await
    }

    async fn answer(
        &self,
        incarnation: Incarnation,
        id: &AnswerId,
    ) -> Result<Option<KeptAnswer>, StoreError> {
        self.inner.answer(incarnation, id).await
    }

    async fn forget_answers(&self, before: i64) -> Result<(), StoreError> {
        self.inner.forget_answers(before).await
    }

    async fn stop(&self, incarnation: Incarnation, at: i64) -> Result<(), StoreError> {
        self.check().await?;
        self.inner.stop(incarnation, at).await
    }

    async fn keep_statement(
        &self,
        statement: amp_protocol::json::SignedCloseStatement,
    ) -> Result<(), StoreError> {
        self.check().await?;
        self.inner.keep_statement(statement).await
    }

    async fn book_claimed(&self, incarnation: Incarnation, claimed: Amount) -> Result<(), StoreError> {
        self.check().await?;
        self.inner.book_claimed(incarnation, claimed).await
    }

    async fn end(&self, incarnation: Incarnation) -> Result<(), StoreError> {
        self.check().await?;
        self.inner.end(incarnation).await
    }
}
