use super::{Key, MessageError};
use crate::layout::{begin, i64_at, key_at, open, put, u64_at};
use crate::money::{Amount, Seq};

const KIND: u8 = 2;
const CHANNEL: usize = 4;
const EPOCH: usize = CHANNEL + 32;
const SIGNER: usize = EPOCH + 8;
const OWED: usize = SIGNER + 32;
const CALLS: usize = OWED + 8;
const PERIOD_START: usize = CALLS + 8;
const PERIOD_END: usize = PERIOD_START + 8;
const SEQ_START: usize = PERIOD_END + 8;
const SEQ_END: usize = SEQ_START + 8;
const _: () = assert!(SEQ_END + 8 == MeteringProof::LEN);

/// The service's signed receipt for one signer: 124 bytes, `"AMP" 02, channel[32], epoch u64,
/// signer[32], owed u64, calls u64, period_start i64, period_end i64, seq_start u64, seq_end u64`.
/// The client checks it against what it saw; the program never accepts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeteringProof {
    /// The channel's address.
    pub channel: Key,
    /// The signer's epoch.
    pub epoch: u64,
    /// The signer whose use was metered.
    pub signer: Key,
    /// Charged to the signer since its epoch began (cumulative).
    pub owed: Amount,
    /// Charged calls since the epoch began.
    pub calls: u64,
    /// Unix seconds of the first charged call.
    pub period_start: i64,
    /// Unix seconds of the last charged call.
    pub period_end: i64,
    /// The first accepted seq.
    pub seq_start: Seq,
    /// The highest accepted seq.
    pub seq_end: Seq,
}

impl MeteringProof {
    /// Length in bytes.
    pub const LEN: usize = 124;

    /// The bytes that are signed.
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut message = begin(KIND);
        put(&mut message, CHANNEL, &self.channel);
        put(&mut message, EPOCH, &self.epoch.to_le_bytes());
        put(&mut message, SIGNER, &self.signer);
        put(&mut message, OWED, &self.owed.get().to_le_bytes());
        put(&mut message, CALLS, &self.calls.to_le_bytes());
        put(&mut message, PERIOD_START, &self.period_start.to_le_bytes());
        put(&mut message, PERIOD_END, &self.period_end.to_le_bytes());
        put(&mut message, SEQ_START, &self.seq_start.get().to_le_bytes());
        put(&mut message, SEQ_END, &self.seq_end.get().to_le_bytes());
        message
    }

    /// Reads the signed bytes back.
    pub fn parse(bytes: &[u8]) -> Result<Self, MessageError> {
        let message = open::<{ Self::LEN }>(bytes, KIND)?;
        Ok(Self {
            channel: key_at(message, CHANNEL),
            epoch: u64_at(message, EPOCH),
            signer: key_at(message, SIGNER),
            owed: Amount::new(u64_at(message, OWED)),
            calls: u64_at(message, CALLS),
            period_start: i64_at(message, PERIOD_START),
            period_end: i64_at(message, PERIOD_END),
            seq_start: Seq::new(u64_at(message, SEQ_START)),
            seq_end: Seq::new(u64_at(message, SEQ_END)),
        })
    }
}
