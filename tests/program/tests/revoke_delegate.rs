//! `revoke_delegate`: the funder's way to stop one key and no other.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::arithmetic_side_effects)]

use amp_program_tests::{DEPOSIT, TERMS, World, assert_foreign, assert_refused, foreign};
use amp_protocol::rejection::Rejection;
use solana_signer::Signer;

#[test]
fn a_revocation_records_the_time_and_changes_nothing_else() {
    let world = World::default();
    let channel = world.open();
    let delegated = channel.delegated(1_000);
    let (mut expected, books) = (delegated.account(), channel.account());
    world.chain.advance_seconds(5);
    delegated.revoke().unwrap();
    expected.delegation.revoked_at = world.chain.clock_now().unix_timestamp;
    assert_eq!(delegated.account(), expected);
    assert_eq!(channel.account(), books);
}

#[test]
fn only_the_funder_revokes() {
    let world = World::default();
    let channel = world.open();
    let delegated = channel.delegated(1_000);
    for person in [&world.recipient, &world.stranger, &world.signer, &world.delegate] {
        let revoke = delegated.revoke_instruction(&person.pubkey());
        let outcome = world.chain.execute(&[revoke], &[&world.rent_payer, person]);
        assert_refused(outcome, Rejection::WrongFunder);
    }
    let mut unsigned = delegated.revoke_instruction(&world.funder.pubkey());
    unsigned.accounts[0].is_signer = false;
    assert_foreign(world.chain.execute(&[unsigned], &[&world.stranger]), foreign::NOT_SIGNER);
}

#[test]
fn revoking_again_does_not_begin_the_grace_anew() {
    let world = World::default();
    let channel = world.open();
    let delegated = channel.delegated(1_000);
    delegated.revoke().unwrap();
    let revoked = delegated.account();
    world.chain.advance_seconds(5);
    assert_refused(delegated.revoke(), Rejection::AlreadyRevoked);
    assert_eq!(delegated.account(), revoked);
}

#[test]
fn a_closing_channels_delegate_can_be_revoked() {
    let world = World::default();
    let channel = world.open();
    let delegated = channel.delegated(1_000);
    channel.request_close().unwrap();
    delegated.revoke().unwrap();
}

#[test]
fn a_delegation_of_another_channel_is_not_revoked() {
    let world = World::default();
    let (channel, other) = (world.open(), world.open_with(1, DEPOSIT, TERMS));
    let theirs = other.delegated(1_000);
    channel.delegated(1_000);
    let mut revoke = channel.delegate().revoke_instruction(&world.funder.pubkey());
    revoke.accounts[2].pubkey = theirs.address;
    assert_refused(world.chain.execute(&[revoke], &[&world.funder]), Rejection::WrongDelegation);
}

#[test]
fn a_clock_at_zero_can_not_mark_a_delegation_as_revoked() {
    let world = World::default();
    let channel = world.open();
    let delegated = channel.delegated(1_000);
    world.chain.set_unix_timestamp(0);
    assert_refused(delegated.revoke(), Rejection::ClockOutOfRange);
}

#[test]
fn unknown_versions_of_channel_and_delegation_are_refused() {
    let world = World::default();
    let channel = world.open();
    let delegated = channel.delegated(1_000);
    delegated.set_version(2);
    assert_refused(delegated.revoke(), Rejection::UnknownVersion);
    delegated.set_version(1);
    channel.set_version(2);
    assert_refused(delegated.revoke(), Rejection::UnknownVersion);
}
