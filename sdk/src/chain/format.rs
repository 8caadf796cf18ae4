/// The largest transaction of the format v0, in bytes: an IPv6 minimum MTU less the headers.
pub const MAX_TRANSACTION_BYTES: usize = 1_232;
/// The largest of the format v1, in bytes.
pub const MAX_V1_TRANSACTION_BYTES: usize = solana_message::v1::MAX_TRANSACTION_SIZE;

/// How a transaction is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum TransactionFormat {
    /// At most [`MAX_TRANSACTION_BYTES`]; every cluster takes it.
    #[default]
    V0,
    /// SIMD-0385: at most [`MAX_V1_TRANSACTION_BYTES`], 64 accounts and 64 instructions. Clusters take it from
    /// the epoch on in which its feature is active.
    V1,
}

impl TransactionFormat {
    /// Most bytes of a transaction, signatures included.
    pub const fn max_bytes(self) -> usize {
        match self {
            Self::V0 => MAX_TRANSACTION_BYTES,
            Self::V1 => MAX_V1_TRANSACTION_BYTES,
        }
    }
}
