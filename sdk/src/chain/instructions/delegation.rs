use amp_protocol::instruction;
use amp_protocol::money::Amount;
use solana_address::Address;
use solana_instruction::{AccountMeta, Instruction};

use crate::chain::address::{SYSTEM_PROGRAM, delegation_address};

/// Who takes part in a delegation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DelegationParties {
    /// The channel's funder; signs.
    pub funder: Address,
    /// Pays the rent of a new delegation and gets it back; signs.
    pub rent_payer: Address,
    /// The channel.
    pub channel: Address,
    /// May spend from it.
    pub delegate: Address,
}

/// `set_delegate`. `expires_at` is Unix seconds, 0: never.
pub fn set_delegate(
    program_id: &Address,
    parties: &DelegationParties,
    limit: Amount,
    expires_at: i64,
) -> Instruction {
    let delegation = delegation_address(program_id, &parties.channel, &parties.delegate);
    Instruction {
        program_id: *program_id,
        accounts: vec![
            AccountMeta::new_readonly(parties.funder, true),
            AccountMeta::new(parties.rent_payer, true),
            AccountMeta::new(parties.channel, false),
            AccountMeta::new_readonly(parties.delegate, false),
            AccountMeta::new(delegation, false),
            AccountMeta::new_readonly(SYSTEM_PROGRAM, false),
        ],
        data: instruction::set_delegate(limit, expires_at).to_vec(),
    }
}

/// `revoke_delegate`.
pub fn revoke_delegate(
    program_id: &Address,
    funder: &Address,
    channel: &Address,
    delegate: &Address,
) -> Instruction {
    let delegation = delegation_address(program_id, channel, delegate);
    Instruction {
        program_id: *program_id,
        accounts: vec![
            AccountMeta::new_readonly(*funder, true),
            AccountMeta::new_readonly(*channel, false),
            AccountMeta::new(delegation, false),
        ],
        data: instruction::REVOKE_DELEGATE.to_vec(),
    }
}

/// `close_delegation`. Nobody has to sign it; `rent_payer` is the delegation's.
pub fn close_delegation(
    program_id: &Address,
    channel: &Address,
    delegate: &Address,
    rent_payer: &Address,
) -> Instruction {
    let delegation = delegation_address(program_id, channel, delegate);
    Instruction {
        program_id: *program_id,
        accounts: vec![
            AccountMeta::new(delegation, false),
            AccountMeta::new_readonly(*channel, false),
            AccountMeta::new(*rent_payer, false),
        ],
        data: instruction::CLOSE_DELEGATION.to_vec(),
    }
}
