//! The chain as both sides see it: a few reads and one write, behind a trait.
//!
//! [`RpcChain`] (feature `rpc`) talks to a cluster; `amp-embedded` runs the real bytecode in process.

mod address;
mod budget;
mod fees;
mod format;
pub mod instructions;
mod read;
#[cfg(feature = "rpc")]
mod rpc;
#[cfg(feature = "rpc")]
mod rpc_confirmation;
#[cfg(feature = "rpc")]
mod rpc_feature;
#[cfg(feature = "rpc")]
mod rpc_sending;
#[cfg(feature = "rpc")]
mod rpc_subscription;
mod settle_by_hand;
mod subscription;
mod transaction;

use std::time::Duration;

use async_trait::async_trait;
use solana_address::Address;
use solana_hash::Hash;
use solana_signature::Signature;
use solana_transaction::versioned::VersionedTransaction;
use solana_transaction_error::TransactionError;

use amp_protocol::account::AccountError;
use amp_protocol::rejection::Rejection;

use crate::signer::SignerError;

pub use address::{
    ChannelAddress, PROGRAM_ID, TOKEN_2022_PROGRAM, TOKEN_PROGRAM, associated_token_address,
    create_token_account, delegation_address, program_id,
};
pub use budget::{ComputeBudget, PriorityFee};
pub use fees::{FeePolicy, Fees};
pub use format::{MAX_TRANSACTION_BYTES, MAX_V1_TRANSACTION_BYTES, TransactionFormat};
pub use read::{
    MintInfo, channel, channels, channels_funded_by, channels_paid_to, delegation, delegations,
    delegations_at, delegations_to, has_token_account, mint, token_amount,
};
#[cfg(feature = "server")]
pub(crate) use read::{as_channel, channel_at};
#[cfg(feature = "rpc")]
pub use rpc::RpcChain;
pub use settle_by_hand::{Settleable, SignedBy, UnsettleableError, signer_of};
pub use subscription::{ChannelChange, ChannelChanges};
pub use transaction::Plan;

/// How long a transaction that was sent may still land: a blockhash lives for 150 slots, about a minute.
pub(crate) const TRANSACTION_LIFE: Duration = Duration::from_secs(180);

/// Accounts that a node gives at once, at most.
pub const MAX_ACCOUNTS_AT_ONCE: usize = 100;

/// An account as it was at some slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountSnapshot {
    /// The program that owns it.
    pub owner: Address,
    /// Lamports held.
    pub lamports: u64,
    /// Its data.
    pub data: Vec<u8>,
}

/// The cluster's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainClock {
    /// The slot.
    pub slot: u64,
    /// Unix seconds, as programs see them.
    pub unix_timestamp: i64,
}

/// A transaction that the cluster confirmed: success, not broadcast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confirmation {
    /// Its first signature.
    pub signature: Signature,
    /// The slot it landed in; 0 where the chain does not tell.
    pub slot: u64,
    /// Compute units it used, where the chain tells.
    pub compute_units: Option<u64>,
    /// Lamports of fees, where the chain tells.
    pub fee: Option<u64>,
}

/// A transaction that is in a block.
#[derive(Clone, Debug, PartialEq)]
pub struct PastTransaction {
    /// The slot of the block.
    pub slot: u64,
    /// Unix seconds, where the node tells.
    pub unix_timestamp: Option<i64>,
    /// The transaction.
    pub transaction: VersionedTransaction,
    /// Why it failed, if it did.
    pub error: Option<TransactionError>,
    /// Its log lines, where the node tells.
    pub logs: Vec<String>,
}

#[cfg(any(test, feature = "rpc"))]
impl Confirmation {
    /// A transaction that was seen confirmed, with what lookups after that brought. It landed all the
    /// same where they failed: then the slot is 0 and the cost is not known.
    fn seen(signature: Signature, slot: Option<u64>, cost: Option<(Option<u64>, Option<u64>)>) -> Self {
        let (compute_units, fee) = cost.unwrap_or_default();
        Self { signature, slot: slot.unwrap_or_default(), compute_units, fee }
    }
}

/// Access to a cluster.
#[async_trait]
pub trait Chain: Send + Sync + 'static {
    /// An account, or `None` where there is none.
    async fn account(&self, address: &Address) -> Result<Option<AccountSnapshot>, ChainError>;

    /// Many accounts, in the order of their addresses, and the slot that all of them are of, where the chain
    /// tells. Asked for one by one, unless the chain can do better.
    async fn accounts(
        &self,
        addresses: &[Address],
    ) -> Result<(Vec<Option<AccountSnapshot>>, Option<u64>), ChainError> {
        let mut found = Vec::with_capacity(addresses.len());
        for address in addresses {
            found.push(self.account(address).await?);
        }
        Ok((found, None))
    }

    /// An account, and the slot that this is of; `None` where the chain does not tell. Of two looks the one of
    /// the higher slot is the newer one: a service needs it to order what it reads and what it is
    /// [told](Self::watch_channels).
    async fn account_at(
        &self,
        address: &Address,
    ) -> Result<(Option<AccountSnapshot>, Option<u64>), ChainError> {
        Ok((self.account(address).await?, None))
    }

    /// Tells of the changes of a recipient's channels from now on; `None`: this chain offers no such thing.
    ///
    /// Services learn of closes by it at once. They look at their channels now and then all the same, and when a
    /// subscription begins: one can end, or leave something out, without a word.
    async fn watch_channels(
        &self,
        _program_id: &Address,
        _recipient: &Address,
    ) -> Result<Option<ChannelChanges>, ChainError> {
        Ok(None)
    }

    /// The delegations of a channel, of all its incarnations: the program's accounts of a delegation's
    /// length that name the channel. A node needs an index of program accounts to answer.
    ///
    /// Services need it, to learn whose signatures a channel honours. On a chain that does not offer
    /// it they serve no delegates.
    async fn delegations(
        &self,
        _program_id: &Address,
        _channel: &Address,
    ) -> Result<Vec<(Address, AccountSnapshot)>, ChainError> {
        Err(ChainError::Unreachable("this chain does not search for delegations".to_owned()))
    }

    /// The channels of a funder, chained ones too. A node needs an index of program accounts to answer.
    async fn channels_funded_by(
        &self,
        _program_id: &Address,
        _funder: &Address,
    ) -> Result<Vec<(Address, AccountSnapshot)>, ChainError> {
        Err(ChainError::Unreachable("this chain does not search for channels".to_owned()))
    }

    /// The channels that pay a recipient. A node needs an index of program accounts to answer.
    async fn channels_paid_to(
        &self,
        _program_id: &Address,
        _recipient: &Address,
    ) -> Result<Vec<(Address, AccountSnapshot)>, ChainError> {
        Err(ChainError::Unreachable("this chain does not search for channels".to_owned()))
    }

    /// The delegations to a key, on whatever channels. A node needs an index of program accounts to answer.
    async fn delegations_to(
        &self,
        _program_id: &Address,
        _delegate: &Address,
    ) -> Result<Vec<(Address, AccountSnapshot)>, ChainError> {
        Err(ChainError::Unreachable("this chain does not search for delegations".to_owned()))
    }

    /// The cluster's clock.
    async fn clock(&self) -> Result<ChainClock, ChainError>;

    /// A blockhash for a new transaction.
    async fn latest_blockhash(&self) -> Result<Hash, ChainError>;

    /// The largest format of a transaction that the cluster takes. Where the chain does not tell it is
    /// [`TransactionFormat::V0`], which all take.
    async fn transaction_format(&self) -> TransactionFormat {
        TransactionFormat::V0
    }

    /// What transactions paid lately, in micro-lamports per compute unit, to write all these accounts: one
    /// figure a slot. Nothing where the chain does not tell.
    async fn recent_priority_fees(&self, _written: &[Address]) -> Result<Vec<u64>, ChainError> {
        Ok(Vec::new())
    }

    /// Sends a transaction and waits until it is confirmed. An error means that it failed, or that
    /// [`ChainError::Unconfirmed`] nobody knows, or that it was not seen and [`ChainError::Expired`]: look at
    /// the accounts before doing it again.
    async fn send(&self, transaction: &VersionedTransaction) -> Result<Confirmation, ChainError>;
}

/// Why something on chain did not work.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// The cluster did not answer.
    #[error("the cluster did not answer: {0}; check the RPC address and try again")]
    Unreachable(String),
    /// The AMP program refused.
    #[error("the AMP program refused: {0}")]
    Rejected(Rejection),
    /// The transaction failed for another reason.
    #[error("the transaction failed: {error}{}", last_logs(.logs))]
    Failed {
        /// The runtime's error.
        error: TransactionError,
        /// The program's log lines, where the chain tells.
        logs: Vec<String>,
    },
    /// It was sent, and whether it landed is not known.
    #[error(
        "transaction {signature} was sent but not seen confirmed: {reason}; look it up before sending again"
    )]
    Unconfirmed {
        /// Its first signature.
        signature: Signature,
        /// What is known.
        reason: String,
    },
    /// It was sent, and its blockhash expired before it was seen. As far as the node knows it can't land any
    /// more, and did not.
    #[error(
        "transaction {signature} was sent, but its blockhash expired before it was seen confirmed; send it \
         again where it can't be done twice, else look for what it does first"
    )]
    Expired {
        /// Its first signature.
        signature: Signature,
    },
    /// The account is not what it was taken for.
    #[error("account {address}: {error}")]
    Account {
        /// The account.
        address: Address,
        /// What is wrong with it.
        error: AccountError,
    },
    /// The account belongs to another program.
    #[error("account {address} belongs to program {owner}, not to {expected}")]
    Owner {
        /// The account.
        address: Address,
        /// Its owner.
        owner: Address,
        /// Who should own it.
        expected: String,
    },
    /// There is no such mint.
    #[error("there is no mint {0} on this cluster; check the network")]
    NoMint(Address),
    /// The transaction is larger than its format may be.
    #[error("the transaction has {size} bytes, the cluster takes {most}; put fewer instructions in it")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
        /// Most bytes of its format.
        most: usize,
    },
    /// The transaction's message can't be made.
    #[error("the transaction can't be compiled: {0}")]
    Compile(String),
    /// A required signer is not among those given.
    #[error("the transaction needs a signature of {0}, which no given signer holds")]
    MissingSigner(Address),
    /// A signer failed.
    #[error(transparent)]
    Signer(#[from] SignerError),
}

impl ChainError {
    /// The failure of a transaction: the program's own rejection where it is one.
    pub fn from_transaction(error: TransactionError, logs: Vec<String>) -> Self {
        if let TransactionError::InstructionError(
            _,
            solana_instruction::error::InstructionError::Custom(number),
        ) = error
            && let Some(rejection) = Rejection::from_error_number(number)
        {
            return Self::Rejected(rejection);
        }
        Self::Failed { error, logs }
    }

    /// Whether the transaction's blockhash was too old for it to land.
    pub fn is_expired(&self) -> bool {
        matches!(self, Self::Expired { .. } | Self::Failed { error: TransactionError::BlockhashNotFound, .. })
    }

    /// The program's rejection, if it is one.
    pub fn rejection(&self) -> Option<Rejection> {
        match self {
            Self::Rejected(rejection) => Some(*rejection),
            _ => None,
        }
    }
}

fn last_logs(logs: &[String]) -> String {
    const SHOWN: usize = 4;
    let last = logs.iter().rev().take(SHOWN).rev().map(|line| format!("\n  {line}"));
    last.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_confirmed_transaction_of_which_nothing_more_is_known_is_a_success() {
        let signature = Signature::from([7; 64]);
        let unknown = Confirmation { signature, slot: 0, compute_units: None, fee: None };
        assert_eq!(Confirmation::seen(signature, None, None), unknown);
        let known = Confirmation { signature, slot: 3, compute_units: Some(4), fee: Some(5) };
        assert_eq!(Confirmation::seen(signature, Some(3), Some((Some(4), Some(5)))), known);
    }
}
