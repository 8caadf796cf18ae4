use amp_protocol::{deployment, seeds};
use solana_address::Address;
use solana_instruction::{AccountMeta, Instruction};

/// The AMP program of local clusters. Other clusters have [others](program_id).
pub const PROGRAM_ID: Address = Address::new_from_array(deployment::declared(deployment::LOCALNET));
/// SPL Token.
pub const TOKEN_PROGRAM: Address = Address::from_str_const("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA");
/// Token-2022.
pub const TOKEN_2022_PROGRAM: Address =
    Address::from_str_const("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb");
const ASSOCIATED_TOKEN_PROGRAM: Address =
    Address::from_str_const("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL");
pub(super) const SYSTEM_PROGRAM: Address = Address::from_str_const("11111111111111111111111111111111");
const CREATE_IDEMPOTENT: u8 = 1;

/// The program that this release pins for a cluster, by its name in
/// [`text::network`](amp_protocol::text::network); `None`: none is recorded, and both sides must be told
/// which one they trust. Neither takes it from the other.
pub fn program_id(network: &str) -> Option<Address> {
    deployment::program_id(network).map(Address::from)
}

/// A channel's derived addresses, with the bumps: of each, the first below 255 costs the opening 3,000
/// compute units more, and every further one 1,500.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelAddress {
    /// The channel account.
    pub channel: Address,
    /// Its bump.
    pub bump: u8,
    /// The vault.
    pub vault: Address,
    /// Its bump.
    pub vault_bump: u8,
}

impl ChannelAddress {
    /// Derives the addresses of a channel. `opener` is its funder; of a chained channel, the parent.
    pub fn derive(program_id: &Address, opener: &Address, recipient: &Address, nonce: u64) -> Self {
        let nonce = nonce.to_le_bytes();
        let channel_seeds: [&[u8]; 4] = [seeds::CHANNEL, opener.as_ref(), recipient.as_ref(), &nonce];
        let (channel, bump) = Address::find_program_address(&channel_seeds, program_id);
        let (vault, vault_bump) =
            Address::find_program_address(&[seeds::VAULT, channel.as_ref()], program_id);
        Self { channel, bump, vault, vault_bump }
    }

    /// The first nonce from `start` on whose addresses both need no second attempt (about four are
    /// tried), and its addresses: such a channel opens for the fewest compute units.
    pub fn cheapest_from(
        program_id: &Address,
        opener: &Address,
        recipient: &Address,
        start: u64,
    ) -> (u64, Self) {
        // one in four fits; after 64 tries the last one serves as well, it only costs more
        const TRIES: u64 = 64;
        let mut tried = 1;
        let mut nonce = start;
        loop {
            let at = Self::derive(program_id, opener, recipient, nonce);
            if (at.bump == u8::MAX && at.vault_bump == u8::MAX) || tried == TRIES {
                return (nonce, at);
            }
            nonce = nonce.wrapping_add(1);
            tried = tried.saturating_add(1);
        }
    }
}

/// Where the delegation of `delegate` on `channel` stands.
pub fn delegation_address(program_id: &Address, channel: &Address, delegate: &Address) -> Address {
    find_delegation_address(program_id, channel, delegate).0
}

/// The same, with its bump.
pub(super) fn find_delegation_address(
    program_id: &Address,
    channel: &Address,
    delegate: &Address,
) -> (Address, u8) {
    let seeds = [seeds::DELEGATION, channel.as_ref(), delegate.as_ref()];
    Address::find_program_address(&seeds, program_id)
}

/// The token account that wallets use for `owner`.
pub fn associated_token_address(owner: &Address, mint: &Address, token_program: &Address) -> Address {
    find_associated_token_address(owner, mint, token_program).0
}

/// The same, with its bump.
pub(super) fn find_associated_token_address(
    owner: &Address,
    mint: &Address,
    token_program: &Address,
) -> (Address, u8) {
    let seeds = [owner.as_ref(), token_program.as_ref(), mint.as_ref()];
    Address::find_program_address(&seeds, &ASSOCIATED_TOKEN_PROGRAM)
}

/// Creates `owner`'s associated token account, or does nothing where it exists.
pub fn create_token_account(
    payer: &Address,
    owner: &Address,
    mint: &Address,
    token_program: &Address,
) -> Instruction {
    Instruction {
        program_id: ASSOCIATED_TOKEN_PROGRAM,
        accounts: vec![
            AccountMeta::new(*payer, true),
            AccountMeta::new(associated_token_address(owner, mint, token_program), false),
            AccountMeta::new_readonly(*owner, false),
            AccountMeta::new_readonly(*mint, false),
            AccountMeta::new_readonly(SYSTEM_PROGRAM, false),
            AccountMeta::new_readonly(*token_program, false),
        ],
        data: vec![CREATE_IDEMPOTENT],
    }
}
