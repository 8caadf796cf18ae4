//! One event per state change, with every amount as it is after the change, in base units.

use anchor_lang::prelude::*;

#[event]
pub struct ChannelOpened {
    pub channel: Pubkey,
    pub funder: Pubkey,
    pub recipient: Pubkey,
    pub authorized_signer: Pubkey,
    pub mint: Pubkey,
    pub nonce: u64,
    pub opened_slot: u64,
    pub deposited: u64,
    pub unit_price: u64,
    pub rate_limit: u64,
    pub settle_interval: u32,
    pub close_grace: u32,
    pub max_chain_depth: u8,
}

#[event]
pub struct ToppedUp {
    pub channel: Pubkey,
    pub amount: u64,
    pub deposited: u64,
    pub claimed: u64,
}

#[event]
pub struct Settled {
    pub channel: Pubkey,
    pub signer: Pubkey,
    pub seq: u64,
    pub payout: u64,
    pub signer_claimed: u64,
    pub claimed: u64,
    pub deposited: u64,
    pub window_claimed: u64,
}

#[event]
pub struct CloseRequested {
    pub channel: Pubkey,
    pub closing_at: i64,
    pub closable_from: i64,
    pub deposited: u64,
    pub claimed: u64,
}

#[event]
pub struct ChannelClosed {
    pub channel: Pubkey,
    pub closer: Pubkey,
    pub opened_slot: u64,
    pub payout: u64,
    pub refund: u64,
    pub claimed: u64,
    pub deposited: u64,
}

#[event]
pub struct DelegateSet {
    pub channel: Pubkey,
    pub delegate: Pubkey,
    pub created_slot: u64,
    pub limit: u64,
    pub claimed: u64,
    /// Zero: never.
    pub expires_at: i64,
}

#[event]
pub struct DelegateRevoked {
    pub channel: Pubkey,
    pub delegate: Pubkey,
    pub created_slot: u64,
    pub revoked_at: i64,
    pub collectable_until: i64,
    pub limit: u64,
    pub claimed: u64,
}

#[event]
pub struct DelegationClosed {
    pub channel: Pubkey,
    pub delegate: Pubkey,
    pub created_slot: u64,
    pub limit: u64,
    pub claimed: u64,
}

/// A settlement of `parent`, and the opening of `channel` with what it paid.
#[event]
pub struct ChannelChained {
    pub parent: Pubkey,
    pub signer: Pubkey,
    pub seq: u64,
    pub signer_claimed: u64,
    pub claimed: u64,
    pub deposited: u64,
    pub window_claimed: u64,
    pub channel: Pubkey,
    pub funder: Pubkey,
    pub recipient: Pubkey,
    pub authorized_signer: Pubkey,
    pub nonce: u64,
    pub opened_slot: u64,
    /// Deposited in `channel`: the payout of the settlement.
    pub deposit: u64,
    pub unit_price: u64,
    pub rate_limit: u64,
    pub settle_interval: u32,
    pub close_grace: u32,
    pub chain_depth: u8,
    pub max_chain_depth: u8,
}
