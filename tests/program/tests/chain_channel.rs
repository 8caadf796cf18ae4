//! `chain_channel`: a service pays its supplier from the upstream budget; what is not earned goes back
//! to the root funder.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::arithmetic_side_effects)]

use amp_program_tests::{
    Balances, DEPOSIT, FUNDER_TOKENS, GRACE, INTERVAL, OpenedChannel, TERMS, World, assert_foreign,
    assert_refused, foreign,
};
use amp_protocol::account::ChannelAccount;
use amp_protocol::money::Amount;
use amp_protocol::rejection::Rejection;
use amp_protocol::rules::{Books, RateWindow, SignerBooks, Terms};
use amp_sdk::chain::{AccountSnapshot, ChannelAddress, PROGRAM_ID, TOKEN_2022_PROGRAM, TOKEN_PROGRAM};
use solana_keypair::Keypair;
use solana_signer::Signer;

/// Terms of a root below which two levels may be chained.
const ROOT: Terms = Terms { max_chain_depth: 2, ..TERMS };
/// Terms of what is chained: each differs from the root's.
const SUB: Terms =
    Terms { unit_price: 7, rate_limit: 300_000, settle_interval: 30, close_grace: 60, max_chain_depth: 2 };

fn root(world: &World) -> OpenedChannel<'_> {
    let channel = world.open_with(0, DEPOSIT, ROOT);
    channel.wait_for_interval();
    channel
}

#[test]
fn chaining_settles_upstream_and_opens_a_channel_with_what_that_pays() {
    for token_program in [TOKEN_PROGRAM, TOKEN_2022_PROGRAM] {
        let world = World::new(&token_program);
        let channel = root(&world);
        let mut upstream = channel.account();
        let clock = world.chain.clock_now();
        channel.chain(10, 999, SUB).unwrap();
        upstream.books.claimed = Amount::new(999);
        upstream.books.window =
            RateWindow { started_at: upstream.opened_at + i64::from(INTERVAL), claimed: Amount::new(999) };
        upstream.signer = SignerBooks { claimed: Amount::new(999), last_settled_at: clock.unix_timestamp };
        assert_eq!(channel.account(), upstream);

        let sub = channel.chained(&world.supplier);
        let expected = ChannelAccount {
            bump: sub.at.bump,
            vault_bump: sub.at.vault_bump,
            chain_depth: 1,
            funder: world.funder.pubkey().to_bytes(),
            recipient: world.supplier.pubkey().to_bytes(),
            authorized_signer: world.recipient.pubkey().to_bytes(),
            mint: world.mint.address.to_bytes(),
            vault: sub.at.vault.to_bytes(),
            rent_payer: world.recipient.pubkey().to_bytes(),
            parent: channel.at.channel.to_bytes(),
            nonce: 0,
            opened_slot: clock.slot,
            delegated_slot: 0,
            opened_at: clock.unix_timestamp,
            closing_at: 0,
            terms: SUB,
            books: Books {
                deposited: Amount::new(999),
                claimed: Amount::ZERO,
                window: RateWindow { started_at: clock.unix_timestamp, claimed: Amount::ZERO },
                closing: false,
            },
            signer: SignerBooks { claimed: Amount::ZERO, last_settled_at: clock.unix_timestamp },
        };
        assert_eq!(sub.account(), expected);
        assert_eq!((channel.vault_tokens(), sub.vault_tokens()), (DEPOSIT - 999, 999));
        assert_eq!(Balances::of_chain(&world, &[&channel, &sub], 0).recipient, 0);
    }
}

#[test]
fn the_supplier_is_paid_on_the_services_word_and_the_rest_goes_to_the_root_funder() {
    let world = World::default();
    let channel = root(&world);
    channel.chain(500, 50_000, SUB).unwrap();
    let sub = channel.chained(&world.supplier);
    sub.wait_for_interval();
    // the agent's key has no say here, the service's has
    let by_agent = amp_program_tests::signed(&world.signer, &sub.credential(100).to_bytes());
    assert_refused(sub.settle_after(&[by_agent], 700), Rejection::MessageSigner);
    assert_refused(sub.settle(100, 701), Rejection::OwedAboveCeiling);
    sub.settle(100, 700).unwrap();
    sub.close_as(&world.supplier).unwrap();
    channel.close_as(&world.recipient).unwrap();
    let after = Balances::of_chain(&world, &[&channel, &sub], 0);
    assert_eq!((after.funder, after.recipient, after.supplier), (FUNDER_TOKENS - 700, 0, 700));
}

#[test]
fn the_root_funder_forces_a_chained_channel_closed() {
    let world = World::default();
    let channel = root(&world);
    channel.chain(10, 1_000, SUB).unwrap();
    let sub = channel.chained(&world.supplier);
    assert_refused(sub.request_close_as(&world.recipient), Rejection::WrongFunder);
    sub.request_close().unwrap();
    sub.settle(10, 70).unwrap();
    world.chain.advance_seconds(SUB.close_grace);
    sub.close_as(&world.stranger).unwrap();
    let after = Balances::of_chain(&world, &[&channel, &sub], 0);
    assert_eq!((after.funder, after.supplier), (FUNDER_TOKENS - DEPOSIT + 930, 70));
}

#[test]
fn a_chained_channel_is_closed_by_the_root_funder_with_the_suppliers_statement() {
    let world = World::default();
    let channel = root(&world);
    channel.chain(10, 1_000, SUB).unwrap();
    let sub = channel.chained(&world.supplier);
    sub.close_by_statement(70).unwrap();
    let after = Balances::of_chain(&world, &[&channel, &sub], 0);
    assert_eq!((after.funder, after.supplier), (FUNDER_TOKENS - DEPOSIT + 930, 70));
}

#[test]
fn a_chain_ends_at_the_depth_the_root_allows() {
    let world = World::default();
    let last = Keypair::new();
    world.chain.airdrop(&last.pubkey(), 1_000_000_000).unwrap();
    let channel = root(&world);
    channel.chain(500, 50_000, SUB).unwrap();
    let second = channel.chained(&world.supplier);
    second.wait_for_interval();
    second.chain_to(&last, 5_000, 30_000, SUB).unwrap();
    let third = second.chained(&last);
    assert_eq!((third.account().chain_depth, third.account().terms.max_chain_depth), (2, 2));
    third.wait_for_interval();
    let outcome = third.chain_to(&world.stranger, 2_000, 10_000, SUB);
    assert_refused(outcome, Rejection::ChainTooDeep);
    // whoever stands between, the refund is the root funder's
    third.close_as(&last).unwrap();
    second.close_as(&world.supplier).unwrap();
    channel.close_as(&world.recipient).unwrap();
    assert_eq!(Balances::of_chain(&world, &[&channel], 0).funder, FUNDER_TOKENS);
}

#[test]
fn a_channel_whose_root_allows_no_chain_has_none() {
    let world = World::default();
    let channel = world.open();
    channel.wait_for_interval();
    assert_refused(channel.chain(10, 1_000, SUB), Rejection::ChainTooDeep);
}

#[test]
fn chaining_is_bounded_like_a_settlement() {
    let world = World::default();
    let channel = world.open_with(0, DEPOSIT, ROOT);
    assert_refused(channel.chain(10, 1_000, SUB), Rejection::SettleEarly);
    channel.wait_for_interval();
    for (seq, owed, rejection) in [
        (10, 1_001, Rejection::OwedAboveCeiling),
        (10, 0, Rejection::OwedNotAboveClaimed),
        (99_999, DEPOSIT + 1, Rejection::ClaimedAboveDeposit),
        (99_999, ROOT.rate_limit + 1, Rejection::RateExceeded),
    ] {
        assert_refused(channel.chain(seq, owed, SUB), rejection);
    }
    // what is chained and what is settled share the window, and each claim counts once
    channel.chain(10, 1_000, SUB).unwrap();
    channel.wait_for_interval();
    assert_refused(channel.settle(10, 1_000), Rejection::OwedNotAboveClaimed);
    channel.settle(20, 1_500).unwrap();
    assert_eq!(channel.account().books.claimed, Amount::new(1_500));
}

#[test]
fn chaining_under_a_delegates_credential_is_bounded_by_its_delegation() {
    let world = World::default();
    let channel = root(&world);
    let delegated = channel.delegated(800);
    channel.wait_for_interval();
    let chain = |owed, address| {
        let chain = channel.chain_instruction(&world.supplier.pubkey(), Some(address), owed, 0, SUB);
        world.chain.execute(&[delegated.proof(10), chain], &[&world.recipient])
    };
    assert_refused(chain(801, delegated.address), Rejection::OwedAboveLimit);
    let other = channel.delegate_of(&Keypair::new());
    other.set(900, 0).unwrap();
    assert_refused(chain(500, other.address), Rejection::MessageSigner);
    chain(800, delegated.address).unwrap();
    assert_eq!(delegated.account().delegation.signer.claimed, Amount::new(800));
    assert_eq!(channel.account().signer.claimed, Amount::ZERO);
    assert_eq!(channel.chained(&world.supplier).vault_tokens(), 800);
}

#[test]
fn terms_of_a_chained_channel_are_held_to_an_openings_bounds_and_the_parents_grace() {
    let world = World::default();
    let channel = root(&world);
    for (terms, rejection) in [
        (Terms { unit_price: 0, ..SUB }, Rejection::ZeroUnitPrice),
        (Terms { rate_limit: 0, ..SUB }, Rejection::ZeroRateLimit),
        (Terms { settle_interval: 0, ..SUB }, Rejection::SettleIntervalOutOfRange),
        (Terms { settle_interval: 2_592_001, ..SUB }, Rejection::SettleIntervalOutOfRange),
        (Terms { close_grace: 2_592_001, ..SUB }, Rejection::CloseGraceOutOfRange),
        (Terms { close_grace: GRACE + 1, ..SUB }, Rejection::GraceAboveParent),
    ] {
        assert_refused(channel.chain(10, 1_000, terms), rejection);
    }
    channel.chain(10, 1_000, Terms { close_grace: GRACE, ..SUB }).unwrap();
}

#[test]
fn nothing_is_chained_while_the_funder_waits_for_its_refund() {
    let world = World::default();
    let channel = root(&world);
    channel.request_close().unwrap();
    assert_refused(channel.chain(10, 1_000, SUB), Rejection::Closing);
    channel.settle(10, 1_000).unwrap();
}

#[test]
fn only_the_recipient_chains() {
    let world = World::default();
    let channel = root(&world);
    for person in [&world.funder, &world.stranger, &world.supplier] {
        let mut chain = channel.chain_instruction(&world.supplier.pubkey(), None, 1_000, 0, SUB);
        chain.accounts[0].pubkey = person.pubkey();
        chain.accounts[1].pubkey = person.pubkey();
        let outcome = world.chain.execute(&[channel.proof(10), chain], &[person]);
        assert_refused(outcome, Rejection::WrongRecipient);
    }
    for unsigned in [0, 1] {
        let mut chain = channel.chain_instruction(&world.supplier.pubkey(), None, 1_000, 0, SUB);
        chain.accounts[1 - unsigned].pubkey = match unsigned {
            0 => world.stranger.pubkey(),
            _ => world.recipient.pubkey(),
        };
        chain.accounts[unsigned].pubkey =
            if unsigned == 0 { world.recipient.pubkey() } else { world.stranger.pubkey() };
        chain.accounts[unsigned].is_signer = false;
        let signer = if unsigned == 0 { &world.stranger } else { &world.recipient };
        let outcome = world.chain.execute(&[channel.proof(10), chain], &[signer]);
        assert_foreign(outcome, foreign::NOT_SIGNER);
    }
}

#[test]
fn a_channel_to_the_root_funder_is_refused() {
    let world = World::default();
    let channel = root(&world);
    assert_refused(channel.chain_to(&world.funder, 10, 1_000, SUB), Rejection::SelfPayment);
}

#[test]
fn accounts_of_another_channel_mint_or_program_are_refused() {
    let world = World::default();
    let channel = root(&world);
    let other = world.open_with(1, DEPOSIT, ROOT);
    let chain = |at: usize, key| {
        let mut chain = channel.chain_instruction(&world.supplier.pubkey(), None, 1_000, 0, SUB);
        chain.accounts[at].pubkey = key;
        world.chain.execute(&[channel.proof(10), chain], &[&world.recipient])
    };
    let elsewhere = ChannelAddress::derive(&PROGRAM_ID, &channel.at.channel, &world.supplier.pubkey(), 1);
    assert_refused(chain(2, other.at.channel), Rejection::WrongVault);
    assert_refused(chain(3, other.at.vault), Rejection::WrongVault);
    assert_refused(chain(4, world.chain.create_mint(&TOKEN_PROGRAM).unwrap().address), Rejection::WrongMint);
    assert_refused(chain(6, elsewhere.channel), Rejection::WrongDerivedAddress);
    assert_refused(chain(7, elsewhere.vault), Rejection::WrongDerivedAddress);
    assert_refused(chain(7, channel.at.vault), Rejection::WrongDerivedAddress);
    assert_foreign(chain(8, PROGRAM_ID), foreign::WRONG_PROGRAM);
    assert_foreign(chain(9, TOKEN_PROGRAM), foreign::WRONG_PROGRAM);
    assert_foreign(chain(10, world.stranger.pubkey()), foreign::CONSTRAINT_ADDRESS);
    channel.set_version(2);
    assert_refused(channel.chain(10, 1_000, SUB), Rejection::UnknownVersion);
}

#[test]
fn a_mint_is_not_chained_through_the_other_token_program() {
    let world = World::default();
    let channel = root(&world);
    let mut chain = channel.chain_instruction(&world.supplier.pubkey(), None, 1_000, 0, SUB);
    chain.accounts[8].pubkey = TOKEN_2022_PROGRAM;
    let outcome = world.chain.execute(&[channel.proof(10), chain], &[&world.recipient]);
    assert_refused(outcome, Rejection::MintNotOfTokenProgram);
}

#[test]
fn an_address_that_is_taken_is_not_chained_to_and_lamports_there_block_nothing() {
    let world = World::default();
    let channel = root(&world);
    channel.chain(10, 400, SUB).unwrap();
    channel.wait_for_interval();
    assert_foreign(channel.chain(10, 900, SUB), foreign::ALREADY_IN_USE);
    assert_eq!(channel.account().books.claimed, Amount::new(400), "nothing was booked");

    let at = ChannelAddress::derive(&PROGRAM_ID, &channel.at.channel, &world.supplier.pubkey(), 1);
    for address in [at.channel, at.vault] {
        let owner = solana_system_interface::program::ID;
        let sent = AccountSnapshot { owner, lamports: 9, data: vec![] };
        world.chain.overwrite(&address, sent).unwrap();
    }
    let chain = channel.chain_instruction(&world.supplier.pubkey(), None, 900, 1, SUB);
    world.chain.execute(&[channel.proof(10), chain], &[&world.recipient]).unwrap();
}

#[test]
fn chaining_without_a_credential_just_before_is_refused() {
    let world = World::default();
    let channel = root(&world);
    let chain = channel.chain_instruction(&world.supplier.pubkey(), None, 1_000, 0, SUB);
    let outcome = world.chain.execute(std::slice::from_ref(&chain), &[&world.recipient]);
    assert_refused(outcome, Rejection::PrecompileMissing);
    let statement = channel.statement_proof(1_000);
    assert_refused(world.chain.execute(&[statement, chain], &[&world.recipient]), Rejection::MessageKind);
}

/// At an address that the funder's signature opens, a recipient could put a channel of its own between a
/// close and a top-up that is under way, and take the top-up.
#[test]
fn a_channel_is_not_chained_to_where_only_the_funder_opens() {
    let world = World::default();
    let channel = root(&world);
    for opener in [world.funder.pubkey(), world.recipient.pubkey(), world.supplier.pubkey()] {
        let at = ChannelAddress::derive(&PROGRAM_ID, &opener, &world.supplier.pubkey(), 0);
        let mut chain = channel.chain_instruction(&world.supplier.pubkey(), None, 1_000, 0, SUB);
        chain.accounts[6].pubkey = at.channel;
        chain.accounts[7].pubkey = at.vault;
        let outcome = world.chain.execute(&[channel.proof(10), chain], &[&world.recipient]);
        assert_refused(outcome, Rejection::WrongDerivedAddress);
    }
}

/// What was chained is the upstream recipient's to spend: the funder gets back what is not.
#[test]
fn the_root_funder_delegates_nobody_on_a_chained_channel() {
    let world = World::default();
    let channel = root(&world);
    channel.chain(10, 1_000, SUB).unwrap();
    let sub = channel.chained(&world.supplier);
    assert_refused(sub.delegate().set(1_000, 0), Rejection::ChainedChannel);
}

#[test]
fn a_chained_channel_is_topped_up_like_any_other() {
    let world = World::default();
    let channel = root(&world);
    channel.chain(10, 1_000, SUB).unwrap();
    let sub = channel.chained(&world.supplier);
    sub.top_up(500).unwrap();
    sub.wait_for_interval();
    sub.settle(1_000, 1_500).unwrap();
    let after = Balances::of_chain(&world, &[&channel, &sub], 0);
    assert_eq!((after.supplier, sub.vault_tokens()), (1_500, 0));
}
