//! Instruction data of the program: an 8-byte discriminator, then the arguments, little-endian,
//! one after the other. The order of accounts is the SDK's `chain::instructions`.

mod parse;

use crate::money::Amount;
use crate::rules::Terms;

pub use parse::{InstructionError, Parsed};

/// `sha256("global:open_channel")[..8]`.
pub const OPEN_CHANNEL: [u8; 8] = [91, 45, 253, 71, 140, 166, 107, 109];
/// `sha256("global:top_up")[..8]`.
pub const TOP_UP: [u8; 8] = [236, 225, 96, 9, 60, 106, 77, 208];
/// `sha256("global:settle")[..8]`.
pub const SETTLE: [u8; 8] = [175, 42, 185, 87, 144, 131, 102, 212];
/// `sha256("global:request_close")[..8]`.
pub const REQUEST_CLOSE: [u8; 8] = [82, 168, 167, 86, 14, 15, 199, 180];
/// `sha256("global:close_channel")[..8]`.
pub const CLOSE_CHANNEL: [u8; 8] = [0, 104, 36, 1, 66, 0, 103, 157];

/// `sha256("global:set_delegate")[..8]`.
pub const SET_DELEGATE: [u8; 8] = [242, 30, 46, 76, 108, 235, 128, 181];
/// `sha256("global:revoke_delegate")[..8]`.
pub const REVOKE_DELEGATE: [u8; 8] = [142, 66, 98, 126, 102, 60, 92, 163];
/// `sha256("global:close_delegation")[..8]`.
pub const CLOSE_DELEGATION: [u8; 8] = [41, 110, 46, 165, 0, 109, 193, 193];
/// `sha256("global:chain_channel")[..8]`.
pub const CHAIN_CHANNEL: [u8; 8] = [150, 189, 117, 185, 229, 204, 230, 228];

/// Arguments of `open_channel`: 49 bytes with the discriminator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenChannel {
    /// Tells channels of the same funder and recipient apart.
    pub nonce: u64,
    /// Base units moved into the vault.
    pub deposit: Amount,
    /// The channel's terms.
    pub terms: Terms,
}

impl OpenChannel {
    /// Length of the instruction data.
    pub const LEN: usize = 49;

    /// The instruction data.
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut writer = Writer::begin(OPEN_CHANNEL);
        writer.put(&self.nonce.to_le_bytes());
        writer.put(&self.deposit.get().to_le_bytes());
        writer.put(&self.terms.unit_price.to_le_bytes());
        writer.put(&self.terms.rate_limit.to_le_bytes());
        writer.put(&self.terms.settle_interval.to_le_bytes());
        writer.put(&self.terms.close_grace.to_le_bytes());
        writer.put(&[self.terms.max_chain_depth]);
        writer.bytes
    }
}

/// Arguments of `chain_channel`: 48 bytes with the discriminator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainChannel {
    /// What the upstream signer owes in all, in base units; what is not yet claimed of it becomes
    /// the new channel's deposit.
    pub owed: Amount,
    /// Tells channels of the same funder and recipient apart.
    pub nonce: u64,
    /// The new channel's terms; its `max_chain_depth` is the root's and does not travel.
    pub terms: Terms,
}

impl ChainChannel {
    /// Length of the instruction data.
    pub const LEN: usize = 48;

    /// The instruction data.
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut writer = Writer::begin(CHAIN_CHANNEL);
        writer.put(&self.owed.get().to_le_bytes());
        writer.put(&self.nonce.to_le_bytes());
        writer.put(&self.terms.unit_price.to_le_bytes());
        writer.put(&self.terms.rate_limit.to_le_bytes());
        writer.put(&self.terms.settle_interval.to_le_bytes());
        writer.put(&self.terms.close_grace.to_le_bytes());
        writer.bytes
    }
}

/// Data of `set_delegate(limit, expires_at)`: 24 bytes.
pub fn set_delegate(limit: Amount, expires_at: i64) -> [u8; 24] {
    let mut writer = Writer::begin(SET_DELEGATE);
    writer.put(&limit.get().to_le_bytes());
    writer.put(&expires_at.to_le_bytes());
    writer.bytes
}

/// Data of `top_up(amount)`: 16 bytes.
pub fn top_up(amount: Amount) -> [u8; 16] {
    with_amount(TOP_UP, amount)
}

/// Data of `settle(owed)`: 16 bytes.
pub fn settle(owed: Amount) -> [u8; 16] {
    with_amount(SETTLE, owed)
}

fn with_amount(discriminator: [u8; 8], amount: Amount) -> [u8; 16] {
    let mut writer = Writer::begin(discriminator);
    writer.put(&amount.get().to_le_bytes());
    writer.bytes
}

struct Writer<const N: usize> {
    bytes: [u8; N],
    at: usize,
}

impl<const N: usize> Writer<N> {
    fn begin(discriminator: [u8; 8]) -> Self {
        let mut writer = Self { bytes: [0; N], at: 0 };
        writer.put(&discriminator);
        writer
    }

    fn put(&mut self, value: &[u8]) {
        let end = self.at.wrapping_add(value.len());
        if let Some(place) = self.bytes.get_mut(self.at..end) {
            place.copy_from_slice(value);
        }
        self.at = end;
    }
}
