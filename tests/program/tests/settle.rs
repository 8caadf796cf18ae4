//! `settle`: pays exactly what was signed for, when it may, and to whom.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::arithmetic_side_effects)]

use amp_program_tests::{
    Balances, DEPOSIT, INTERVAL, TERMS, World, assert_foreign, assert_refused, foreign, settleable, signed,
};
use amp_protocol::message::MeteringProof;
use amp_protocol::money::{Amount, Seq};
use amp_protocol::rejection::Rejection;
use amp_sdk::chain::{TOKEN_2022_PROGRAM, TOKEN_PROGRAM, instructions};
use solana_signer::Signer;

#[test]
fn a_settlement_pays_what_is_owed_and_books_it() {
    for token_program in [TOKEN_PROGRAM, TOKEN_2022_PROGRAM] {
        let world = World::new(&token_program);
        let channel = settleable(&world);
        let mut expected = channel.account();
        channel.settle(10, 999).unwrap();
        let now = world.chain.clock_now().unix_timestamp;
        expected.books.claimed = Amount::new(999);
        expected.books.window.claimed = Amount::new(999);
        expected.books.window.started_at = expected.opened_at + i64::from(INTERVAL);
        expected.signer.claimed = Amount::new(999);
        expected.signer.last_settled_at = now;
        assert_eq!(channel.account(), expected);
        let after = Balances::of(&world, &channel, 0);
        assert_eq!((after.recipient, after.vault), (999, DEPOSIT - 999));
    }
}

#[test]
fn later_settlements_pay_the_difference_only() {
    let world = World::default();
    let channel = settleable(&world);
    channel.settle(10, 400).unwrap();
    channel.wait_for_interval();
    channel.settle(10, 1_000).unwrap();
    assert_eq!(Balances::of(&world, &channel, 0).recipient, 1_000);
}

#[test]
fn the_ceiling_can_be_reached_but_not_passed() {
    let world = World::default();
    let channel = settleable(&world);
    assert_refused(channel.settle(10, 1_001), Rejection::OwedAboveCeiling);
    channel.settle(10, 1_000).unwrap();
}

#[test]
fn what_was_claimed_is_not_claimed_again() {
    let world = World::default();
    let channel = settleable(&world);
    channel.settle(10, 1_000).unwrap();
    channel.wait_for_interval();
    for owed in [1_000, 999, 0] {
        assert_refused(channel.settle(20, owed), Rejection::OwedNotAboveClaimed);
    }
    assert_eq!(Balances::of(&world, &channel, 0).recipient, 1_000);
}

#[test]
fn a_settlement_before_the_interval_is_refused_at_the_start_and_after_each() {
    let world = World::default();
    let channel = world.open();
    world.chain.advance_seconds(INTERVAL - 1);
    assert_refused(channel.settle(10, 1_000), Rejection::SettleEarly);
    world.chain.advance_seconds(1);
    channel.settle(10, 500).unwrap();
    assert_refused(channel.settle(10, 1_000), Rejection::SettleEarly);
}

#[test]
fn a_closing_channel_is_settled_without_waiting() {
    let world = World::default();
    let channel = world.open();
    assert_refused(channel.settle(10, 1_000), Rejection::SettleEarly);
    channel.request_close().unwrap();
    channel.settle(10, 1_000).unwrap();
    channel.settle(20, 2_000).unwrap();
    assert_eq!(Balances::of(&world, &channel, 0).recipient, 2_000);
}

#[test]
fn a_window_pays_the_rate_limit_and_no_more_closing_or_not() {
    let world = World::default();
    let channel = settleable(&world);
    let limit = TERMS.rate_limit;
    assert_refused(channel.settle(9_999, limit + 1), Rejection::RateExceeded);
    channel.settle(9_999, limit).unwrap();
    channel.request_close().unwrap();
    assert_refused(channel.settle(9_999, limit + 1), Rejection::RateExceeded);
    channel.wait_for_interval();
    channel.settle(9_999, 2 * limit).unwrap();
    assert_eq!(Balances::of(&world, &channel, 0).recipient, 2 * limit);
}

#[test]
fn an_unused_window_saves_nothing_for_the_next() {
    let world = World::default();
    let channel = settleable(&world);
    world.chain.advance_seconds(10 * INTERVAL);
    assert_refused(channel.settle(9_999, TERMS.rate_limit + 1), Rejection::RateExceeded);
}

/// No cluster's clock does; a closing channel waits for no interval that would refuse it first.
#[test]
fn a_clock_that_goes_back_pays_no_window_twice() {
    let world = World::default();
    let channel = settleable(&world);
    channel.request_close().unwrap();
    channel.settle(9_999, TERMS.rate_limit).unwrap();
    world.chain.set_unix_timestamp(channel.account().opened_at);
    assert_refused(channel.settle(9_999, TERMS.rate_limit + 1), Rejection::RateExceeded);
}

#[test]
fn no_more_than_the_deposit_is_paid_however_much_was_signed_for() {
    let world = World::default();
    let channel = world.open_with(3, 1_000, TERMS);
    channel.wait_for_interval();
    assert_refused(channel.settle(u64::MAX, 1_001), Rejection::ClaimedAboveDeposit);
    channel.settle(u64::MAX, 1_000).unwrap();
}

#[test]
fn a_donation_to_the_vault_can_not_be_claimed() {
    let world = World::default();
    let channel = world.open_with(3, 1_000, TERMS);
    channel.wait_for_interval();
    world.chain.mint_into(&world.mint, &channel.at.vault, Amount::new(50)).unwrap();
    assert_refused(channel.settle(9_999, 1_050), Rejection::ClaimedAboveDeposit);
}

// -- whose signature, over what ----------------------------------------------------------------

#[test]
fn a_credential_of_another_channel_is_refused() {
    let world = World::default();
    let (channel, other) = (world.open(), world.open_with(1, DEPOSIT, TERMS));
    channel.wait_for_interval();
    assert_refused(channel.settle_after(&[other.proof(10)], 1_000), Rejection::MessageChannel);
}

#[test]
fn a_credential_of_an_earlier_incarnation_is_refused() {
    let world = World::default();
    let channel = world.open();
    let old = channel.proof(10);
    channel.close_as(&world.recipient).unwrap();
    let again = settleable(&world);
    assert_eq!(again.at, channel.at);
    assert_refused(again.settle_after(&[old], 1_000), Rejection::MessageEpoch);
}

#[test]
fn a_credential_by_anyone_but_the_authorized_signer_is_refused() {
    let world = World::default();
    let channel = settleable(&world);
    for person in [&world.funder, &world.recipient, &world.stranger] {
        let proof = signed(person, &channel.credential(10).to_bytes());
        assert_refused(channel.settle_after(&[proof], 1_000), Rejection::MessageSigner);
    }
}

#[test]
fn a_forged_signature_fails_in_the_precompile() {
    let world = World::default();
    let channel = settleable(&world);
    let mut proof = channel.proof(10);
    proof.data[48] ^= 1;
    let error = channel.settle_after(&[proof], 1_000).unwrap_err();
    assert_eq!(error.rejection(), None);
    assert_eq!(Balances::of(&world, &channel, 0).recipient, 0);
}

#[test]
fn a_close_statement_is_no_credential() {
    let world = World::default();
    let channel = settleable(&world);
    let proof = signed(&world.signer, &channel.statement(1_000).to_bytes());
    assert_refused(channel.settle_after(&[proof], 1_000), Rejection::MessageKind);
}

#[test]
fn a_metering_proof_is_no_credential() {
    let world = World::default();
    let channel = settleable(&world);
    let proof = MeteringProof {
        channel: channel.at.channel.to_bytes(),
        epoch: channel.opened_slot,
        signer: world.signer.pubkey().to_bytes(),
        owed: Amount::new(1_000),
        calls: 1,
        period_start: 0,
        period_end: 0,
        seq_start: Seq::new(1),
        seq_end: Seq::new(10),
    };
    let message = proof.to_bytes();
    let signature = world.signer.sign_message(&message);
    let data: [u8; 236] = amp_protocol::ed25519_instruction::build(
        &world.signer.pubkey().to_bytes(),
        signature.as_array(),
        &message,
    );
    let mut instruction = channel.proof(10);
    instruction.data = data.to_vec();
    assert_refused(channel.settle_after(&[instruction], 1_000), Rejection::MessageLength);
}

// -- who settles, and to where -------------------------------------------------------------------

#[test]
fn only_the_recipient_settles() {
    let world = World::default();
    let channel = settleable(&world);
    for person in [&world.funder, &world.stranger] {
        let settle = instructions::settle(
            &channel.keys(),
            &person.pubkey(),
            &world.recipient_token,
            None,
            Amount::new(1_000),
        );
        let outcome = world.chain.execute(&[channel.proof(10), settle], &[person]);
        assert_refused(outcome, Rejection::WrongRecipient);
    }
    let mut unsigned = channel.settle_instruction(1_000);
    unsigned.accounts[0].is_signer = false;
    assert_foreign(
        world.chain.execute(&[channel.proof(10), unsigned], &[&world.stranger]),
        foreign::NOT_SIGNER,
    );
}

#[test]
fn a_payout_to_an_account_that_is_not_the_recipients_is_refused() {
    let world = World::default();
    let channel = settleable(&world);
    for (account, rejection) in [
        (world.stranger_token, Rejection::WrongPayoutOwner),
        (world.funder_token, Rejection::WrongPayoutOwner),
        (channel.at.vault, Rejection::WrongPayoutOwner),
        (world.mint.address, Rejection::NotATokenAccount),
        (world.recipient.pubkey(), Rejection::NotATokenAccount),
    ] {
        let settle = instructions::settle(
            &channel.keys(),
            &world.recipient.pubkey(),
            &account,
            None,
            Amount::new(1_000),
        );
        assert_refused(world.chain.execute(&[channel.proof(10), settle], &[&world.recipient]), rejection);
    }
}

#[test]
fn a_settlement_out_of_another_channels_vault_is_refused() {
    let world = World::default();
    let (channel, other) = (settleable(&world), world.open_with(1, DEPOSIT, TERMS));
    let mut keys = channel.keys();
    keys.vault = other.at.vault;
    let settle = instructions::settle(
        &keys,
        &world.recipient.pubkey(),
        &world.recipient_token,
        None,
        Amount::new(1_000),
    );
    let outcome = world.chain.execute(&[channel.proof(10), settle], &[&world.recipient]);
    assert_refused(outcome, Rejection::WrongVault);
}

#[test]
fn a_channel_of_a_version_the_program_does_not_know_is_refused() {
    let world = World::default();
    let channel = settleable(&world);
    channel.set_version(2);
    assert_refused(channel.settle(10, 1_000), Rejection::UnknownVersion);
}

#[test]
fn an_account_that_only_looks_like_a_channel_is_refused() {
    let world = World::default();
    let channel = settleable(&world);
    let mut account = world.chain.snapshot(&channel.at.channel).unwrap();
    account.owner = world.stranger.pubkey();
    world.chain.overwrite(&channel.at.channel, account).unwrap();
    assert_foreign(channel.settle(10, 1_000), foreign::OWNED_BY_WRONG_PROGRAM);
}

#[test]
fn an_account_of_the_program_that_is_no_channel_is_refused() {
    let world = World::default();
    let channel = settleable(&world);
    let mut account = world.chain.snapshot(&channel.at.channel).unwrap();
    account.data[0] ^= 1;
    world.chain.overwrite(&channel.at.channel, account).unwrap();
    assert_foreign(channel.settle(10, 1_000), foreign::WRONG_DISCRIMINATOR);
}

#[test]
fn another_program_in_place_of_the_token_program_is_refused() {
    let world = World::default();
    let channel = settleable(&world);
    let mut settle = channel.settle_instruction(1_000);
    settle.accounts[5].pubkey = solana_system_interface::program::ID;
    let outcome = world.chain.execute(&[channel.proof(10), settle], &[&world.recipient]);
    assert_foreign(outcome, foreign::WRONG_PROGRAM);
}

#[test]
fn bytes_that_only_look_like_the_recipients_token_account_are_refused() {
    let world = World::default();
    let channel = settleable(&world);
    let mut account = world.chain.snapshot(&world.recipient_token).unwrap();
    account.owner = world.stranger.pubkey();
    let false_account = solana_keypair::Keypair::new().pubkey();
    world.chain.overwrite(&false_account, account).unwrap();
    let mut settle = channel.settle_instruction(1_000);
    settle.accounts[4].pubkey = false_account;
    let outcome = world.chain.execute(&[channel.proof(10), settle], &[&world.recipient]);
    assert_refused(outcome, Rejection::NotATokenAccount);
}

#[test]
fn a_settlement_of_another_mint_is_refused() {
    let world = World::default();
    let channel = settleable(&world);
    let mut settle = channel.settle_instruction(1_000);
    settle.accounts[3].pubkey = world.chain.create_mint(&TOKEN_PROGRAM).unwrap().address;
    let outcome = world.chain.execute(&[channel.proof(10), settle], &[&world.recipient]);
    assert_refused(outcome, Rejection::WrongMint);
}

#[test]
fn a_vault_that_holds_less_than_is_booked_pays_nothing() {
    let world = World::default();
    let channel = settleable(&world);
    let mut vault = world.chain.snapshot(&channel.at.vault).unwrap();
    vault.data[64..72].copy_from_slice(&(DEPOSIT - 1).to_le_bytes());
    world.chain.overwrite(&channel.at.vault, vault).unwrap();
    assert_refused(channel.settle(10, 1_000), Rejection::VaultShort);
}

#[test]
fn books_that_do_not_add_up_are_written_no_further() {
    let world = World::default();
    let channel = settleable(&world);
    let mut account = world.chain.snapshot(&channel.at.channel).unwrap();
    let at = 8 + amp_protocol::account::offset::SIGNER_CLAIMED;
    // more claimed by the signer than by all signers
    account.data[at..at + 8].copy_from_slice(&5_u64.to_le_bytes());
    world.chain.overwrite(&channel.at.channel, account).unwrap();
    assert_refused(channel.settle(10, 1_000), Rejection::InvariantBroken);
}

#[test]
fn one_credential_pays_one_settlement_in_a_transaction_too() {
    let world = World::default();
    let channel = world.open();
    channel.request_close().unwrap();
    let twice = |owed| [channel.proof(10), channel.settle_instruction(500), channel.settle_instruction(owed)];
    let outcome = world.chain.execute(&twice(1_000), &[&world.recipient]);
    assert_refused(outcome, Rejection::PrecompileOtherProgram);
    let each = [
        channel.proof(10),
        channel.settle_instruction(500),
        channel.proof(20),
        channel.settle_instruction(2_000),
    ];
    world.chain.execute(&each, &[&world.recipient]).unwrap();
    assert_eq!(Balances::of(&world, &channel, 0).recipient, 2_000);
}
