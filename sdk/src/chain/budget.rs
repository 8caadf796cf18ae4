//! Compute budgets, sized to what each instruction uses in the worst case: the figures of
//! docs/compute-units.md, with the token program that costs most (SPL Token before p-token: 6,200 a
//! transfer, 4,500 to create an account, 3,000 to close one). The cluster charges priority fees by the
//! limit asked for, and schedules small ones first.

#![allow(clippy::arithmetic_side_effects, reason = "sums of small constants, evaluated in const tests")]

use solana_address::Address;
use solana_compute_budget_interface::ComputeBudgetInstruction;
use solana_instruction::Instruction;

use super::address::{ChannelAddress, find_associated_token_address, find_delegation_address};

/// What an attempt at a derived address costs on chain.
const DERIVATION: u32 = 1_500;
/// What an attempt costs where the hash is enough.
const HASH: u32 = 250;
/// Creating a token account that is missing (the worst case, Token-2022).
const CREATE_TOKEN_ACCOUNT: u32 = 35_000;
/// What the budget instructions themselves use.
const OVERHEAD: u32 = 450;
/// What a token program slower than p-token may use on top, per call.
const SLOWER_TOKEN: u32 = 4_000;

/// A first attempt at 255 is part of every figure; where that fails, the program derives from the start.
const fn derivation(bump: u8) -> u32 {
    if bump == u8::MAX { 0 } else { DERIVATION * (1 + u8::MAX as u32 - bump as u32) }
}

/// Micro-lamports per compute unit, on top of the base fee.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PriorityFee(pub u64);

impl PriorityFee {
    /// What it comes to for a transaction that asks for so many units, rounded up as the cluster does.
    pub const fn lamports(self, budget: ComputeBudget) -> u64 {
        let micro = self.0 as u128 * budget.0 as u128;
        let lamports = micro.div_ceil(1_000_000);
        if lamports > u64::MAX as u128 { u64::MAX } else { lamports as u64 }
    }
}

/// The compute units a transaction asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ComputeBudget(u32);

impl ComputeBudget {
    /// `open_channel`: depends on the bumps, which the client knows beforehand.
    pub const fn open(at: &ChannelAddress) -> Self {
        Self(OVERHEAD + 24_000 + SLOWER_TOKEN + derivation(at.bump) + derivation(at.vault_bump))
    }

    /// `top_up`.
    pub const fn top_up() -> Self {
        Self(OVERHEAD + 10_000 + SLOWER_TOKEN)
    }

    /// `settle`.
    pub const fn settle() -> Self {
        Self(OVERHEAD + 12_000 + SLOWER_TOKEN)
    }

    /// `settle` of what a delegate owes: one more account to read and write.
    pub const fn settle_by_delegate() -> Self {
        Self(OVERHEAD + 14_000 + SLOWER_TOKEN)
    }

    /// `chain_channel`: a settlement and an opening at `at`.
    pub const fn chain(at: &ChannelAddress) -> Self {
        Self(Self::open(at).0 + 8_000)
    }

    /// `request_close`.
    pub const fn request_close() -> Self {
        Self(OVERHEAD + 4_000)
    }

    /// `close_channel`.
    pub const fn close() -> Self {
        Self(OVERHEAD + 18_000 + 3 * SLOWER_TOKEN)
    }

    /// `close_channel` by anyone but the funder, who must refund to the funder's associated token account:
    /// the program goes through its bumps.
    pub fn close_by_other(funder: &Address, mint: &Address, token_program: &Address) -> Self {
        let (_, bump) = find_associated_token_address(funder, mint, token_program);
        Self(Self::close().0 + HASH * (1 + u32::from(u8::MAX - bump)))
    }

    /// `set_delegate`: the program derives the address of a new delegation.
    pub fn set_delegate(program_id: &Address, channel: &Address, delegate: &Address) -> Self {
        let (_, bump) = find_delegation_address(program_id, channel, delegate);
        Self(OVERHEAD + 12_000 + derivation(bump))
    }

    /// `revoke_delegate`.
    pub const fn revoke_delegate() -> Self {
        Self(OVERHEAD + 5_000)
    }

    /// `close_delegation`.
    pub const fn close_delegation() -> Self {
        Self(OVERHEAD + 5_000)
    }

    /// And this in the same transaction, for which the budget instructions run only once.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0.saturating_sub(OVERHEAD)))
    }

    /// So many of these in one transaction.
    pub const fn times(self, count: u32) -> Self {
        Self(self.0.saturating_mul(count))
    }

    /// And creates up to `count` token accounts.
    pub const fn with_token_accounts(self, count: u32) -> Self {
        Self(self.0 + CREATE_TOKEN_ACCOUNT * count)
    }

    /// The limit in compute units.
    pub const fn units(self) -> u32 {
        self.0
    }

    /// The instructions that set it.
    pub fn instructions(self, fee: PriorityFee) -> Vec<Instruction> {
        let mut instructions = vec![ComputeBudgetInstruction::set_compute_unit_limit(self.0)];
        if fee.0 > 0 {
            instructions.push(ComputeBudgetInstruction::set_compute_unit_price(fee.0));
        }
        instructions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn together_instructions_need_what_each_needs_and_the_overhead_once() {
        let three =
            ComputeBudget::settle().and(ComputeBudget::settle_by_delegate()).and(ComputeBudget::settle());
        assert_eq!(three.units(), OVERHEAD + 12_000 + 14_000 + 12_000 + 3 * SLOWER_TOKEN);
    }
}
