use crate::channel::OpenedChannel;
use crate::world::{FUNDER_TOKENS, World};

/// Who holds how many tokens of the world's mint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Balances {
    pub funder: u64,
    pub recipient: u64,
    pub stranger: u64,
    pub supplier: u64,
    pub vault: u64,
}

impl Balances {
    /// Reads them, and holds their sum against what was ever minted plus `donated`: no base unit
    /// appears or disappears.
    pub fn of(world: &World, channel: &OpenedChannel<'_>, donated: u64) -> Self {
        Self::of_chain(world, &[channel], donated)
    }

    /// The same, with the vaults of several channels taken together.
    pub fn of_chain(world: &World, channels: &[&OpenedChannel<'_>], donated: u64) -> Self {
        let tokens = |account| world.chain.tokens(account).get();
        let all = Self {
            funder: tokens(&world.funder_token),
            recipient: tokens(&world.recipient_token),
            stranger: tokens(&world.stranger_token),
            supplier: tokens(&world.supplier_token),
            vault: channels.iter().map(|channel| channel.vault_tokens()).sum(),
        };
        let sum = all.funder + all.recipient + all.stranger + all.supplier + all.vault;
        assert_eq!(sum, 2 * FUNDER_TOKENS + donated, "tokens are conserved: {all:?}");
        all
    }
}
