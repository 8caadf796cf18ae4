use core::fmt;

use serde::{Deserialize, Serialize};

use super::base58::Base58;
use super::decimal;
use crate::message::{CloseStatement, Key, MeteringProof};
use crate::money::{Amount, Seq};

/// `_amp`, `_meta.amp`, and the body form of the three AMP headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialBody {
    /// The channel.
    pub channel: Base58<32>,
    /// The seq.
    pub seq: Seq,
    /// The signature over the credential's 52 bytes.
    pub sig: Base58<64>,
}

/// What a call was charged, on transports without headers: `_amp` and `_meta.amp` of an MCP result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptBody {
    /// Deposited - spent, all signers; for a delegate at most what its limit leaves.
    pub balance: Amount,
    /// Charged to this signer so far.
    pub spent: Amount,
    /// The highest seq accepted from this signer.
    pub seq: Seq,
    /// Charged for this call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Amount>,
}

/// A close statement with the recipient's signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedCloseStatement {
    /// The channel.
    pub channel: Base58<32>,
    /// The slot of its opening.
    #[serde(alias = "openedSlot", with = "decimal::bare")]
    pub opened_slot: u64,
    /// Owed in all, what was claimed included.
    #[serde(alias = "owedTotal")]
    pub owed_total: Amount,
    /// The recipient's signature over the statement's 52 bytes.
    pub sig: Base58<64>,
}

impl SignedCloseStatement {
    /// The statement, without its signature.
    pub fn statement(&self) -> CloseStatement {
        CloseStatement { channel: self.channel.0, opened_slot: self.opened_slot, owed_total: self.owed_total }
    }

    /// A statement and its signature.
    pub fn new(statement: &CloseStatement, signature: [u8; 64]) -> Self {
        Self {
            channel: Base58(statement.channel),
            opened_slot: statement.opened_slot,
            owed_total: statement.owed_total,
            sig: Base58(signature),
        }
    }
}

/// A metering proof with the recipient's signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedMeteringProof {
    /// The channel.
    pub channel: Base58<32>,
    /// The signer's epoch.
    #[serde(with = "decimal::bare")]
    pub epoch: u64,
    /// Whose use was metered.
    pub signer: Base58<32>,
    /// Charged to the signer so far.
    pub owed: Amount,
    /// Charged calls so far.
    #[serde(with = "decimal::bare")]
    pub calls: u64,
    /// Unix seconds of the first charged call.
    #[serde(alias = "periodStart")]
    pub period_start: i64,
    /// Unix seconds of the last charged call.
    #[serde(alias = "periodEnd")]
    pub period_end: i64,
    /// The first accepted seq.
    #[serde(alias = "seqStart")]
    pub seq_start: Seq,
    /// The highest accepted seq.
    #[serde(alias = "seqEnd")]
    pub seq_end: Seq,
    /// The recipient's signature over the proof's 124 bytes.
    pub sig: Base58<64>,
}

impl SignedMeteringProof {
    /// The proof, without its signature.
    pub fn proof(&self) -> MeteringProof {
        MeteringProof {
            channel: self.channel.0,
            epoch: self.epoch,
            signer: self.signer.0,
            owed: self.owed,
            calls: self.calls,
            period_start: self.period_start,
            period_end: self.period_end,
            seq_start: self.seq_start,
            seq_end: self.seq_end,
        }
    }

    /// A proof and its signature.
    pub fn new(proof: &MeteringProof, signature: [u8; 64]) -> Self {
        Self {
            channel: Base58(proof.channel),
            epoch: proof.epoch,
            signer: Base58(proof.signer),
            owed: proof.owed,
            calls: proof.calls,
            period_start: proof.period_start,
            period_end: proof.period_end,
            seq_start: proof.seq_start,
            seq_end: proof.seq_end,
            sig: Base58(signature),
        }
    }
}

/// `GET /.well-known/amp/channel`: all that a client which lost its state needs to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelStatus {
    /// The channel.
    pub channel: Base58<32>,
    /// Charged to this signer so far.
    pub spent: Amount,
    /// Deposited - spent, all signers; for a delegate at most what its limit leaves, and nothing once its
    /// delegation has ended.
    pub balance: Amount,
    /// The highest seq accepted from this signer; 0: none.
    #[serde(alias = "lastSeq")]
    pub last_seq: Seq,
    /// This signer's own signature of `last_seq`: the evidence that it did sign so far. None where the
    /// service knows of it from what the chain has paid alone.
    #[serde(default, alias = "lastSig", skip_serializing_if = "Option::is_none")]
    pub last_sig: Option<Base58<64>>,
    /// What the stream waits for that was begun with the seq which this was asked with; asked with 0, the highest that
    /// any stream of this signer waits for. Of streams that are served by the process which answers.
    #[serde(default, alias = "requiredSeq", skip_serializing_if = "Option::is_none")]
    pub required_seq: Option<Seq>,
    /// The latest receipt, once there is a charged call.
    #[serde(default, alias = "meteringProof", skip_serializing_if = "Option::is_none")]
    pub metering_proof: Option<SignedMeteringProof>,
}

/// `POST /.well-known/amp/close`: service has stopped for good; this closes the channel at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloseResponse {
    /// The statement for the funder's `close_channel`.
    #[serde(alias = "closeStatement")]
    pub close_statement: SignedCloseStatement,
    /// The highest credential of each delegate that was charged: what they signed, only they and the
    /// service know, and the funder believes no more of the statement than it is shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delegates: Vec<DelegateCredential>,
}

/// A delegate's credential, shown to the funder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DelegateCredential {
    /// The delegate.
    pub delegate: Base58<32>,
    /// The slot its delegation was created in.
    #[serde(with = "decimal::bare", alias = "createdSlot")]
    pub created_slot: u64,
    /// The highest seq.
    pub seq: Seq,
    /// The delegate's signature over the credential's 52 bytes.
    pub sig: Base58<64>,
}

/// A statement or proof that is not for the channel, incarnation or signer it should be for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatementError {
    /// For another channel.
    Channel,
    /// For another incarnation of the channel.
    Epoch,
    /// For another signer.
    Signer,
}

impl fmt::Display for StatementError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Channel => "it is for another channel",
            Self::Epoch => "it is for another incarnation of the channel",
            Self::Signer => "it is for another signer",
        })
    }
}

impl core::error::Error for StatementError {}

impl SignedCloseStatement {
    /// Whether it is for this channel in this incarnation. The signature is checked apart.
    pub fn check(&self, channel: &Key, opened_slot: u64) -> Result<(), StatementError> {
        if self.channel.0 != *channel {
            return Err(StatementError::Channel);
        }
        if self.opened_slot != opened_slot { Err(StatementError::Epoch) } else { Ok(()) }
    }
}

impl SignedMeteringProof {
    /// Whether it is for this channel, incarnation and signer. The signature is checked apart.
    pub fn check(&self, channel: &Key, epoch: u64, signer: &Key) -> Result<(), StatementError> {
        if self.channel.0 != *channel {
            return Err(StatementError::Channel);
        }
        if self.epoch != epoch {
            return Err(StatementError::Epoch);
        }
        if self.signer.0 != *signer { Err(StatementError::Signer) } else { Ok(()) }
    }
}
