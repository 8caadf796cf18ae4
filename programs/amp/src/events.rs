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
