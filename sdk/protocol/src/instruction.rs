//! Instruction data of the program: an 8-byte discriminator, then the arguments, little-endian,
//! one after the other. The order of accounts is the SDK's `chain::instructions`.

use crate::money::Amount;
use crate::rules::Terms;

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
