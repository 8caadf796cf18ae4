use super::{Key, MessageError};
use crate::layout::{begin, key_at, open, put, u64_at};
use crate::money::Seq;

const KIND: u8 = 1;
const CHANNEL: usize = 4;
const EPOCH: usize = CHANNEL + 32;
const SEQ: usize = EPOCH + 8;
const _: () = assert!(SEQ + 8 == Credential::LEN);

/// What a client signs on every request: 52 bytes,
/// `"AMP" 01, channel[32], epoch u64, seq u64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credential {
    /// The channel's address.
    pub channel: Key,
    /// The slot in which the signer's authority was created.
    pub epoch: u64,
    /// The counter; `seq * unit_price` is what may be claimed in all.
    pub seq: Seq,
}

impl Credential {
    /// Length in bytes.
    pub const LEN: usize = 52;

    /// The bytes that are signed.
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut message = begin(KIND);
        put(&mut message, CHANNEL, &self.channel);
        put(&mut message, EPOCH, &self.epoch.to_le_bytes());
        put(&mut message, SEQ, &self.seq.get().to_le_bytes());
        message
    }

    /// Reads the signed bytes back.
    pub fn parse(bytes: &[u8]) -> Result<Self, MessageError> {
        let message = open::<{ Self::LEN }>(bytes, KIND)?;
        Ok(Self {
            channel: key_at(message, CHANNEL),
            epoch: u64_at(message, EPOCH),
            seq: Seq::new(u64_at(message, SEQ)),
        })
    }
}
