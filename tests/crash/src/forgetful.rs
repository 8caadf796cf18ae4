//! A store that says "durable" before it is: the trial must find it out.

use std::sync::Arc;
use std::time::Duration;

use amp_protocol::json::SignedCloseStatement;
use amp_protocol::money::Amount;
use amp_sdk::server::{
    AnswerId, Incarnation, KeptAnswer, SignerRecord, SqliteStore, Store, StoreError, StoreIdentity,
    StoredChannel,
};
use async_trait::async_trait;

/// How long a commit is only in memory.
const LATE: Duration = Duration::from_millis(30);

pub(crate) struct ForgetfulStore(pub(crate) Arc<SqliteStore>);

#[async_trait]
impl Store for ForgetfulStore {
    async fn load(&self, identity: &StoreIdentity, window: u32) -> Result<Vec<StoredChannel>, StoreError> {
        self.0.load(identity, window).await
    }

    async fn recall(&self, of: Incarnation, window: u32) -> Result<Option<StoredChannel>, StoreError> {
        self.0.recall(of, window).await
    }

    async fn commit(
        &self,
        of: Incarnation,
        record: SignerRecord,
        answer: Option<KeptAnswer>,
    ) -> Result<(), StoreError> {
        let store = self.0.clone();
        tokio::spawn(async move {
            tokio::time::sleep(LATE).await;
            store.commit(of, record, answer).await
        });
        Ok(())
    }

    async fn answer(&self, of: Incarnation, id: &AnswerId) -> Result<Option<KeptAnswer>, StoreError> {
        self.0.answer(of, id).await
    }

    async fn forget_answers(&self, before: i64) -> Result<(), StoreError> {
        self.0.forget_answers(before).await
    }

    async fn stop(&self, of: Incarnation, at: i64) -> Result<(), StoreError> {
        self.0.stop(of, at).await
    }

    async fn keep_statement(&self, statement: SignedCloseStatement) -> Result<(), StoreError> {
        self.0.keep_statement(statement).await
    }

    async fn book_claimed(&self, of: Incarnation, claimed: Amount) -> Result<(), StoreError> {
        self.0.book_claimed(of, claimed).await
    }

    async fn end(&self, of: Incarnation) -> Result<(), StoreError> {
        self.0.end(of).await
    }
}
