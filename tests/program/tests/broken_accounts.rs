//! Accounts that no transaction of this program makes: books that do not add up, a vault that lost tokens,
//! state of another kind at a derived address. The guards behind the guards: each is reached here by
//! overwriting an account, and would be reached on a cluster only if another one had failed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::arithmetic_side_effects)]

use amp_program_tests::{
    DEPOSIT, GRACE, OpenedChannel, TERMS, World, assert_foreign, assert_refused, foreign, settleable,
};
use amp_protocol::account::{delegation_offset, offset};
use amp_protocol::rejection::Rejection;
use amp_protocol::rules::Terms;
use solana_address::Address;

/// Overwrites a number of a channel or a delegation.
fn set(world: &World, address: &Address, field: usize, value: u64) {
    let mut account = world.chain.snapshot(address).unwrap();
    account.data[8 + field..16 + field].copy_from_slice(&value.to_le_bytes());
    world.chain.overwrite(address, account).unwrap();
}

/// Makes the vault hold one base unit less than is booked.
fn lose_a_token(channel: &OpenedChannel<'_>) {
    let chain = &channel.world.chain;
    let mut vault = chain.snapshot(&channel.at.vault).unwrap();
    vault.data[64..72].copy_from_slice(&(DEPOSIT - 1).to_le_bytes());
    chain.overwrite(&channel.at.vault, vault).unwrap();
}

#[test]
fn each_sum_of_a_channels_books_is_held() {
    for (field, value) in [
        (offset::SIGNER_CLAIMED, 1),
        (offset::CLAIMED, DEPOSIT + 1),
        (offset::WINDOW_CLAIMED, TERMS.rate_limit + 1),
    ] {
        let world = World::default();
        let channel = world.open();
        set(&world, &channel.at.channel, field, value);
        assert_refused(channel.request_close(), Rejection::InvariantBroken);
    }
}

#[test]
fn every_instruction_that_writes_a_channel_holds_its_books() {
    let world = World::default();
    let channel = world.open_with(0, DEPOSIT, Terms { max_chain_depth: 1, ..TERMS });
    let delegated = channel.delegated(1_000);
    channel.wait_for_interval();
    // the signer has claimed more than all signers have
    set(&world, &channel.at.channel, offset::SIGNER_CLAIMED, 500);
    assert_refused(channel.top_up(1), Rejection::InvariantBroken);
    assert_refused(channel.settle(10, 600), Rejection::InvariantBroken);
    assert_refused(delegated.settle(10, 400), Rejection::InvariantBroken);
    assert_refused(channel.chain(10, 600, TERMS), Rejection::InvariantBroken);
    assert_refused(channel.request_close(), Rejection::InvariantBroken);
}

#[test]
fn more_claimed_than_deposited_pays_nothing_more() {
    let world = World::default();
    let channel = settleable(&world);
    set(&world, &channel.at.channel, offset::CLAIMED, DEPOSIT + 1);
    assert_refused(channel.settle(10, 600), Rejection::InvariantBroken);
}

#[test]
fn a_unit_price_of_zero_authorizes_nothing() {
    let world = World::default();
    let channel = settleable(&world);
    set(&world, &channel.at.channel, offset::UNIT_PRICE, 0);
    assert_refused(channel.settle(10, 600), Rejection::ZeroUnitPrice);
}

#[test]
fn a_delegate_that_claimed_more_than_its_limit_is_written_no_further() {
    let world = World::default();
    let channel = world.open();
    let delegated = channel.delegated(1_000);
    set(&world, &delegated.address, delegation_offset::CLAIMED, 1_001);
    assert_refused(delegated.revoke(), Rejection::InvariantBroken);
    assert_refused(delegated.set(1_000, 0), Rejection::InvariantBroken);
}

#[test]
fn a_vault_that_lost_tokens_is_not_topped_up_or_chained_from() {
    let world = World::default();
    let channel = world.open_with(0, DEPOSIT, Terms { max_chain_depth: 1, ..TERMS });
    channel.wait_for_interval();
    lose_a_token(&channel);
    assert_refused(channel.top_up(10), Rejection::VaultShort);
    assert_refused(channel.chain(10, 1_000, TERMS), Rejection::VaultShort);
}

#[test]
fn an_account_at_a_delegations_address_that_is_none_is_not_changed() {
    let world = World::default();
    let channel = world.open();
    let delegated = channel.delegated(1_000);
    let mut account = world.chain.snapshot(&delegated.address).unwrap();
    account.data[0] ^= 1;
    world.chain.overwrite(&delegated.address, account).unwrap();
    assert_foreign(delegated.set(2_000, 0), foreign::WRONG_DISCRIMINATOR);
}

#[test]
fn an_account_at_a_channels_address_that_is_none_keeps_its_delegations() {
    let world = World::default();
    let channel = world.open();
    let delegated = channel.delegated(1_000);
    delegated.revoke().unwrap();
    world.chain.advance_seconds(GRACE + 1);
    let mut account = world.chain.snapshot(&channel.at.channel).unwrap();
    account.data[0] ^= 1;
    world.chain.overwrite(&channel.at.channel, account).unwrap();
    assert_foreign(delegated.close(), foreign::WRONG_DISCRIMINATOR);
}
