//! Seeds of the program's derived addresses.

/// Channel: `["amp-channel", funder, recipient, nonce u64 LE]`.
pub const CHANNEL: &[u8] = b"amp-channel";
/// Vault, the channel's token account: `["amp-vault", channel]`.
pub const VAULT: &[u8] = b"amp-vault";
/// Delegation: `["amp-delegation", channel, delegate]`.
pub const DELEGATION: &[u8] = b"amp-delegation";
