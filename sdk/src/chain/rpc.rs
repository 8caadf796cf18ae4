use async_trait::async_trait;
use solana_address::Address;
use solana_commitment_config::CommitmentConfig;
use solana_hash::Hash;
use solana_rpc_client::nonblocking::rpc_client::RpcClient;
use solana_rpc_client_api::client_error::{Error, ErrorKind};
use solana_rpc_client_api::request::{RpcError, RpcResponseErrorData};
use solana_transaction::versioned::VersionedTransaction;

use super::{AccountSnapshot, Chain, ChainClock, ChainError, Confirmation};

const CLOCK_SYSVAR: Address = Address::from_str_const("SysvarC1ock11111111111111111111111111111111");

/// A cluster over JSON-RPC.
pub struct RpcChain {
    client: RpcClient,
}

impl RpcChain {
    /// Talks to the node at `url`. Reads and confirmations are at `confirmed`: a supermajority has
    /// voted, so a channel that was seen open can be served.
    pub fn new(url: impl Into<String>) -> Self {
        Self { client: RpcClient::new_with_commitment(url.into(), CommitmentConfig::confirmed()) }
    }
}

#[async_trait]
impl Chain for RpcChain {
    async fn account(&self, address: &Address) -> Result<Option<AccountSnapshot>, ChainError> {
        let response = self.client.get_account_with_commitment(address, CommitmentConfig::confirmed()).await;
        let account = response.map_err(unreachable)?.value;
        Ok(account.map(|account| AccountSnapshot {
            owner: account.owner,
            lamports: account.lamports,
            data: account.data,
        }))
    }

    async fn clock(&self) -> Result<ChainClock, ChainError> {
        // slot, epoch start, epoch, leader schedule epoch, unix timestamp: 8 bytes each
        let account = self.account(&CLOCK_SYSVAR).await?;
        let data = account.map(|account| account.data).unwrap_or_default();
        let word = |at: usize| data.get(at..)?.first_chunk::<8>().copied();
        match (word(0), word(32)) {
            (Some(slot), Some(time)) => {
                Ok(ChainClock { slot: u64::from_le_bytes(slot), unix_timestamp: i64::from_le_bytes(time) })
            }
            _ => Err(ChainError::Unreachable("the clock sysvar is missing".to_owned())),
        }
    }

    async fn latest_blockhash(&self) -> Result<Hash, ChainError> {
        self.client.get_latest_blockhash().await.map_err(unreachable)
    }

    async fn send(&self, transaction: &VersionedTransaction) -> Result<Confirmation, ChainError> {
        let signature = transaction.signatures.first().copied().unwrap_or_default();
        self.client
            .send_and_confirm_transaction(transaction)
            .await
            .map_err(|error| failure(error, signature))?;
        // it is confirmed: no lookup that fails from here on makes it a failure
        let statuses = self.client.get_signature_statuses(&[signature]).await.ok();
        let status = statuses.and_then(|found| found.value.into_iter().next().flatten());
        let cost = self.cost(&signature).await;
        Ok(Confirmation::seen(signature, status.map(|status| status.slot), cost))
    }
}

impl RpcChain {
    /// Compute units and fee of a confirmed transaction. Nodes without history don't know: `None`.
    async fn cost(&self, signature: &solana_signature::Signature) -> Option<(Option<u64>, Option<u64>)> {
        let config = solana_rpc_client_api::config::RpcTransactionConfig {
            encoding: Some(solana_transaction_status_client_types::UiTransactionEncoding::Base64),
            commitment: Some(CommitmentConfig::confirmed()),
            max_supported_transaction_version: Some(0),
        };
        let found = self.client.get_transaction_with_config(signature, config).await.ok()?;
        let meta = found.transaction.meta?;
        Some((Option::from(meta.compute_units_consumed), Some(meta.fee)))
    }
}

fn unreachable(error: Error) -> ChainError {
    ChainError::Unreachable(error.to_string())
}

/// A failed send: refused by simulation or by the runtime, or not known.
fn failure(error: Error, signature: solana_signature::Signature) -> ChainError {
    if let ErrorKind::RpcError(RpcError::RpcResponseError {
        data: RpcResponseErrorData::SendTransactionPreflightFailure(simulation),
        ..
    }) = error.kind()
        && let Some(cause) = simulation.err.clone()
    {
        return ChainError::from_transaction(cause.into(), simulation.logs.clone().unwrap_or_default());
    }
    match error.get_transaction_error() {
        Some(cause) => ChainError::from_transaction(cause, Vec::new()),
        None => ChainError::Unconfirmed { signature, reason: error.to_string() },
    }
}
