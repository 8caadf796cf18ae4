//! `close_channel`: who may, what it pays, where everything goes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::arithmetic_side_effects)]

use amp_program_tests::{
    Balances, DEPOSIT, FUNDER_TOKENS, GRACE, TERMS, World, assert_foreign, assert_refused, foreign, signed,
};
use amp_protocol::message::MeteringProof;
use amp_protocol::money::{Amount, Seq};
use amp_protocol::rejection::Rejection;
use amp_sdk::chain::{TOKEN_2022_PROGRAM, TOKEN_PROGRAM, instructions};
use solana_signer::Signer;

#[test]
fn a_cooperative_close_pays_what_is_owed_and_refunds_the_rest() {
    for token_program in [TOKEN_PROGRAM, TOKEN_2022_PROGRAM] {
        let world = World::new(&token_program);
        let lamports = world.chain.lamports(&world.rent_payer.pubkey());
        let channel = world.open();
        channel.close_by_statement(250_000).unwrap();
        let after = Balances::of(&world, &channel, 0);
        assert_eq!((after.funder, after.recipient, after.vault), (FUNDER_TOKENS - 250_000, 250_000, 0));
        assert!(!channel.exists() && world.chain.snapshot(&channel.at.vault).is_none());
        // two signatures on the opening, paid by the rent payer; all rent came back
        assert_eq!(world.chain.lamports(&world.rent_payer.pubkey()), lamports - 10_000);
    }
}

#[test]
fn a_statement_pays_only_what_was_not_settled_before() {
    let world = World::default();
    let channel = world.open();
    channel.wait_for_interval();
    channel.settle(10, 1_000).unwrap();
    channel.close_by_statement(1_500).unwrap();
    let after = Balances::of(&world, &channel, 0);
    assert_eq!((after.funder, after.recipient), (FUNDER_TOKENS - 1_500, 1_500));
}

#[test]
fn a_statement_older_than_the_last_settlement_takes_nothing_back() {
    let world = World::default();
    let channel = world.open();
    channel.wait_for_interval();
    channel.settle(10, 1_000).unwrap();
    channel.close_by_statement(400).unwrap();
    assert_eq!(Balances::of(&world, &channel, 0).recipient, 1_000);
}

#[test]
fn a_statement_is_not_bound_by_rate_or_interval() {
    let world = World::default();
    let channel = world.open();
    channel.close_by_statement(DEPOSIT).unwrap();
    let after = Balances::of(&world, &channel, 0);
    assert_eq!((after.funder, after.recipient), (FUNDER_TOKENS - DEPOSIT, DEPOSIT));
}

#[test]
fn a_statement_above_the_deposit_is_refused() {
    let world = World::default();
    let channel = world.open();
    world.chain.mint_into(&world.mint, &channel.at.vault, Amount::new(1)).unwrap();
    assert_refused(channel.close_by_statement(DEPOSIT + 1), Rejection::StatementAboveDeposit);
}

#[test]
fn the_recipient_closes_at_any_time_and_everything_unsettled_goes_back() {
    let world = World::default();
    let channel = world.open();
    channel.close_as(&world.recipient).unwrap();
    assert_eq!(Balances::of(&world, &channel, 0).funder, FUNDER_TOKENS);
}

#[test]
fn a_donation_blocks_nothing_and_goes_to_the_funder() {
    let world = World::default();
    let channel = world.open();
    world.chain.mint_into(&world.mint, &channel.at.vault, Amount::new(77)).unwrap();
    channel.close_by_statement(100).unwrap();
    let after = Balances::of(&world, &channel, 77);
    assert_eq!((after.funder, after.recipient), (FUNDER_TOKENS - 100 + 77, 100));
}

#[test]
fn a_fully_spent_channel_closes() {
    let world = World::default();
    let channel = world.open_with(2, 1_000, TERMS);
    channel.wait_for_interval();
    channel.settle(10, 1_000).unwrap();
    channel.close_as(&world.recipient).unwrap();
    assert!(!channel.exists());
}

// -- after a request and its grace ---------------------------------------------------------------

#[test]
fn nobody_but_the_recipient_closes_without_a_request_and_its_grace() {
    let world = World::default();
    let channel = world.open();
    for person in [&world.funder, &world.stranger] {
        assert_refused(channel.close_as(person), Rejection::GraceNotOver);
    }
    channel.request_close().unwrap();
    world.chain.advance_seconds(GRACE - 1);
    for person in [&world.funder, &world.stranger] {
        assert_refused(channel.close_as(person), Rejection::GraceNotOver);
    }
    world.chain.advance_seconds(1);
    channel.close_as(&world.stranger).unwrap();
    let after = Balances::of(&world, &channel, 0);
    assert_eq!((after.funder, after.stranger), (FUNDER_TOKENS, FUNDER_TOKENS));
}

#[test]
fn the_recipient_still_collects_within_the_grace() {
    let world = World::default();
    let channel = world.open();
    channel.request_close().unwrap();
    channel.settle(10, 1_000).unwrap();
    world.chain.advance_seconds(GRACE);
    channel.close_as(&world.funder).unwrap();
    let after = Balances::of(&world, &channel, 0);
    assert_eq!((after.funder, after.recipient), (FUNDER_TOKENS - 1_000, 1_000));
}

#[test]
fn without_a_grace_a_request_and_the_close_may_share_a_transaction() {
    let world = World::default();
    let channel = world.open_with(4, DEPOSIT, amp_protocol::rules::Terms { close_grace: 0, ..TERMS });
    let request =
        instructions::request_close(&channel.keys().program_id, &channel.at.channel, &world.funder.pubkey());
    let close = channel.close_instruction(&world.funder.pubkey(), None);
    world.chain.execute(&[request, close], &[&world.funder]).unwrap();
    assert!(!channel.exists());
}

#[test]
fn a_channel_can_not_be_closed_in_the_slot_it_was_opened_in() {
    let world = World::default();
    world.try_open(0, DEPOSIT, TERMS).unwrap();
    let channel = world.open_with(1, DEPOSIT, TERMS);
    channel.close_as(&world.recipient).unwrap();

    world.try_open(1, DEPOSIT, TERMS).unwrap();
    assert_refused(channel.close_as(&world.recipient), Rejection::ClosedInOpeningSlot);
    world.chain.advance_slots(1);
    channel.close_as(&world.recipient).unwrap();
}

/// Closed and opened again in that slot with the delegate as authorized signer, the channel's epoch would be
/// the delegation's, and each of its signatures would count twice.
#[test]
fn a_channel_can_not_be_closed_in_the_slot_a_delegation_was_created_in() {
    let world = World::default();
    let channel = world.open();
    channel.delegate().set(1_000, 0).unwrap();
    assert_refused(channel.close_as(&world.recipient), Rejection::ClosedInDelegationSlot);
    assert_refused(channel.close_by_statement(0), Rejection::ClosedInDelegationSlot);
    world.chain.advance_slots(1);
    channel.close_as(&world.recipient).unwrap();
}

/// A funder that gave its associated account away keeps nobody's rent locked in.
#[test]
fn an_emptied_channel_closes_whatever_became_of_the_funders_account() {
    let world = World::default();
    let channel = world.open_with(2, 1_000, TERMS);
    channel.wait_for_interval();
    channel.settle(10, 1_000).unwrap();
    let mut close = channel.close_instruction(&world.recipient.pubkey(), None);
    close.accounts[4].pubkey = world.stranger_token;
    world.chain.execute(&[close], &[&world.recipient]).unwrap();
    assert!(!channel.exists());
    assert_eq!(world.chain.tokens(&world.stranger_token).get(), FUNDER_TOKENS);
}

#[test]
fn a_closed_channel_opens_again_with_another_epoch() {
    let world = World::default();
    let first = world.open();
    first.close_as(&world.recipient).unwrap();
    let second = world.open();
    assert!(second.at == first.at && second.opened_slot > first.opened_slot);
}

// -- whose statement -----------------------------------------------------------------------------

#[test]
fn a_statement_by_anyone_but_the_recipient_is_refused() {
    let world = World::default();
    let channel = world.open();
    for person in [&world.funder, &world.signer, &world.stranger] {
        let proof = signed(person, &channel.statement(0).to_bytes());
        assert_refused(channel.close_after(&[proof]), Rejection::MessageSigner);
    }
}

#[test]
fn a_statement_of_another_channel_is_refused() {
    let world = World::default();
    let (channel, other) = (world.open(), world.open_with(1, DEPOSIT, TERMS));
    assert_refused(channel.close_after(&[other.statement_proof(0)]), Rejection::MessageChannel);
}

#[test]
fn a_statement_of_an_earlier_incarnation_is_refused() {
    let world = World::default();
    let channel = world.open();
    let old = channel.statement_proof(0);
    channel.close_as(&world.recipient).unwrap();
    let again = world.open();
    assert_refused(again.close_after(&[old]), Rejection::MessageEpoch);
}

#[test]
fn a_credential_is_no_statement() {
    let world = World::default();
    let channel = world.open();
    let proof = signed(&world.recipient, &channel.credential(0).to_bytes());
    assert_refused(channel.close_after(&[proof]), Rejection::MessageKind);
}

#[test]
fn an_old_metering_proof_is_no_statement() {
    let world = World::default();
    let channel = world.open();
    let message = MeteringProof {
        channel: channel.at.channel.to_bytes(),
        epoch: channel.opened_slot,
        signer: world.signer.pubkey().to_bytes(),
        owed: Amount::ZERO,
        calls: 0,
        period_start: 0,
        period_end: 0,
        seq_start: Seq::ZERO,
        seq_end: Seq::ZERO,
    }
    .to_bytes();
    let signature = world.recipient.sign_message(&message);
    let mut proof = channel.statement_proof(0);
    let data: [u8; 236] = amp_protocol::ed25519_instruction::build(
        &world.recipient.pubkey().to_bytes(),
        signature.as_array(),
        &message,
    );
    proof.data = data.to_vec();
    assert_refused(channel.close_after(&[proof]), Rejection::MessageLength);
    // nor its first 52 bytes, which the recipient never signed as such
    let mut cut = channel.statement_proof(0);
    cut.data[112..].copy_from_slice(&message[..52]);
    assert_eq!(channel.close_after(&[cut]).unwrap_err().rejection(), None, "the precompile refuses it");
}

#[test]
fn a_statement_that_is_missing_or_not_just_before_is_refused() {
    let world = World::default();
    let channel = world.open();
    assert_refused(channel.close_after(&[]), Rejection::PrecompileMissing);
    let budget =
        instructions::request_close(&channel.keys().program_id, &channel.at.channel, &world.funder.pubkey());
    assert_refused(
        channel.close_after(&[channel.statement_proof(0), budget]),
        Rejection::PrecompileOtherProgram,
    );
}

#[test]
fn nobody_but_the_funder_closes_by_a_statement() {
    let world = World::default();
    let channel = world.open();
    for person in [&world.stranger, &world.recipient] {
        let close = channel.close_instruction(&person.pubkey(), Some(world.recipient_token));
        let outcome = world.chain.execute(&[channel.statement_proof(DEPOSIT), close], &[person]);
        assert_refused(outcome, Rejection::WrongFunder);
    }
}

// -- where everything goes -----------------------------------------------------------------------

#[test]
fn a_refund_to_an_account_that_is_not_the_funders_is_refused() {
    let world = World::default();
    let channel = world.open();
    channel.request_close().unwrap();
    world.chain.advance_seconds(GRACE);
    for (account, rejection) in [
        (world.stranger_token, Rejection::WrongRefundOwner),
        (world.recipient_token, Rejection::WrongRefundOwner),
        (channel.at.vault, Rejection::WrongRefundOwner),
        (world.mint.address, Rejection::NotATokenAccount),
    ] {
        let mut close = channel.close_instruction(&world.stranger.pubkey(), None);
        close.accounts[4].pubkey = account;
        assert_refused(world.chain.execute(&[close], &[&world.stranger]), rejection);
    }
}

#[test]
fn a_statement_pays_no_account_but_the_recipients() {
    let world = World::default();
    let channel = world.open();
    for account in [world.stranger_token, world.funder_token] {
        let close = channel.close_instruction(&world.funder.pubkey(), Some(account));
        let outcome = world.chain.execute(&[channel.statement_proof(100), close], &[&world.funder]);
        assert_refused(outcome, Rejection::WrongPayoutOwner);
    }
}

#[test]
fn rent_goes_to_nobody_but_the_rent_payer() {
    let world = World::default();
    let channel = world.open();
    let mut close = channel.close_instruction(&world.recipient.pubkey(), None);
    close.accounts[5].pubkey = world.recipient.pubkey();
    assert_refused(world.chain.execute(&[close], &[&world.recipient]), Rejection::WrongRentPayer);
}

#[test]
fn a_look_alike_vault_is_refused() {
    let world = World::default();
    let channel = world.open();
    // anyone can make a token account that the channel's address owns; closing it would strand the real one
    let false_vault = world.chain.mint_to(&world.mint, &channel.at.channel, Amount::ZERO).unwrap();
    let mut close = channel.close_instruction(&world.recipient.pubkey(), None);
    close.accounts[2].pubkey = false_vault;
    assert_refused(world.chain.execute(&[close], &[&world.recipient]), Rejection::WrongVault);
}

#[test]
fn nothing_can_be_done_with_a_closed_channel() {
    let world = World::default();
    let channel = world.open();
    channel.wait_for_interval();
    channel.close_as(&world.recipient).unwrap();
    for outcome in [
        channel.settle(10, 1_000),
        channel.top_up(1),
        channel.request_close(),
        channel.close_as(&world.recipient),
    ] {
        assert_foreign(outcome, foreign::OWNED_BY_WRONG_PROGRAM);
    }
}

// -- found by adversarial review -----------------------------------------------------------------

#[test]
fn naming_the_recipient_or_the_funder_without_its_signature_closes_nothing() {
    let world = World::default();
    let channel = world.open();
    for (closer, payout) in [(&world.recipient, None), (&world.funder, Some(world.recipient_token))] {
        let mut close = channel.close_instruction(&closer.pubkey(), payout);
        close.accounts[0].is_signer = false;
        let outcome = world.chain.execute(&[channel.statement_proof(0), close], &[&world.stranger]);
        assert_foreign(outcome, foreign::NOT_SIGNER);
    }
}

#[test]
fn a_forged_instructions_sysvar_proves_nothing() {
    let world = World::default();
    let channel = world.open();
    // what the sysvar would hold, had the recipient signed a statement over nothing owed
    let forged = {
        let proof = signed(&world.stranger, &channel.statement(0).to_bytes());
        let mut shown = proof.data;
        shown[16..48].copy_from_slice(&world.recipient.pubkey().to_bytes());
        let mut data = vec![1, 0, 4, 0, 0, 0];
        data.extend(proof.program_id.to_bytes());
        data.extend(u16::try_from(shown.len()).unwrap().to_le_bytes());
        data.extend(shown);
        data.extend(1_u16.to_le_bytes());
        data
    };
    let account = solana_keypair::Keypair::new().pubkey();
    let owner = solana_system_interface::program::ID;
    let snapshot = amp_sdk::chain::AccountSnapshot { owner, lamports: 10_000_000, data: forged };
    world.chain.overwrite(&account, snapshot).unwrap();
    let mut close = channel.close_instruction(&world.funder.pubkey(), Some(world.recipient_token));
    close.accounts[8].pubkey = account;
    assert_foreign(world.chain.execute(&[close], &[&world.funder]), foreign::CONSTRAINT_ADDRESS);
}

#[test]
fn a_statement_without_the_sysvar_that_shows_it_is_refused() {
    let world = World::default();
    let channel = world.open();
    let mut close = channel.close_instruction(&world.funder.pubkey(), Some(world.recipient_token));
    close.accounts[8].pubkey = channel.keys().program_id;
    let outcome = world.chain.execute(&[channel.statement_proof(0), close], &[&world.funder]);
    assert_refused(outcome, Rejection::PrecompileMissing);
}

/// A stranger can make a token account and give it to the funder; a funder that is a program would
/// never look there.
#[test]
fn nobody_but_the_funder_chooses_where_the_refund_goes() {
    let world = World::default();
    let channel = world.open();
    let other = solana_keypair::Keypair::new();
    let account = world.chain.create_token_account_at(&world.mint, &world.funder.pubkey(), &other).unwrap();
    channel.request_close().unwrap();
    world.chain.advance_seconds(GRACE);
    let close = |person: &solana_keypair::Keypair| {
        let mut close = channel.close_instruction(&person.pubkey(), None);
        close.accounts[4].pubkey = account;
        world.chain.execute(&[close], &[person])
    };
    for person in [&world.stranger, &world.recipient] {
        assert_refused(close(person), Rejection::RefundNotAssociated);
    }
    close(&world.funder).unwrap();
    assert_eq!(world.chain.tokens(&account).get(), DEPOSIT);
}

/// It can't happen with the token programs there are; if it did, the rest must not be lost too.
#[test]
fn a_vault_that_lost_tokens_still_refunds_what_is_left() {
    let world = World::default();
    let channel = world.open();
    let mut vault = world.chain.snapshot(&channel.at.vault).unwrap();
    vault.data[64..72].copy_from_slice(&(DEPOSIT - 1).to_le_bytes());
    world.chain.overwrite(&channel.at.vault, vault).unwrap();
    channel.close_as(&world.recipient).unwrap();
    assert_eq!(world.chain.tokens(&world.funder_token).get(), FUNDER_TOKENS - 1);
}

#[test]
fn a_close_of_another_mint_version_or_token_program_is_refused() {
    let world = World::default();
    let channel = world.open();
    let close = |at: usize, key| {
        let mut close = channel.close_instruction(&world.recipient.pubkey(), None);
        close.accounts[at].pubkey = key;
        world.chain.execute(&[close], &[&world.recipient])
    };
    assert_refused(close(3, world.chain.create_mint(&TOKEN_PROGRAM).unwrap().address), Rejection::WrongMint);
    assert_foreign(close(6, solana_system_interface::program::ID), foreign::WRONG_PROGRAM);
    channel.set_version(2);
    assert_refused(channel.close_as(&world.recipient), Rejection::UnknownVersion);
}

#[test]
fn a_channel_closed_and_paid_lamports_in_one_transaction_stays_closed() {
    let world = World::default();
    let channel = world.open();
    let fund = |to| solana_system_interface::instruction::transfer(&world.recipient.pubkey(), to, 5_000_000);
    let close = channel.close_instruction(&world.recipient.pubkey(), None);
    let again = [close.clone(), fund(&channel.at.channel), close];
    assert_foreign(world.chain.execute(&again, &[&world.recipient]), foreign::OWNED_BY_WRONG_PROGRAM);
}
