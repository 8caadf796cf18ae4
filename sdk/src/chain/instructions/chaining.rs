use amp_protocol::instruction;
use solana_address::Address;
use solana_instruction::{AccountMeta, Instruction};

use super::{ChannelKeys, INSTRUCTIONS_SYSVAR, optional};
use crate::chain::address::{ChannelAddress, SYSTEM_PROGRAM};

/// Who takes part in chaining a channel below another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainParties {
    /// The upstream channel's recipient, who signs; the new channel's authorized signer.
    pub recipient: Address,
    /// Pays the new channel's rent and gets it back; signs.
    pub rent_payer: Address,
    /// The new channel's recipient.
    pub sub_service: Address,
    /// Exactly when a delegate signed the upstream credential: its delegation.
    pub delegation: Option<Address>,
}

/// `chain_channel` below the channel of `keys`. The instruction just before it must be the upstream
/// credential's `ed25519` instruction.
pub fn chain_channel(
    keys: &ChannelKeys,
    parties: &ChainParties,
    args: &instruction::ChainChannel,
) -> Instruction {
    let sub = ChannelAddress::derive(&keys.program_id, &keys.channel, &parties.sub_service, args.nonce);
    Instruction {
        program_id: keys.program_id,
        accounts: vec![
            AccountMeta::new_readonly(parties.recipient, true),
            AccountMeta::new(parties.rent_payer, true),
            AccountMeta::new(keys.channel, false),
            AccountMeta::new(keys.vault, false),
            AccountMeta::new_readonly(keys.mint, false),
            AccountMeta::new_readonly(parties.sub_service, false),
            AccountMeta::new(sub.channel, false),
            AccountMeta::new(sub.vault, false),
            AccountMeta::new_readonly(keys.token_program, false),
            AccountMeta::new_readonly(SYSTEM_PROGRAM, false),
            AccountMeta::new_readonly(INSTRUCTIONS_SYSVAR, false),
            optional(&keys.program_id, parties.delegation.as_ref()),
        ],
        data: args.to_bytes().to_vec(),
    }
}
