//! `settle` with a delegate's credential: the limit, the end, the grace, and whose delegation it is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::arithmetic_side_effects)]

use amp_program_tests::{
    Balances, DEPOSIT, GRACE, INTERVAL, TERMS, World, assert_foreign, assert_refused, foreign, settleable,
    signed,
};
use amp_protocol::message::Credential;
use amp_protocol::money::{Amount, Seq};
use amp_protocol::rejection::Rejection;
use amp_protocol::rules::Terms;
use amp_sdk::chain::{TOKEN_2022_PROGRAM, TOKEN_PROGRAM};
use solana_keypair::Keypair;
use solana_signer::Signer;

#[test]
fn a_settlement_books_the_delegate_and_the_channel_but_not_the_authorized_signer() {
    for token_program in [TOKEN_PROGRAM, TOKEN_2022_PROGRAM] {
        let world = World::new(&token_program);
        let channel = settleable(&world);
        let delegated = channel.delegated(5_000);
        channel.wait_for_interval();
        let (mut books, mut delegation) = (channel.account(), delegated.account());
        delegated.settle(10, 999).unwrap();
        let now = world.chain.clock_now().unix_timestamp;
        books.books.claimed = Amount::new(999);
        books.books.window.claimed = Amount::new(999);
        books.books.window.started_at = books.opened_at + 2 * i64::from(INTERVAL);
        delegation.delegation.signer.claimed = Amount::new(999);
        delegation.delegation.signer.last_settled_at = now;
        assert_eq!(channel.account(), books);
        assert_eq!(delegated.account(), delegation);
        let after = Balances::of(&world, &channel, 0);
        assert_eq!((after.recipient, after.vault), (999, DEPOSIT - 999));
    }
}

#[test]
fn limit_and_ceiling_can_be_reached_but_not_passed() {
    let world = World::default();
    let channel = settleable(&world);
    let delegated = channel.delegated(1_000);
    channel.wait_for_interval();
    assert_refused(delegated.settle(20, 1_001), Rejection::OwedAboveLimit);
    assert_refused(delegated.settle(9, 901), Rejection::OwedAboveCeiling);
    delegated.settle(9, 900).unwrap();
    channel.wait_for_interval();
    delegated.settle(20, 1_000).unwrap();
    channel.wait_for_interval();
    assert_refused(delegated.settle(u64::MAX, 1_001), Rejection::OwedAboveLimit);
    assert_refused(delegated.settle(20, 1_000), Rejection::OwedNotAboveClaimed);
    assert_eq!(Balances::of(&world, &channel, 0).recipient, 1_000);
}

#[test]
fn signers_share_deposit_and_rate_and_nothing_else() {
    let world = World::default();
    let channel = world.open_with(7, 500_000, TERMS);
    let delegated = channel.delegated(1_000_000);
    channel.wait_for_interval();
    channel.settle(3_000, 300_000).unwrap();
    assert_refused(delegated.settle(9_999, TERMS.rate_limit - 300_000 + 1), Rejection::RateExceeded);
    delegated.settle(1_000, 100_000).unwrap();
    channel.wait_for_interval();
    assert_refused(delegated.settle(9_999, 200_001), Rejection::ClaimedAboveDeposit);
    delegated.settle(2_000, 200_000).unwrap();
    let account = channel.account();
    assert_eq!((account.books.claimed.get(), account.signer.claimed.get()), (500_000, 300_000));
}

#[test]
fn each_signer_waits_for_its_own_interval() {
    let world = World::default();
    let channel = settleable(&world);
    let delegated = channel.delegated(1_000);
    channel.settle(1, 100).unwrap();
    assert_refused(delegated.settle(1, 100), Rejection::SettleEarly);
    world.chain.advance_seconds(INTERVAL);
    delegated.settle(1, 100).unwrap();
    channel.settle(2, 200).unwrap();
    channel.request_close().unwrap();
    delegated.settle(2, 200).unwrap();
}

#[test]
fn what_a_revoked_delegate_signed_is_settled_within_the_grace_and_not_later() {
    let world = World::default();
    let channel = settleable(&world);
    let delegated = channel.delegated(1_000);
    delegated.revoke().unwrap();
    // no interval is waited for: one longer than the grace would make it uncollectable
    delegated.settle(1, 100).unwrap();
    delegated.settle(2, 200).unwrap();
    world.chain.advance_seconds(GRACE);
    delegated.settle(3, 300).unwrap();
    world.chain.advance_seconds(1);
    assert_refused(delegated.settle(4, 400), Rejection::DelegationOver);
    assert_eq!(Balances::of(&world, &channel, 0).recipient, 300);
}

#[test]
fn what_an_expired_delegate_signed_is_settled_within_the_grace_and_not_later() {
    let world = World::default();
    let channel = settleable(&world);
    let delegated = channel.delegate();
    delegated.set(1_000, world.chain.clock_now().unix_timestamp + 10).unwrap();
    world.chain.advance_seconds(9);
    assert_refused(delegated.settle(1, 100), Rejection::SettleEarly);
    world.chain.advance_seconds(1);
    delegated.settle(1, 100).unwrap();
    // revoked after it expired: the expiry came first
    world.chain.advance_seconds(GRACE - 1);
    delegated.revoke().unwrap();
    world.chain.advance_seconds(1);
    delegated.settle(2, 200).unwrap();
    world.chain.advance_seconds(1);
    assert_refused(delegated.settle(3, 300), Rejection::DelegationOver);
}

#[test]
fn a_closing_channel_does_not_outlive_a_delegations_end() {
    let world = World::default();
    let channel = settleable(&world);
    let delegated = channel.delegated(1_000);
    delegated.revoke().unwrap();
    world.chain.advance_seconds(GRACE - 1);
    channel.request_close().unwrap();
    world.chain.advance_seconds(2);
    assert_refused(delegated.settle(1, 100), Rejection::DelegationOver);
}

// -- whose credential, whose delegation ----------------------------------------------------------

#[test]
fn a_delegates_credential_counts_only_with_its_delegation() {
    let world = World::default();
    let channel = settleable(&world);
    let delegated = channel.delegated(1_000);
    channel.wait_for_interval();
    assert_refused(channel.settle_after(&[delegated.proof(1)], 100), Rejection::MessageSigner);
    assert_refused(delegated.settle_after(&[channel.proof(1)], 100), Rejection::MessageSigner);
    let other = channel.delegate_of(&Keypair::new());
    other.set(1_000, 0).unwrap();
    assert_refused(delegated.settle_after(&[other.proof(1)], 100), Rejection::MessageSigner);
}

#[test]
fn a_credential_of_the_delegate_for_another_epoch_is_worthless() {
    let world = World::default();
    let channel = settleable(&world);
    let delegated = channel.delegated(1_000);
    channel.wait_for_interval();
    let mut message = delegated.credential(1);
    for epoch in [channel.opened_slot, message.epoch + 1, 0] {
        message.epoch = epoch;
        let proof = signed(&world.delegate, &message.to_bytes());
        assert_refused(delegated.settle_after(&[proof], 100), Rejection::MessageEpoch);
    }
}

#[test]
fn a_delegation_of_another_channel_is_refused() {
    let world = World::default();
    let (channel, other) = (settleable(&world), world.open_with(1, DEPOSIT, TERMS));
    let theirs = other.delegated(1_000);
    channel.wait_for_interval();
    let settle = channel.settle_instruction_with(Some(&theirs.address), 100);
    let outcome = world.chain.execute(&[theirs.proof(1), settle], &[&world.recipient]);
    assert_refused(outcome, Rejection::WrongDelegation);
}

#[test]
fn a_delegation_of_an_earlier_incarnation_is_worthless() {
    let world = World::default();
    let channel = settleable(&world);
    let delegated = channel.delegated(1_000);
    channel.close_as(&world.recipient).unwrap();
    let again = world.open();
    again.wait_for_interval();
    let delegated = again.delegate_of(&delegated.key);
    assert_refused(delegated.settle(1, 100), Rejection::DelegationOfEarlierChannel);
    assert_refused(delegated.revoke(), Rejection::DelegationOfEarlierChannel);
}

#[test]
fn what_was_signed_for_a_delegation_is_worthless_once_it_is_made_anew() {
    let world = World::default();
    let channel = settleable(&world);
    let delegated = channel.delegated(1_000);
    let old = delegated.proof(5);
    delegated.revoke().unwrap();
    world.chain.advance_seconds(GRACE + 1);
    delegated.close().unwrap();
    delegated.set(1_000, 0).unwrap();
    channel.wait_for_interval();
    assert_refused(delegated.settle_after(&[old], 500), Rejection::MessageEpoch);
    delegated.settle(5, 500).unwrap();
}

#[test]
fn accounts_that_are_no_delegation_are_refused() {
    let world = World::default();
    let channel = settleable(&world);
    let delegated = channel.delegated(1_000);
    channel.wait_for_interval();
    let settle = |address| {
        let settle = channel.settle_instruction_with(Some(&address), 100);
        world.chain.execute(&[delegated.proof(1), settle], &[&world.recipient])
    };
    assert_foreign(settle(channel.at.channel), foreign::WRONG_DISCRIMINATOR);
    assert_foreign(settle(world.stranger.pubkey()), foreign::OWNED_BY_WRONG_PROGRAM);
    // the very bytes, in an account of someone else's
    let mut copy = world.chain.snapshot(&delegated.address).unwrap();
    copy.owner = solana_system_interface::program::ID;
    let address = Keypair::new().pubkey();
    world.chain.overwrite(&address, copy).unwrap();
    assert_foreign(settle(address), foreign::OWNED_BY_WRONG_PROGRAM);
    let proof = delegated.proof(1);
    delegated.set_version(2);
    assert_refused(delegated.settle_after(&[proof], 100), Rejection::UnknownVersion);
}

#[test]
fn a_delegation_that_is_passed_read_only_pays_nothing() {
    let world = World::default();
    let channel = settleable(&world);
    let delegated = channel.delegated(1_000);
    channel.wait_for_interval();
    let mut settle = channel.settle_instruction_with(Some(&delegated.address), 100);
    settle.accounts[7].is_writable = false;
    let outcome = world.chain.execute(&[delegated.proof(1), settle], &[&world.recipient]);
    assert_foreign(outcome, foreign::NOT_MUTABLE);
}

/// The authorized signer's epoch and a delegate's can be one slot: the keys tell them apart.
#[test]
fn a_delegate_of_the_opening_slot_has_books_of_its_own() {
    let world = World::default();
    world.try_open(3, DEPOSIT, Terms { settle_interval: 1, ..TERMS }).unwrap();
    let delegate = Keypair::new();
    // both in the same slot
    let channel = {
        let at = amp_sdk::chain::ChannelAddress::derive(
            &amp_sdk::chain::PROGRAM_ID,
            &world.funder.pubkey(),
            &world.recipient.pubkey(),
            3,
        );
        let parties = amp_sdk::chain::instructions::DelegationParties {
            funder: world.funder.pubkey(),
            rent_payer: world.rent_payer.pubkey(),
            channel: at.channel,
            delegate: delegate.pubkey(),
        };
        let program = &amp_sdk::chain::PROGRAM_ID;
        let set = amp_sdk::chain::instructions::set_delegate(program, &parties, Amount::new(1_000), 0);
        world.chain.execute(&[set], &[&world.rent_payer, &world.funder]).unwrap();
        world.opened(3)
    };
    let delegated = channel.delegate_of(&delegate);
    assert_eq!(delegated.account().created_slot, channel.opened_slot);
    channel.wait_for_interval();
    let credential = Credential { seq: Seq::new(5), ..channel.credential(5) };
    let by_signer = signed(&world.signer, &credential.to_bytes());
    assert_refused(delegated.settle_after(std::slice::from_ref(&by_signer), 500), Rejection::MessageSigner);
    channel.settle_after(&[by_signer], 500).unwrap();
    delegated.settle(5, 500).unwrap();
    assert_eq!(Balances::of(&world, &channel, 0).recipient, 1_000);
}
