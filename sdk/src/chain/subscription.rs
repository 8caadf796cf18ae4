use futures::stream::BoxStream;
use solana_address::Address;

use super::AccountSnapshot;

/// A channel account that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelChange {
    /// The channel.
    pub address: Address,
    /// The account after the change; `None`: it is gone.
    pub account: Option<AccountSnapshot>,
    /// The slot of the change.
    pub slot: u64,
}

/// Changes of channels as they happen. It ends where the chain does not tell any more; that it goes on does
/// not prove that none was left out.
pub type ChannelChanges = BoxStream<'static, ChannelChange>;
