//! `open_channel`: what it makes, and each rule broken.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::arithmetic_side_effects)]

use amp_program_tests::{
    DEPOSIT, FUNDER_TOKENS, GRACE, INTERVAL, TERMS, World, assert_foreign, assert_refused, chain, foreign,
};
use amp_protocol::account::ChannelAccount;
use amp_protocol::message::Key;
use amp_protocol::money::Amount;
use amp_protocol::rejection::Rejection;
use amp_protocol::rules::{Books, RateWindow, SignerBooks, Terms};
use amp_sdk::chain::{AccountSnapshot, ChannelAddress, PROGRAM_ID, TOKEN_2022_PROGRAM, TOKEN_PROGRAM};
use solana_signer::Signer;
use spl_token_2022_interface::extension::ExtensionType;
use spl_token_2022_interface::{extension, instruction as token};

#[test]
fn opening_moves_the_deposit_and_records_what_was_agreed() {
    for token_program in [TOKEN_PROGRAM, TOKEN_2022_PROGRAM] {
        let world = World::new(&token_program);
        let before = world.chain.clock_now();
        let channel = world.open();
        assert_eq!(channel.vault_tokens(), DEPOSIT);
        assert_eq!(world.chain.tokens(&world.funder_token).get(), FUNDER_TOKENS - DEPOSIT);
        let time = before.unix_timestamp;
        let zero: Key = [0; 32];
        let expected = ChannelAccount {
            bump: channel.at.bump,
            vault_bump: channel.at.vault_bump,
            chain_depth: 0,
            funder: world.funder.pubkey().to_bytes(),
            recipient: world.recipient.pubkey().to_bytes(),
            authorized_signer: world.signer.pubkey().to_bytes(),
            mint: world.mint.address.to_bytes(),
            vault: channel.at.vault.to_bytes(),
            rent_payer: world.rent_payer.pubkey().to_bytes(),
            parent: zero,
            nonce: 0,
            opened_slot: before.slot,
            delegated_slot: 0,
            opened_at: time,
            closing_at: 0,
            terms: Terms { settle_interval: INTERVAL, close_grace: GRACE, ..TERMS },
            books: Books {
                deposited: Amount::new(DEPOSIT),
                claimed: Amount::ZERO,
                window: RateWindow { started_at: time, claimed: Amount::ZERO },
                closing: false,
            },
            signer: SignerBooks { claimed: Amount::ZERO, last_settled_at: time },
        };
        assert_eq!(channel.account(), expected);
    }
}

#[test]
fn terms_out_of_bounds_are_refused_each_by_its_own_error() {
    let world = World::default();
    for (terms, rejection) in [
        (Terms { unit_price: 0, ..TERMS }, Rejection::ZeroUnitPrice),
        (Terms { rate_limit: 0, ..TERMS }, Rejection::ZeroRateLimit),
        (Terms { settle_interval: 0, ..TERMS }, Rejection::SettleIntervalOutOfRange),
        (Terms { settle_interval: 2_592_001, ..TERMS }, Rejection::SettleIntervalOutOfRange),
        (Terms { close_grace: 2_592_001, ..TERMS }, Rejection::CloseGraceOutOfRange),
        (Terms { max_chain_depth: 4, ..TERMS }, Rejection::ChainDepthOutOfRange),
    ] {
        assert_refused(world.try_open(0, DEPOSIT, terms), rejection);
    }
    assert_eq!(world.chain.tokens(&world.funder_token).get(), FUNDER_TOKENS);
}

#[test]
fn a_deposit_of_nothing_is_refused() {
    assert_refused(World::default().try_open(0, 0, TERMS), Rejection::ZeroAmount);
}

#[test]
fn a_channel_with_oneself_is_refused() {
    let mut world = World::default();
    world.recipient = world.funder.insecure_clone();
    assert_refused(world.try_open(0, DEPOSIT, TERMS), Rejection::SelfPayment);
}

#[test]
fn a_deposit_the_funder_does_not_have_is_refused_by_the_token_program() {
    let world = World::default();
    assert_foreign(world.try_open(0, FUNDER_TOKENS + 1, TERMS), foreign::INSUFFICIENT_FUNDS);
}

#[test]
fn a_deposit_needs_the_funders_signature_and_the_funders_tokens() {
    let mut world = World::default();
    world.funder_token = world.stranger_token;
    assert_foreign(world.try_open(0, DEPOSIT, TERMS), foreign::OWNER_MISMATCH);

    let world = World::default();
    let mut instruction = world.open_instruction(0, DEPOSIT, TERMS);
    instruction.accounts[0].is_signer = false;
    assert_foreign(world.chain.execute(&[instruction], &[&world.rent_payer]), foreign::NOT_SIGNER);
}

#[test]
fn a_channel_or_vault_stands_at_its_derived_address_or_nowhere() {
    let world = World::default();
    let at =
        |nonce| ChannelAddress::derive(&PROGRAM_ID, &world.funder.pubkey(), &world.recipient.pubkey(), nonce);
    let (own, elsewhere) = (at(0), at(1));
    // the vault that goes with the other channel, too: else its address would be what is refused
    for (channel, vault) in [(elsewhere.channel, elsewhere.vault), (own.channel, elsewhere.vault)] {
        let mut instruction = world.open_instruction(0, DEPOSIT, TERMS);
        instruction.accounts[5].pubkey = channel;
        instruction.accounts[6].pubkey = vault;
        let outcome = world.chain.execute(&[instruction], &[&world.rent_payer, &world.funder]);
        assert_refused(outcome, Rejection::WrongDerivedAddress);
    }
}

#[test]
fn the_same_channel_opens_once_and_another_nonce_opens_another() {
    let world = World::default();
    world.open();
    assert_foreign(world.try_open(0, DEPOSIT, TERMS), foreign::ALREADY_IN_USE);
    let second = world.open_with(1, 5, TERMS);
    assert_eq!(second.vault_tokens(), 5);
}

#[test]
fn lamports_sent_ahead_to_channel_and_vault_block_nothing_and_go_to_the_rent_payer() {
    let world = World::default();
    let at = ChannelAddress::derive(&PROGRAM_ID, &world.funder.pubkey(), &world.recipient.pubkey(), 0);
    for (address, lamports) in [(at.channel, 1), (at.vault, 50_000_000)] {
        // below rent exemption a cluster would refuse such a transfer; the account is there all the same
        let owner = solana_system_interface::program::ID;
        world.chain.overwrite(&address, AccountSnapshot { owner, lamports, data: vec![] }).unwrap();
    }
    let before = world.chain.lamports(&world.rent_payer.pubkey());
    let channel = world.open();
    assert_eq!(channel.vault_tokens(), DEPOSIT);
    channel.close_as(&world.recipient).unwrap();
    let fees = 2 * 5_000;
    assert_eq!(world.chain.lamports(&world.rent_payer.pubkey()) + fees, before + 50_000_001);
}

#[test]
fn a_mint_that_could_move_trap_or_change_the_deposit_is_refused() {
    use ExtensionType as E;
    let p = &TOKEN_2022_PROGRAM;
    type Initialize =
        Box<dyn Fn(&solana_address::Address, &solana_address::Address) -> solana_instruction::Instruction>;
    let cases: Vec<(E, Initialize)> = vec![
        (
            E::TransferFeeConfig,
            Box::new(|mint, authority| {
                extension::transfer_fee::instruction::initialize_transfer_fee_config(
                    p,
                    mint,
                    Some(authority),
                    Some(authority),
                    0,
                    0,
                )
                .unwrap()
            }),
        ),
        (
            E::TransferHook,
            Box::new(|mint, authority| {
                extension::transfer_hook::instruction::initialize(p, mint, Some(*authority), None).unwrap()
            }),
        ),
        (
            E::PermanentDelegate,
            Box::new(|mint, authority| token::initialize_permanent_delegate(p, mint, authority).unwrap()),
        ),
        (E::NonTransferable, Box::new(|mint, _| token::initialize_non_transferable_mint(p, mint).unwrap())),
        (
            E::MintCloseAuthority,
            Box::new(|mint, authority| {
                token::initialize_mint_close_authority(p, mint, Some(authority)).unwrap()
            }),
        ),
        (
            E::InterestBearingConfig,
            Box::new(|mint, authority| {
                extension::interest_bearing_mint::instruction::initialize(p, mint, Some(*authority), 1)
                    .unwrap()
            }),
        ),
        (
            E::DefaultAccountState,
            Box::new(|mint, _| {
                let frozen = spl_token_2022_interface::state::AccountState::Frozen;
                extension::default_account_state::instruction::initialize_default_account_state(
                    p, mint, &frozen,
                )
                .unwrap()
            }),
        ),
        (
            E::Pausable,
            Box::new(|mint, authority| {
                extension::pausable::instruction::initialize(p, mint, authority).unwrap()
            }),
        ),
        (
            E::ScaledUiAmount,
            Box::new(|mint, authority| {
                extension::scaled_ui_amount::instruction::initialize(p, mint, Some(*authority), 1.0).unwrap()
            }),
        ),
        (
            E::ConfidentialTransferMint,
            Box::new(|mint, authority| {
                extension::confidential_transfer::instruction::initialize_mint(
                    p,
                    mint,
                    Some(*authority),
                    true,
                    None,
                )
                .unwrap()
            }),
        ),
    ];
    for (kind, initialize) in cases {
        let chain = chain();
        let mint = chain
            .create_mint_with(p, &[kind], |mint, authority| vec![initialize(mint, authority)])
            .unwrap_or_else(|error| panic!("{kind:?}: {error}"));
        // tokens of such a mint can't all be handed out, and need not be: the mint is looked at first
        let world = World::without_tokens(chain, mint);
        assert_refused(world.try_open(0, DEPOSIT, TERMS), Rejection::MintExtensionRefused);
    }
}

#[test]
fn a_mint_with_metadata_only_is_accepted() {
    let chain = chain();
    let mint = chain
        .create_mint_with(&TOKEN_2022_PROGRAM, &[ExtensionType::MetadataPointer], |mint, authority| {
            vec![
                extension::metadata_pointer::instruction::initialize(
                    &TOKEN_2022_PROGRAM,
                    mint,
                    Some(*authority),
                    Some(*mint),
                )
                .unwrap(),
            ]
        })
        .unwrap();
    let world = World::with_mint(chain, mint);
    assert_eq!(world.open().vault_tokens(), DEPOSIT);
}

#[test]
fn a_mint_of_the_other_token_program_is_refused() {
    for (mint_of, called) in [(TOKEN_PROGRAM, TOKEN_2022_PROGRAM), (TOKEN_2022_PROGRAM, TOKEN_PROGRAM)] {
        let world = World::new(&mint_of);
        let mut instruction = world.open_instruction(0, DEPOSIT, TERMS);
        instruction.accounts[8].pubkey = called;
        let outcome = world.chain.execute(&[instruction], &[&world.rent_payer, &world.funder]);
        assert_refused(outcome, Rejection::MintNotOfTokenProgram);
        assert_eq!(world.chain.tokens(&world.funder_token).get(), FUNDER_TOKENS);
    }
}

#[test]
fn one_key_may_be_funder_rent_payer_and_authorized_signer() {
    let mut world = World::default();
    world.rent_payer = world.funder.insecure_clone();
    world.signer = world.funder.insecure_clone();
    let lamports = world.chain.lamports(&world.funder.pubkey());
    let channel = world.open();
    channel.wait_for_interval();
    channel.settle(10, 1_000).unwrap();
    channel.close_by_statement(1_000).unwrap();
    assert_eq!(world.chain.tokens(&world.funder_token).get(), FUNDER_TOKENS - 1_000);
    // one signature to open; one, and the statement's, to close
    assert_eq!(world.chain.lamports(&world.funder.pubkey()), lamports - 15_000);
}
