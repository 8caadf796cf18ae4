use std::time::Duration;

use amp_protocol::account::{ChannelAccount, DelegationAccount, delegation_offset, offset};
use async_trait::async_trait;
use solana_address::Address;
use solana_commitment_config::CommitmentConfig;
use solana_hash::Hash;
use solana_rpc_client::nonblocking::rpc_client::RpcClient;
use solana_rpc_client_api::client_error::{Error, ErrorKind};
use solana_rpc_client_api::config::{RpcAccountInfoConfig, RpcProgramAccountsConfig, RpcTransactionConfig};
use solana_rpc_client_api::filter::{Memcmp, RpcFilterType};
use solana_rpc_client_api::response::UiAccountEncoding;
use solana_signature::Signature;
use solana_transaction::versioned::VersionedTransaction;
use solana_transaction_status_client_types::UiTransactionEncoding;
use tokio::time::timeout;

use super::rpc_confirmation::Confirmations;
use super::rpc_feature::FormatFeature;
use super::rpc_sending::send_until_seen;
use super::rpc_subscription::{watch, websocket_url};
use super::{
    AccountSnapshot, Chain, ChainClock, ChainError, ChannelChanges, Confirmation, MAX_ACCOUNTS_AT_ONCE,
    PastTransaction, TransactionFormat,
};

const CLOCK_SYSVAR: Address = Address::from_str_const("SysvarC1ock11111111111111111111111111111111");

/// Accounts that a node takes when it is asked for fees, at most.
const MAX_FEE_ACCOUNTS: usize = 128;
/// How long a node may take to tell what a confirmed transaction cost.
const COST_WAIT: Duration = Duration::from_secs(2);

/// A cluster over JSON-RPC.
pub struct RpcChain {
    client: RpcClient,
    websocket: Option<String>,
    confirmations: Confirmations,
    feature: FormatFeature,
}

impl RpcChain {
    /// Talks to the node at `url`. Reads and confirmations are at `confirmed`: a supermajority has
    /// voted, so a channel that was seen open can be served.
    ///
    /// Subscriptions go where Solana's tools send them: to the same host by `ws` or `wss`, and where the URL
    /// names a port to the one above. See [`Self::with_websocket`] for nodes that have them elsewhere.
    pub fn new(url: impl Into<String>) -> Self {
        let url = url.into();
        let websocket = websocket_url(&url);
        Self::at(url, websocket)
    }

    fn at(url: String, websocket: Option<String>) -> Self {
        let client = RpcClient::new_with_commitment(url, CommitmentConfig::confirmed());
        let confirmations = Confirmations::at(websocket.clone());
        Self { client, websocket, confirmations, feature: FormatFeature::default() }
    }

    /// Talks to the node at `url`, and subscribes at `websocket` (`ws://` or `wss://`).
    pub fn with_websocket(url: impl Into<String>, websocket: impl Into<String>) -> Self {
        Self::at(url.into(), Some(websocket.into()))
    }
}

impl RpcChain {
    /// The hash of the cluster's first block: which cluster it is.
    pub async fn genesis_hash(&self) -> Result<Hash, ChainError> {
        self.client.get_genesis_hash().await.map_err(unreachable)
    }

    /// A confirmed transaction, or `None` where the node does not know it (any more).
    pub async fn transaction(&self, signature: &Signature) -> Result<Option<PastTransaction>, ChainError> {
        let found = match self.client.get_transaction_with_config(signature, in_full()).await {
            Ok(found) => found,
            // a node's "null" is not what the client waits for
            Err(error) if matches!(error.kind(), ErrorKind::SerdeJson(_)) => return Ok(None),
            Err(error) => return Err(unreachable(error)),
        };
        let unreadable = || ChainError::Unreachable("a transaction in no known encoding".to_owned());
        let transaction = found.transaction.transaction.decode().ok_or_else(unreadable)?;
        let meta = found.transaction.meta;
        let error = meta.as_ref().and_then(|meta| meta.err.clone()).map(Into::into);
        let logs = meta.and_then(|meta| Option::from(meta.log_messages)).unwrap_or_default();
        Ok(Some(PastTransaction {
            slot: found.slot,
            unix_timestamp: found.block_time,
            transaction,
            error,
            logs,
        }))
    }
}

fn in_full() -> RpcTransactionConfig {
    RpcTransactionConfig {
        encoding: Some(UiTransactionEncoding::Base64),
        commitment: Some(CommitmentConfig::confirmed()),
        max_supported_transaction_version: Some(1),
    }
}

/// Length and discriminator.
const CHANNEL: (usize, [u8; 8]) = (ChannelAccount::LEN, ChannelAccount::DISCRIMINATOR);
const DELEGATION: (usize, [u8; 8]) = (DelegationAccount::LEN, DelegationAccount::DISCRIMINATOR);

/// The accounts of a kind (length and discriminator) that hold `key` at `at`, counted behind the discriminator.
fn of_kind((length, discriminator): (usize, [u8; 8]), at: usize, key: &Address) -> RpcProgramAccountsConfig {
    let matches = |at, bytes: &[u8]| RpcFilterType::Memcmp(Memcmp::new_base58_encoded(at, bytes));
    let filters = vec![
        RpcFilterType::DataSize(u64::try_from(length).unwrap_or(u64::MAX)),
        matches(0, &discriminator),
        matches(at.saturating_add(discriminator.len()), key.as_ref()),
    ];
    let account_config = RpcAccountInfoConfig {
        encoding: Some(UiAccountEncoding::Base64),
        commitment: Some(CommitmentConfig::confirmed()),
        ..RpcAccountInfoConfig::default()
    };
    RpcProgramAccountsConfig { filters: Some(filters), account_config, ..RpcProgramAccountsConfig::default() }
}

impl RpcChain {
    /// The program's accounts of a kind, as [`of_kind`] finds them.
    async fn program_accounts(
        &self,
        program_id: &Address,
        kind: (usize, [u8; 8]),
        at: usize,
        key: &Address,
    ) -> Result<Vec<(Address, AccountSnapshot)>, ChainError> {
        let config = of_kind(kind, at, key);
        let found = self.client.get_program_ui_accounts_with_config(program_id, config).await;
        let decoded = found.map_err(unreachable)?.into_iter().filter_map(|(address, account)| {
            let account = account.to_account()?;
            let (owner, lamports) = (account.owner, account.lamports);
            Some((address, AccountSnapshot { owner, lamports, data: account.data }))
        });
        Ok(decoded.collect())
    }
}

#[async_trait]
impl Chain for RpcChain {
    async fn account(&self, address: &Address) -> Result<Option<AccountSnapshot>, ChainError> {
        self.account_at(address).await.map(|(account, _)| account)
    }

    async fn account_at(
        &self,
        address: &Address,
    ) -> Result<(Option<AccountSnapshot>, Option<u64>), ChainError> {
        let response = self.client.get_account_with_commitment(address, CommitmentConfig::confirmed()).await;
        let response = response.map_err(unreachable)?;
        let account = response.value.map(|account| AccountSnapshot {
            owner: account.owner,
            lamports: account.lamports,
            data: account.data,
        });
        Ok((account, Some(response.context.slot)))
    }

    async fn watch_channels(
        &self,
        program_id: &Address,
        recipient: &Address,
    ) -> Result<Option<ChannelChanges>, ChainError> {
        let Some(websocket) = self.websocket.clone() else { return Ok(None) };
        let config = of_kind(CHANNEL, offset::RECIPIENT, recipient);
        watch(websocket, *program_id, config).await.map(Some)
    }

    async fn accounts(
        &self,
        addresses: &[Address],
    ) -> Result<(Vec<Option<AccountSnapshot>>, Option<u64>), ChainError> {
        let mut found = Vec::with_capacity(addresses.len());
        // of several answers the oldest
        let mut slot: Option<u64> = None;
        for some in addresses.chunks(MAX_ACCOUNTS_AT_ONCE) {
            let config = RpcAccountInfoConfig {
                encoding: Some(UiAccountEncoding::Base64),
                commitment: Some(CommitmentConfig::confirmed()),
                ..RpcAccountInfoConfig::default()
            };
            let answer = self.client.get_multiple_ui_accounts_with_config(some, config).await;
            let answer = answer.map_err(unreachable)?;
            slot = Some(slot.map_or(answer.context.slot, |slot| slot.min(answer.context.slot)));
            for account in answer.value {
                // one that can't be read is there all the same: taken for gone, what it owes would be lost
                let unreadable = || ChainError::Unreachable("an account in no known encoding".to_owned());
                let account =
                    account.map(|account| account.to_account().ok_or_else(unreadable)).transpose()?;
                found.push(account.map(|account| AccountSnapshot {
                    owner: account.owner,
                    lamports: account.lamports,
                    data: account.data,
                }));
            }
        }
        Ok((found, slot))
    }

    async fn delegations(
        &self,
        program_id: &Address,
        channel: &Address,
    ) -> Result<Vec<(Address, AccountSnapshot)>, ChainError> {
        self.program_accounts(program_id, DELEGATION, delegation_offset::CHANNEL, channel).await
    }

    async fn channels_funded_by(
        &self,
        program_id: &Address,
        funder: &Address,
    ) -> Result<Vec<(Address, AccountSnapshot)>, ChainError> {
        self.program_accounts(program_id, CHANNEL, offset::FUNDER, funder).await
    }

    async fn channels_paid_to(
        &self,
        program_id: &Address,
        recipient: &Address,
    ) -> Result<Vec<(Address, AccountSnapshot)>, ChainError> {
        self.program_accounts(program_id, CHANNEL, offset::RECIPIENT, recipient).await
    }

    async fn delegations_to(
        &self,
        program_id: &Address,
        delegate: &Address,
    ) -> Result<Vec<(Address, AccountSnapshot)>, ChainError> {
        self.program_accounts(program_id, DELEGATION, delegation_offset::DELEGATE, delegate).await
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

    async fn recent_priority_fees(&self, written: &[Address]) -> Result<Vec<u64>, ChainError> {
        let written = written.get(..MAX_FEE_ACCOUNTS).unwrap_or(written);
        let fees = self.client.get_recent_prioritization_fees(written).await.map_err(unreachable)?;
        Ok(fees.into_iter().map(|slot| slot.prioritization_fee).collect())
    }

    async fn transaction_format(&self) -> TransactionFormat {
        self.feature.format(&self.client).await
    }

    async fn send(&self, transaction: &VersionedTransaction) -> Result<Confirmation, ChainError> {
        let signature = transaction.signatures.first().copied().unwrap_or_default();
        let told = self.confirmations.told(signature);
        let slot = send_until_seen(&self.client, transaction, signature, told).await?;
        // it is confirmed: no lookup that fails from here on makes it a failure
        let cost = timeout(COST_WAIT, self.cost(&signature)).await.unwrap_or_default();
        Ok(Confirmation::seen(signature, Some(slot), cost))
    }
}

impl RpcChain {
    /// Compute units and fee of a confirmed transaction. Nodes without history don't know: `None`.
    async fn cost(&self, signature: &Signature) -> Option<(Option<u64>, Option<u64>)> {
        let found = self.client.get_transaction_with_config(signature, in_full()).await.ok()?;
        let meta = found.transaction.meta?;
        Some((Option::from(meta.compute_units_consumed), Some(meta.fee)))
    }
}

fn unreachable(error: Error) -> ChainError {
    ChainError::Unreachable(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use amp_protocol::json::Base58;
    use amp_protocol::money::Amount;
    use amp_protocol::rules::Delegation;
    use axum::extract::State;
    use axum::{Json, Router, routing::post};
    use serde_json::{Value, json};
    use tokio::sync::mpsc;

    const PROGRAM: [u8; 32] = [7; 32];

    fn delegation() -> DelegationAccount {
        DelegationAccount {
            bump: 255,
            channel: [1; 32],
            delegate: [2; 32],
            rent_payer: [3; 32],
            channel_opened_slot: 4,
            created_slot: 5,
            delegation: Delegation::begin(Amount::new(6), 0, 7).unwrap(),
        }
    }

    /// A node that gives this result to every request; tells what it was asked.
    async fn node(result: Value) -> (RpcChain, mpsc::Receiver<Value>) {
        let (asked, requests) = mpsc::channel(8);
        let answer = |State((asked, result)): State<(mpsc::Sender<Value>, Value)>,
                      Json(body): Json<Value>| async move {
            let answer = json!({"jsonrpc": "2.0", "id": body["id"], "result": result});
            asked.send(body).await.unwrap();
            Json(answer)
        };
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().route("/", post(answer)).with_state((asked, result));
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        (RpcChain::new(url), requests)
    }

    #[tokio::test]
    async fn delegations_are_searched_for_by_length_kind_and_channel() {
        let address = Base58([9; 32]).to_string();
        let (data, owner) = (Base58(delegation().encode()).to_string(), Base58(PROGRAM).to_string());
        let account = json!({"data": [data, "base58"], "executable": false, "lamports": 11, "owner": owner,
            "rentEpoch": 0, "space": 208});
        let (chain, mut requests) = node(json!([{"pubkey": address, "account": account}])).await;
        let found = chain.delegations(&PROGRAM.into(), &[1; 32].into()).await.unwrap();
        let data = delegation().encode().to_vec();
        let expected = AccountSnapshot { owner: PROGRAM.into(), lamports: 11, data };
        assert_eq!(found, [(Address::from([9; 32]), expected)]);

        let asked = requests.recv().await.unwrap();
        assert_eq!((&asked["method"], &asked["params"][0]), (&"getProgramAccounts".into(), &owner.into()));
        let options = &asked["params"][1];
        assert_eq!((&options["commitment"], &options["encoding"]), (&"confirmed".into(), &"base64".into()));
        let matches =
            |at, bytes: String| json!({"memcmp": {"offset": at, "bytes": bytes, "encoding": "base58"}});
        let kind = Base58(DelegationAccount::DISCRIMINATOR).to_string();
        let filters = json!([{"dataSize": 208}, matches(0, kind), matches(16, Base58([1; 32]).to_string())]);
        assert_eq!(options["filters"], filters);
    }

    #[tokio::test]
    async fn of_many_accounts_none_is_taken_for_its_neighbour_or_for_gone() {
        let owner = Base58(PROGRAM).to_string();
        let account = |data: Value| json!({"data": data, "executable": false, "lamports": 11, "owner": owner, "rentEpoch": 0, "space": 208});
        let context = json!({"slot": 1});
        let good = account(json!([Base58(delegation().encode()).to_string(), "base58"]));
        let two = [Address::from([1; 32]), Address::from([2; 32])];
        let read = async |accounts: Value| {
            let (chain, _requests) = node(json!({"context": context, "value": accounts})).await;
            super::super::delegations_at(&chain, &PROGRAM.into(), &two).await
        };
        let found = read(json!([null, good])).await.unwrap();
        assert!(matches!(&found[..], [Ok(None), Ok(Some(found))] if *found == delegation()), "{found:?}");
        let unreadable = account(json!([0, "base58"]));
        for accounts in [json!([good]), json!([good, good, good]), json!([good, unreadable])] {
            let failed = read(accounts).await;
            assert!(matches!(failed, Err(ChainError::Unreachable(_))), "{failed:?}");
        }
    }

    #[tokio::test]
    async fn a_node_that_answers_otherwise_is_an_error_and_not_an_empty_list() {
        let (chain, _requests) = node(json!("what?")).await;
        let failed = chain.delegations(&PROGRAM.into(), &[1; 32].into()).await;
        assert!(matches!(failed, Err(ChainError::Unreachable(_))), "{failed:?}");
    }
}
