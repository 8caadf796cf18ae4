//! `set_delegate`: who may delegate what, and how a delegation changes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::arithmetic_side_effects)]

use amp_program_tests::{World, assert_foreign, assert_refused, foreign, settleable};
use amp_protocol::account::DelegationAccount;
use amp_protocol::money::Amount;
use amp_protocol::rejection::Rejection;
use amp_protocol::rules::{Delegation, SignerBooks};
use amp_sdk::chain::{AccountSnapshot, PROGRAM_ID};
use solana_keypair::Keypair;
use solana_signer::Signer;

#[test]
fn a_delegation_records_who_may_spend_how_much_until_when() {
    let world = World::default();
    let channel = world.open();
    let delegated = channel.delegate();
    let now = world.chain.clock_now();
    delegated.set(5_000, now.unix_timestamp + 60).unwrap();
    let (_, bump) = solana_address::Address::find_program_address(
        &[b"amp-delegation", channel.at.channel.as_ref(), world.delegate.pubkey().as_ref()],
        &PROGRAM_ID,
    );
    let expected = DelegationAccount {
        bump,
        channel: channel.at.channel.to_bytes(),
        delegate: world.delegate.pubkey().to_bytes(),
        rent_payer: world.rent_payer.pubkey().to_bytes(),
        channel_opened_slot: channel.opened_slot,
        created_slot: now.slot,
        delegation: Delegation {
            limit: Amount::new(5_000),
            signer: SignerBooks { claimed: Amount::ZERO, last_settled_at: now.unix_timestamp },
            expires_at: now.unix_timestamp + 60,
            revoked_at: 0,
        },
    };
    assert_eq!(delegated.account(), expected);
}

#[test]
fn a_limit_is_raised_and_an_expiry_moved_while_claims_and_epoch_stay() {
    let world = World::default();
    let channel = settleable(&world);
    let delegated = channel.delegated(1_000);
    channel.wait_for_interval();
    delegated.settle(10, 600).unwrap();
    let mut expected = delegated.account();
    let later = world.chain.clock_now().unix_timestamp + 1_000;
    delegated.set(2_000, later).unwrap();
    expected.delegation.limit = Amount::new(2_000);
    expected.delegation.expires_at = later;
    assert_eq!(delegated.account(), expected);
    delegated.set(2_000, later - 500).unwrap();
    assert_eq!(delegated.account().delegation.expires_at, later - 500);
    delegated.set(2_000, 0).unwrap();
    assert_eq!(delegated.account().delegation.expires_at, 0);
}

#[test]
fn a_limit_is_not_lowered_and_an_expiry_not_set_in_the_past() {
    let world = World::default();
    let channel = world.open();
    let delegated = channel.delegate();
    let now = world.chain.clock_now().unix_timestamp;
    for expires_at in [now, now - 1, -1, i64::MIN] {
        assert_refused(delegated.set(1_000, expires_at), Rejection::ExpiryInPast);
    }
    assert_refused(delegated.set(0, 0), Rejection::ZeroAmount);
    delegated.set(1_000, now + 1).unwrap();
    assert_refused(delegated.set(999, now + 1), Rejection::LimitLowered);
    assert_refused(delegated.set(1_000, now), Rejection::ExpiryInPast);
    assert_refused(delegated.set(0, 0), Rejection::ZeroAmount);
}

#[test]
fn an_expired_delegation_lives_on_with_a_later_expiry() {
    let world = World::default();
    let channel = settleable(&world);
    let delegated = channel.delegate();
    let now = world.chain.clock_now().unix_timestamp;
    delegated.set(1_000, now + 10).unwrap();
    world.chain.advance_seconds(10_000);
    assert_refused(delegated.settle(10, 500), Rejection::DelegationOver);
    delegated.set(1_000, now + 20_000).unwrap();
    delegated.settle(10, 500).unwrap();
}

#[test]
fn a_revoked_delegation_is_not_changed() {
    let world = World::default();
    let channel = world.open();
    let delegated = channel.delegated(1_000);
    delegated.revoke().unwrap();
    assert_refused(delegated.set(2_000, 0), Rejection::DelegateRevoked);
}

#[test]
fn only_the_funder_delegates() {
    let world = World::default();
    let channel = world.open();
    let delegated = channel.delegate();
    for person in [&world.recipient, &world.stranger, &world.signer, &world.delegate] {
        let mut set = delegated.set_instruction(1_000, 0);
        set.accounts[0].pubkey = person.pubkey();
        let outcome = world.chain.execute(&[set], &[&world.rent_payer, person]);
        assert_refused(outcome, Rejection::WrongFunder);
    }
    for (unsigned, signer) in [(0, &world.rent_payer), (1, &world.funder)] {
        let mut set = delegated.set_instruction(1_000, 0);
        set.accounts[unsigned].is_signer = false;
        assert_foreign(world.chain.execute(&[set], &[signer]), foreign::NOT_SIGNER);
    }
}

/// Opened and delegated in one slot, both would have one epoch, and each signature would count twice.
#[test]
fn the_authorized_signer_is_no_delegate() {
    let world = World::default();
    let channel = world.open();
    let delegated = channel.delegate_of(&world.signer);
    assert_refused(delegated.set(1_000, 0), Rejection::DelegateIsAuthorizedSigner);
}

#[test]
fn a_closing_channel_gets_no_delegate_and_no_higher_limit() {
    let world = World::default();
    let channel = world.open();
    let delegated = channel.delegated(1_000);
    channel.request_close().unwrap();
    assert_refused(delegated.set(2_000, 0), Rejection::Closing);
    assert_refused(channel.delegate_of(&Keypair::new()).set(1_000, 0), Rejection::Closing);
}

#[test]
fn a_delegation_stands_at_its_derived_address_or_nowhere() {
    let world = World::default();
    let (channel, other) = (world.open(), world.open_with(1, 1_000, amp_program_tests::TERMS));
    let theirs = other.delegated(100);
    let another_key = channel.delegate_of(&Keypair::new());
    another_key.set(100, 0).unwrap();
    for address in [Keypair::new().pubkey(), theirs.address, another_key.address] {
        let mut set = channel.delegate().set_instruction(1_000, 0);
        set.accounts[4].pubkey = address;
        let outcome = world.chain.execute(&[set], &[&world.rent_payer, &world.funder]);
        assert_refused(outcome, Rejection::WrongDerivedAddress);
    }
    let mut set = channel.delegate().set_instruction(1_000, 0);
    set.accounts[4].pubkey = other.at.channel;
    let outcome = world.chain.execute(&[set], &[&world.rent_payer, &world.funder]);
    assert_foreign(outcome, foreign::WRONG_DISCRIMINATOR);
}

#[test]
fn lamports_sent_ahead_block_no_delegation_and_go_to_the_rent_payer() {
    let world = World::default();
    let channel = world.open();
    let delegated = channel.delegate();
    let owner = solana_system_interface::program::ID;
    let sent = AccountSnapshot { owner, lamports: 3, data: vec![] };
    world.chain.overwrite(&delegated.address, sent).unwrap();
    let before = world.chain.lamports(&world.rent_payer.pubkey());
    delegated.set(1_000, 0).unwrap();
    channel.wait_for_interval();
    channel.close_as(&world.recipient).unwrap();
    delegated.close().unwrap();
    let channel_rent = 3_730_560 + 2_039_280;
    let fees = 2 * 5_000;
    let after = world.chain.lamports(&world.rent_payer.pubkey());
    assert_eq!(after + fees, before + 3 + channel_rent);
}

#[test]
fn what_an_earlier_incarnation_left_over_starts_anew() {
    let world = World::default();
    let channel = settleable(&world);
    let delegated = channel.delegated(1_000);
    channel.wait_for_interval();
    delegated.settle(10, 600).unwrap();
    delegated.revoke().unwrap();
    let first = delegated.account();
    channel.close_as(&world.recipient).unwrap();

    let again = world.open();
    let delegated = again.delegate();
    let mut set = delegated.set_instruction(300, 0);
    // whoever asks now, the rent goes back to who paid it
    set.accounts[1].pubkey = world.stranger.pubkey();
    world.chain.execute(&[set], &[&world.stranger, &world.funder]).unwrap();
    let now = world.chain.clock_now();
    let expected = DelegationAccount {
        channel_opened_slot: again.opened_slot,
        created_slot: now.slot,
        delegation: Delegation::begin(Amount::new(300), 0, now.unix_timestamp).unwrap(),
        ..first.clone()
    };
    assert!(expected.created_slot > first.created_slot);
    assert_eq!(delegated.account(), expected);
}

#[test]
fn a_new_delegation_is_noted_in_the_channel_and_a_changed_one_is_not() {
    let world = World::default();
    let channel = world.open();
    let slot = world.chain.clock_now().slot;
    let before = channel.account();
    let delegated = channel.delegated(1_000);
    let noted = amp_protocol::account::ChannelAccount { delegated_slot: slot, ..before };
    assert_eq!(channel.account(), noted);
    delegated.set(2_000, 0).unwrap();
    assert_eq!(channel.account(), noted);
}

/// Delegated from, closed, opened again and delegated from anew, all in one slot: the new epoch would be
/// the old one, and what the delegate signed in it would count again. `close_channel` sees to it that it
/// can't come to that; here its note is taken away.
#[test]
fn a_delegation_does_not_start_anew_in_the_slot_it_was_created_in() {
    let world = World::default();
    let channel = world.open();
    channel.delegate().set(1_000, 0).unwrap();
    channel.forget_delegated_slot();
    channel.close_as(&world.recipient).unwrap();
    world.try_open(0, 1_000, amp_program_tests::TERMS).unwrap();
    assert_refused(channel.delegate().set(1_000, 0), Rejection::DelegationInCreationSlot);
    world.chain.advance_slots(1);
    channel.delegate().set(1_000, 0).unwrap();
}

#[test]
fn unknown_versions_of_channel_and_delegation_are_refused() {
    let world = World::default();
    let channel = world.open();
    let delegated = channel.delegated(1_000);
    delegated.set_version(2);
    assert_refused(delegated.set(2_000, 0), Rejection::UnknownVersion);
    channel.set_version(2);
    let other = channel.delegate_of(&Keypair::new());
    assert_refused(other.set(2_000, 0), Rejection::UnknownVersion);
}

#[test]
fn several_keys_are_delegates_at_once() {
    let world = World::default();
    let channel = settleable(&world);
    let keys = [Keypair::new(), Keypair::new(), Keypair::new()];
    let delegated: Vec<_> = keys.iter().map(|key| channel.delegate_of(key)).collect();
    for (one, limit) in delegated.iter().zip([100, 200, 300]) {
        one.set(limit, 0).unwrap();
    }
    channel.wait_for_interval();
    for (one, owed) in delegated.iter().zip([100, 200, 300]) {
        one.settle(3, owed).unwrap();
        assert_refused(one.settle(9, owed + 1), Rejection::OwedAboveLimit);
    }
    assert_eq!(channel.account().books.claimed, Amount::new(600));
    assert_eq!(channel.account().signer.claimed, Amount::ZERO);
}
