//! The program's instructions, with their accounts in the program's order. A test holds names,
//! order and flags against the IDL.

mod chaining;
mod delegation;

use amp_protocol::ed25519_instruction::{self, SignatureBytes};
use amp_protocol::instruction;
use amp_protocol::json::{CredentialBody, SignedCloseStatement};
use amp_protocol::message::{CloseStatement, Credential};
use amp_protocol::money::Amount;
use solana_address::Address;
use solana_instruction::{AccountMeta, Instruction};

use super::address::{ChannelAddress, SYSTEM_PROGRAM};

pub use chaining::{ChainParties, chain_channel};
pub use delegation::{DelegationParties, close_delegation, revoke_delegate, set_delegate};

/// Where the runtime shows a program its neighbours.
pub const INSTRUCTIONS_SYSVAR: Address =
    Address::from_str_const("Sysvar1nstructions1111111111111111111111111");

/// The keys that every movement of a channel's tokens names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelKeys {
    /// The AMP program.
    pub program_id: Address,
    /// The channel account.
    pub channel: Address,
    /// Its vault.
    pub vault: Address,
    /// Its mint.
    pub mint: Address,
    /// The mint's token program.
    pub token_program: Address,
}

/// Who takes part in an opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenParties {
    /// Owns the deposit; signs.
    pub funder: Address,
    /// Pays the rent and gets it back; signs.
    pub rent_payer: Address,
    /// Is paid.
    pub recipient: Address,
    /// Signs the credentials.
    pub authorized_signer: Address,
    /// The funder's token account that the deposit comes from.
    pub funder_token: Address,
}

/// `open_channel`.
pub fn open_channel(
    program_id: &Address,
    parties: &OpenParties,
    mint: &Address,
    token_program: &Address,
    args: &instruction::OpenChannel,
) -> Instruction {
    let at = ChannelAddress::derive(program_id, &parties.funder, &parties.recipient, args.nonce);
    Instruction {
        program_id: *program_id,
        accounts: vec![
            AccountMeta::new_readonly(parties.funder, true),
            AccountMeta::new(parties.rent_payer, true),
            AccountMeta::new_readonly(parties.recipient, false),
            AccountMeta::new_readonly(parties.authorized_signer, false),
            AccountMeta::new_readonly(*mint, false),
            AccountMeta::new(at.channel, false),
            AccountMeta::new(at.vault, false),
            AccountMeta::new(parties.funder_token, false),
            AccountMeta::new_readonly(*token_program, false),
            AccountMeta::new_readonly(SYSTEM_PROGRAM, false),
        ],
        data: args.to_bytes().to_vec(),
    }
}

/// `top_up`.
pub fn top_up(
    keys: &ChannelKeys,
    token_owner: &Address,
    source_token: &Address,
    amount: Amount,
) -> Instruction {
    Instruction {
        program_id: keys.program_id,
        accounts: vec![
            AccountMeta::new_readonly(*token_owner, true),
            AccountMeta::new(keys.channel, false),
            AccountMeta::new(keys.vault, false),
            AccountMeta::new_readonly(keys.mint, false),
            AccountMeta::new(*source_token, false),
            AccountMeta::new_readonly(keys.token_program, false),
        ],
        data: instruction::top_up(amount).to_vec(),
    }
}

/// `settle`. The instruction just before it must be the credential's [`ed25519`]. `delegation` is given
/// exactly when a delegate signed it.
pub fn settle(
    keys: &ChannelKeys,
    recipient: &Address,
    recipient_token: &Address,
    delegation: Option<&Address>,
    owed: Amount,
) -> Instruction {
    Instruction {
        program_id: keys.program_id,
        accounts: vec![
            AccountMeta::new_readonly(*recipient, true),
            AccountMeta::new(keys.channel, false),
            AccountMeta::new(keys.vault, false),
            AccountMeta::new_readonly(keys.mint, false),
            AccountMeta::new(*recipient_token, false),
            AccountMeta::new_readonly(keys.token_program, false),
            AccountMeta::new_readonly(INSTRUCTIONS_SYSVAR, false),
            optional(&keys.program_id, delegation),
        ],
        data: instruction::settle(owed).to_vec(),
    }
}

/// A writable account that may be missing: anchor reads its own program id as "no account".
fn optional(program_id: &Address, account: Option<&Address>) -> AccountMeta {
    match account {
        Some(account) => AccountMeta::new(*account, false),
        None => AccountMeta::new_readonly(*program_id, false),
    }
}

/// `request_close`.
pub fn request_close(program_id: &Address, channel: &Address, funder: &Address) -> Instruction {
    Instruction {
        program_id: *program_id,
        accounts: vec![AccountMeta::new_readonly(*funder, true), AccountMeta::new(*channel, false)],
        data: instruction::REQUEST_CLOSE.to_vec(),
    }
}

/// Where a close sends what is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseParties {
    /// Who closes; signs.
    pub closer: Address,
    /// A token account of the funder's.
    pub refund_token: Address,
    /// The channel's rent payer.
    pub rent_payer: Address,
    /// A token account of the recipient's: exactly when the funder closes by a close statement.
    pub payout_token: Option<Address>,
}

/// `close_channel`. With a payout account, the instruction just before it must be the close
/// statement's [`ed25519`].
pub fn close_channel(keys: &ChannelKeys, parties: &CloseParties) -> Instruction {
    let payout = optional(&keys.program_id, parties.payout_token.as_ref());
    let sysvar = parties.payout_token.map_or(keys.program_id, |_| INSTRUCTIONS_SYSVAR);
    Instruction {
        program_id: keys.program_id,
        accounts: vec![
            AccountMeta::new_readonly(parties.closer, true),
            AccountMeta::new(keys.channel, false),
            AccountMeta::new(keys.vault, false),
            AccountMeta::new_readonly(keys.mint, false),
            AccountMeta::new(parties.refund_token, false),
            AccountMeta::new(parties.rent_payer, false),
            AccountMeta::new_readonly(keys.token_program, false),
            payout,
            AccountMeta::new_readonly(sysvar, false),
        ],
        data: instruction::CLOSE_CHANNEL.to_vec(),
    }
}

/// The precompile instruction over one credential.
pub fn credential(signer: &Address, epoch: u64, signed: &CredentialBody) -> Instruction {
    let message = Credential { channel: signed.channel.0, epoch, seq: signed.seq }.to_bytes();
    ed25519(&signer.to_bytes(), &signed.sig.0, &message)
}

/// The precompile instruction over one close statement.
pub fn close_statement(recipient: &Address, signed: &SignedCloseStatement) -> Instruction {
    let message: [u8; CloseStatement::LEN] = signed.statement().to_bytes();
    ed25519(&recipient.to_bytes(), &signed.sig.0, &message)
}

/// The precompile instruction over one 52-byte message.
pub fn ed25519(signer: &[u8; 32], signature: &SignatureBytes, message: &[u8; 52]) -> Instruction {
    let data: [u8; 164] = ed25519_instruction::build(signer, signature, message);
    Instruction {
        program_id: Address::new_from_array(ed25519_instruction::PROGRAM_ID),
        accounts: Vec::new(),
        data: data.to_vec(),
    }
}
