//! `top_up`: anyone adds, the funder's refund grows.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::arithmetic_side_effects)]

use amp_program_tests::{Balances, DEPOSIT, FUNDER_TOKENS, World, assert_foreign, assert_refused, foreign};
use amp_protocol::money::Amount;
use amp_protocol::rejection::Rejection;
use amp_sdk::chain::{TOKEN_2022_PROGRAM, TOKEN_PROGRAM, instructions};
use solana_signer::Signer;

#[test]
fn a_top_up_adds_to_the_deposit_and_nothing_else() {
    for token_program in [TOKEN_PROGRAM, TOKEN_2022_PROGRAM] {
        let world = World::new(&token_program);
        let channel = world.open();
        let mut expected = channel.account();
        channel.top_up(500).unwrap();
        expected.books.deposited = Amount::new(DEPOSIT + 500);
        assert_eq!(channel.account(), expected);
        assert_eq!(Balances::of(&world, &channel, 0).vault, DEPOSIT + 500);
    }
}

#[test]
fn a_stranger_may_top_up_and_the_refund_still_goes_to_the_funder() {
    let world = World::default();
    let channel = world.open();
    let instruction = instructions::top_up(
        &channel.keys(),
        &world.stranger.pubkey(),
        &world.stranger_token,
        Amount::new(500),
    );
    world.chain.execute(&[instruction], &[&world.stranger]).unwrap();
    channel.close_as(&world.recipient).unwrap();
    let after = Balances::of(&world, &channel, 0);
    assert_eq!((after.funder, after.stranger), (FUNDER_TOKENS + 500, FUNDER_TOKENS - 500));
}

#[test]
fn a_top_up_of_nothing_is_refused() {
    let world = World::default();
    assert_refused(world.open().top_up(0), Rejection::ZeroAmount);
}

#[test]
fn a_closing_channel_takes_no_top_up() {
    let world = World::default();
    let channel = world.open();
    channel.request_close().unwrap();
    assert_refused(channel.top_up(1), Rejection::Closing);
}

#[test]
fn a_deposit_past_64_bits_is_refused() {
    let world = World::default();
    assert_refused(world.open().top_up(u64::MAX), Rejection::DepositOverflow);
}

#[test]
fn a_top_up_into_another_vault_or_of_another_mint_is_refused() {
    let world = World::default();
    let (channel, other) = (world.open(), world.open_with(1, 5, amp_program_tests::TERMS));
    let top_up = |change: &dyn Fn(&mut instructions::ChannelKeys)| {
        let mut keys = channel.keys();
        change(&mut keys);
        let funder = world.funder.pubkey();
        let instruction = instructions::top_up(&keys, &funder, &world.funder_token, Amount::new(1));
        world.chain.execute(&[instruction], &[&world.funder])
    };
    assert_refused(top_up(&|keys| keys.vault = other.at.vault), Rejection::WrongVault);
    let mint = world.chain.create_mint(&TOKEN_PROGRAM).unwrap();
    assert_refused(top_up(&|keys| keys.mint = mint.address), Rejection::WrongMint);
}

#[test]
fn tokens_are_not_taken_without_their_owners_signature() {
    let world = World::default();
    let channel = world.open();
    let instruction =
        instructions::top_up(&channel.keys(), &world.stranger.pubkey(), &world.funder_token, Amount::new(1));
    assert_foreign(world.chain.execute(&[instruction], &[&world.stranger]), foreign::OWNER_MISMATCH);
}

#[test]
fn a_channel_of_an_unknown_version_takes_no_top_up() {
    let world = World::default();
    let channel = world.open();
    channel.set_version(2);
    assert_refused(channel.top_up(1), Rejection::UnknownVersion);
}

#[test]
fn another_program_in_place_of_the_token_program_is_refused() {
    let world = World::default();
    let mut keys = world.open().keys();
    keys.token_program = solana_system_interface::program::ID;
    let top_up = instructions::top_up(&keys, &world.funder.pubkey(), &world.funder_token, Amount::new(1));
    assert_foreign(world.chain.execute(&[top_up], &[&world.funder]), foreign::WRONG_PROGRAM);
}
