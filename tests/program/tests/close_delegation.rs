//! `close_delegation`: by anyone, once nothing of it can be settled any more, and not before.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::arithmetic_side_effects)]

use amp_program_tests::{DEPOSIT, GRACE, TERMS, World, assert_foreign, assert_refused, foreign, settleable};
use amp_protocol::rejection::Rejection;
use solana_keypair::Keypair;
use solana_signer::Signer;

#[test]
fn a_live_delegation_stays() {
    let world = World::default();
    let channel = world.open();
    let delegated = channel.delegated(1_000);
    assert_refused(delegated.close(), Rejection::DelegationNotOver);
    world.chain.advance_seconds(10 * GRACE);
    assert_refused(delegated.close(), Rejection::DelegationNotOver);
}

#[test]
fn a_revoked_or_expired_delegation_goes_when_its_grace_has_passed_and_the_rent_goes_back() {
    for expires in [false, true] {
        let world = World::default();
        let channel = world.open();
        let before = world.chain.lamports(&world.rent_payer.pubkey());
        let delegated = channel.delegate();
        if expires {
            delegated.set(1_000, world.chain.clock_now().unix_timestamp + 5).unwrap();
            world.chain.advance_seconds(5);
        } else {
            delegated.set(1_000, 0).unwrap();
            delegated.revoke().unwrap();
        }
        world.chain.advance_seconds(GRACE);
        assert_refused(delegated.close(), Rejection::DelegationNotOver);
        world.chain.advance_seconds(1);
        delegated.close().unwrap();
        assert!(!delegated.exists());
        // the fees of set_delegate: two signatures
        assert_eq!(world.chain.lamports(&world.rent_payer.pubkey()), before - 10_000);
    }
}

#[test]
fn a_delegation_goes_at_once_when_its_channel_is_closed() {
    let world = World::default();
    let channel = world.open();
    let delegated = channel.delegated(1_000);
    channel.close_as(&world.recipient).unwrap();
    delegated.close().unwrap();
    assert!(!delegated.exists());
}

#[test]
fn lamports_sent_to_a_closed_channels_address_keep_no_delegation_open() {
    let world = World::default();
    let channel = world.open();
    let delegated = channel.delegated(1_000);
    channel.close_as(&world.recipient).unwrap();
    let funded = amp_sdk::chain::AccountSnapshot {
        owner: solana_system_interface::program::ID,
        lamports: 5_000_000,
        data: vec![],
    };
    world.chain.overwrite(&channel.at.channel, funded).unwrap();
    delegated.close().unwrap();
}

#[test]
fn a_delegation_of_an_earlier_incarnation_goes_though_the_channel_is_open_again() {
    let world = World::default();
    let channel = world.open();
    let delegated = channel.delegated(1_000);
    channel.close_as(&world.recipient).unwrap();
    world.open();
    delegated.close().unwrap();
    assert!(!delegated.exists());
}

#[test]
fn a_delegation_can_not_be_closed_in_the_slot_it_was_created_in() {
    let world = World::default();
    let channel = world.open();
    let delegated = channel.delegate();
    delegated.set(1_000, 0).unwrap();
    delegated.revoke().unwrap();
    // a clock that leaps within a slot
    let now = world.chain.clock_now().unix_timestamp;
    world.chain.set_unix_timestamp(now + i64::from(GRACE) + 1);
    assert_refused(delegated.close(), Rejection::DelegationInCreationSlot);
    world.chain.advance_slots(1);
    delegated.close().unwrap();
}

#[test]
fn rent_goes_to_nobody_but_who_paid_it() {
    let world = World::default();
    let channel = world.open();
    let delegated = channel.delegated(1_000);
    channel.close_as(&world.recipient).unwrap();
    for person in [&world.stranger, &world.funder] {
        let mut close = delegated.close_instruction();
        close.accounts[2].pubkey = person.pubkey();
        assert_refused(world.chain.execute(&[close], &[&world.stranger]), Rejection::WrongRentPayer);
    }
}

/// A closed channel in place of the delegation's own would let anyone end a delegation that lives.
#[test]
fn no_other_account_stands_for_the_channel() {
    let world = World::default();
    let (channel, other) = (world.open(), world.open_with(1, DEPOSIT, TERMS));
    let delegated = channel.delegated(1_000);
    other.close_as(&world.recipient).unwrap();
    for address in [other.at.channel, Keypair::new().pubkey(), world.stranger.pubkey()] {
        let mut close = delegated.close_instruction();
        close.accounts[1].pubkey = address;
        assert_refused(world.chain.execute(&[close], &[&world.stranger]), Rejection::WrongDelegation);
    }
}

#[test]
fn what_is_closed_can_not_be_used_or_closed_again() {
    let world = World::default();
    let channel = settleable(&world);
    let delegated = channel.delegated(1_000);
    let old = delegated.proof(1);
    delegated.revoke().unwrap();
    world.chain.advance_seconds(GRACE + 1);
    delegated.close().unwrap();
    assert_foreign(delegated.close(), foreign::OWNED_BY_WRONG_PROGRAM);
    assert_foreign(delegated.settle_after(&[old], 100), foreign::OWNED_BY_WRONG_PROGRAM);
    assert_foreign(delegated.revoke(), foreign::OWNED_BY_WRONG_PROGRAM);
}

#[test]
fn unknown_versions_of_channel_and_delegation_are_refused() {
    let world = World::default();
    let channel = world.open();
    let delegated = channel.delegated(1_000);
    delegated.revoke().unwrap();
    world.chain.advance_seconds(GRACE + 1);
    channel.set_version(2);
    assert_refused(delegated.close(), Rejection::UnknownVersion);
    channel.set_version(1);
    delegated.set_version(2);
    assert_refused(delegated.close(), Rejection::UnknownVersion);
}

#[test]
fn an_account_that_is_no_delegation_is_refused() {
    let world = World::default();
    let channel = world.open();
    let delegated = channel.delegated(1_000);
    let mut close = delegated.close_instruction();
    close.accounts[0].pubkey = channel.at.channel;
    assert_foreign(world.chain.execute(&[close], &[&world.stranger]), foreign::WRONG_DISCRIMINATOR);
}
