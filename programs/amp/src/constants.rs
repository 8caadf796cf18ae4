//! Seeds, under the names that anchor's constraints and the IDL show.

use anchor_lang::prelude::*;

#[constant]
pub const CHANNEL_SEED: &[u8] = amp_protocol::seeds::CHANNEL;
#[constant]
pub const VAULT_SEED: &[u8] = amp_protocol::seeds::VAULT;
#[constant]
pub const DELEGATION_SEED: &[u8] = amp_protocol::seeds::DELEGATION;

/// Where the runtime shows a program the other instructions of its transaction.
pub const INSTRUCTIONS_SYSVAR: Pubkey = pubkey!("Sysvar1nstructions1111111111111111111111111");

/// Derives the token account that wallets and programs look for their tokens in.
pub const ASSOCIATED_TOKEN_PROGRAM: Pubkey = pubkey!("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL");
