use std::sync::atomic::{AtomicBool, Ordering};

use crate::chain::{Chain, TransactionFormat};

/// The largest format of a transaction that the cluster took when it was last asked.
#[derive(Debug, Default)]
pub(crate) struct TakenFormat {
    is_v1: AtomicBool,
}

impl TakenFormat {
    /// Asks the chain.
    pub(crate) async fn look(&self, chain: &dyn Chain) {
        let format = chain.transaction_format().await;
        self.is_v1.store(format == TransactionFormat::V1, Ordering::Relaxed);
    }

    pub(crate) fn largest(&self) -> TransactionFormat {
        if self.is_v1.load(Ordering::Relaxed) { TransactionFormat::V1 } else { TransactionFormat::V0 }
    }
}
