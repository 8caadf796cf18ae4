//! A chain that answers reads from memory and takes no transaction: nothing is settled while it is measured.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use amp_protocol::message::Key;
use amp_sdk::chain::{
    AccountSnapshot, Chain, ChainClock, ChainError, Confirmation, PROGRAM_ID, TOKEN_PROGRAM,
};
use async_trait::async_trait;
use solana_address::Address;
use solana_hash::Hash;
use solana_keypair::Signer as _;
use solana_transaction::versioned::VersionedTransaction;

use crate::town;

/// Channels that were opened when it was made.
pub(crate) struct MemoryChain {
    recipient: Key,
    /// Who signs for each channel, by number.
    keys: Vec<Key>,
    opened_at: i64,
}

impl MemoryChain {
    /// A chain with so many channels on it.
    pub(crate) fn with(channels: usize) -> Arc<Self> {
        let (recipient, keys) = (town::recipient().pubkey().to_bytes(), town::keys(channels));
        Arc::new(Self { recipient, keys, opened_at: now() })
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[async_trait]
impl Chain for MemoryChain {
    async fn account(&self, address: &Address) -> Result<Option<AccountSnapshot>, ChainError> {
        let address = address.to_bytes();
        if address == town::MINT {
            return Ok(Some(AccountSnapshot { owner: TOKEN_PROGRAM, lamports: 1, data: vec![0; 82] }));
        }
        let Some(key) = town::number(&address).and_then(|number| self.keys.get(number)) else {
            return Ok(None);
        };
        let data = town::account(*key, self.recipient, self.opened_at).encode().to_vec();
        Ok(Some(AccountSnapshot { owner: PROGRAM_ID, lamports: 1, data }))
    }

    async fn delegations(
        &self,
        _program_id: &Address,
        _channel: &Address,
    ) -> Result<Vec<(Address, AccountSnapshot)>, ChainError> {
        Ok(Vec::new())
    }

    async fn clock(&self) -> Result<ChainClock, ChainError> {
        Ok(ChainClock { slot: town::OPENED_SLOT + 1, unix_timestamp: now() })
    }

    async fn latest_blockhash(&self) -> Result<Hash, ChainError> {
        Ok(Hash::default())
    }

    async fn send(&self, _transaction: &VersionedTransaction) -> Result<Confirmation, ChainError> {
        Err(ChainError::Unreachable("nothing is settled here".to_owned()))
    }
}
