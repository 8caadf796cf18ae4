use super::{Key, MessageError};
use crate::layout::{begin, key_at, open, put, u64_at};
use crate::money::Amount;

const KIND: u8 = 3;
const CHANNEL: usize = 4;
const OPENED_SLOT: usize = CHANNEL + 32;
const OWED_TOTAL: usize = OPENED_SLOT + 8;
const _: () = assert!(OWED_TOTAL + 8 == CloseStatement::LEN);

/// The recipient's word on what the channel owes in all: 52 bytes,
/// `"AMP" 03, channel[32], opened_slot u64, owed_total u64`. With it the funder closes at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseStatement {
    /// The channel's address.
    pub channel: Key,
    /// The slot the channel was opened in.
    pub opened_slot: u64,
    /// Owed by all signers together since the opening; what was claimed already counts.
    pub owed_total: Amount,
}

impl CloseStatement {
    /// Length in bytes.
    pub const LEN: usize = 52;

    /// The bytes that are signed.
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut message = begin(KIND);
        put(&mut message, CHANNEL, &self.channel);
        put(&mut message, OPENED_SLOT, &self.opened_slot.to_le_bytes());
        put(&mut message, OWED_TOTAL, &self.owed_total.get().to_le_bytes());
        message
    }

    /// Reads the signed bytes back.
    pub fn parse(bytes: &[u8]) -> Result<Self, MessageError> {
        let message = open::<{ Self::LEN }>(bytes, KIND)?;
        Ok(Self {
            channel: key_at(message, CHANNEL),
            opened_slot: u64_at(message, OPENED_SLOT),
            owed_total: Amount::new(u64_at(message, OWED_TOTAL)),
        })
    }
}
