//! Seeds of the program's derived addresses.

/// Channel: `["amp-channel", opener, recipient, nonce u64 LE]`. The opener is the funder; of a chained
/// channel it is the parent's address, so that nobody opens at an address but who may.
pub const CHANNEL: &[u8] = b"amp-channel";
/// Vault, the channel's token account: `["amp-vault", channel]`.
pub const VAULT: &[u8] = b"amp-vault";
/// Delegation: `["amp-delegation", channel, delegate]`.
pub const DELEGATION: &[u8] = b"amp-delegation";
