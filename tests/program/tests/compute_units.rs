//! What each instruction costs, held against docs/compute-units.md: a figure that grows by more than
//! 2 % fails. `AMP_BLESS=1` (`make bless`) writes the figures anew.
//!
//! Keys and nonce are fixed, so derived addresses, and with them the figures, are the same in every run.
#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects)]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use amp_embedded::Executed;
use amp_program_tests::{DEPOSIT, GRACE, OpenedChannel, TERMS, World};
use amp_protocol::rules::Terms;
use amp_sdk::chain::{ChannelAddress, ComputeBudget, PROGRAM_ID, TOKEN_2022_PROGRAM, TOKEN_PROGRAM};
use solana_address::Address;
use solana_keypair::Keypair;
use solana_signer::Signer;

/// What the project promises with SPL Token: `(operation, limit)`.
const PROMISED: &[(&str, u64)] = &[
    ("open_channel", 14_000),
    ("top_up", 6_000),
    ("settle", 6_500),
    ("settle by delegate", 8_000),
    ("chain_channel", 22_000),
    ("close_channel by statement", 9_000),
    ("close_channel by recipient", 9_000),
    ("close_channel after grace", 9_000),
    ("close_channel after grace, bump 253", 9_000),
    ("request_close", 2_500),
];
const TOLERATED_PERCENT: u64 = 2;

const ASSOCIATED_TOKEN_PROGRAM: Address =
    Address::from_str_const("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL");
const CHAINED: Terms = Terms { max_chain_depth: 3, ..TERMS };

/// Operation -> (SPL Token, Token-2022), in the order of a channel's life.
type Figures = Vec<(&'static str, [u64; 2])>;

fn measure() -> Figures {
    let mut figures: Figures = Vec::new();
    for (column, token_program) in [TOKEN_PROGRAM, TOKEN_2022_PROGRAM].iter().enumerate() {
        let mut note = |name: &'static str, done: Executed| {
            let units = amp_units(&done);
            match figures.iter_mut().find(|(known, _)| *known == name) {
                Some((_, row)) => row[column] = units,
                None => figures.push((name, [units, 0])),
            }
        };
        let world = World::new(token_program);
        let (nonce, _) = ChannelAddress::cheapest_from(
            &PROGRAM_ID,
            &world.funder.pubkey(),
            &world.recipient.pubkey(),
            1_000,
        );
        note("open_channel", world.try_open(nonce, DEPOSIT, TERMS).unwrap());
        let channel = world.open_with(u64::MAX, DEPOSIT, CHAINED);
        note("top_up", channel.top_up(1).unwrap());
        channel.wait_for_interval();
        note("settle", channel.settle(10, 500).unwrap());
        let delegate = cheap_delegate(&channel);
        let delegated = channel.delegate_of(&delegate);
        note("set_delegate", delegated.set(1_000, 0).unwrap());
        note("set_delegate, again", delegated.set(2_000, 0).unwrap());
        channel.wait_for_interval();
        note("settle by delegate", delegated.settle(10, 500).unwrap());
        note("revoke_delegate", delegated.revoke().unwrap());
        world.chain.advance_seconds(GRACE + 1);
        note("close_delegation", delegated.close().unwrap());
        let opener = channel.at.channel;
        let (nonce, _) = ChannelAddress::cheapest_from(&PROGRAM_ID, &opener, &world.supplier.pubkey(), 1_000);
        let chain = channel.chain_instruction(&world.supplier.pubkey(), None, 900, nonce, CHAINED);
        note("chain_channel", world.chain.execute(&[channel.proof(10), chain], &[&world.recipient]).unwrap());
        note("close_channel by statement", channel.close_by_statement(2_000).unwrap());
        let channel = world.open();
        note("close_channel by recipient", channel.close_as(&world.recipient).unwrap());
        let channel = world.open();
        note("request_close", channel.request_close().unwrap());
        world.chain.advance_seconds(GRACE);
        note("close_channel after grace", channel.close_as(&world.stranger).unwrap());
        let world = world_with_associated_bump(token_program, 253);
        let channel = world.open();
        channel.request_close().unwrap();
        world.chain.advance_seconds(GRACE);
        note("close_channel after grace, bump 253", channel.close_as(&world.stranger).unwrap());
    }
    figures
}

/// A world whose mint gives the funder's associated token account this bump.
fn world_with_associated_bump(token_program: &Address, wanted: u8) -> World {
    let chain = amp_program_tests::chain();
    loop {
        let mint = chain.create_mint(token_program).unwrap();
        let funder = World::without_tokens(chain.fork(), mint).funder.pubkey();
        let seeds = [funder.as_ref(), token_program.as_ref(), mint.address.as_ref()];
        if Address::find_program_address(&seeds, &ASSOCIATED_TOKEN_PROGRAM).1 == wanted {
            return World::with_mint(chain, mint);
        }
    }
}

/// A fixed key whose delegation has the bump 255.
fn cheap_delegate(channel: &OpenedChannel<'_>) -> Keypair {
    let keys = (100..).map(|seed| Keypair::new_from_array([seed; 32]));
    let bump = |key: &Keypair| {
        let seeds = [amp_protocol::seeds::DELEGATION, channel.at.channel.as_ref(), &key.pubkey().to_bytes()];
        Address::find_program_address(&seeds, &PROGRAM_ID).1
    };
    keys.into_iter().find(|key| bump(key) == u8::MAX).unwrap()
}

/// Units of the AMP instruction alone, as the runtime logs them: the precompile costs none.
fn amp_units(done: &Executed) -> u64 {
    let prefix = format!("Program {} consumed ", amp_sdk::chain::PROGRAM_ID);
    let line = done.logs.iter().rev().find_map(|line| line.strip_prefix(&prefix)).unwrap();
    line.split(' ').next().unwrap().parse().unwrap()
}

fn page(figures: &Figures) -> String {
    let mut page = String::from(
        "# Compute units\n\n\
         Written by `make bless` from `tests/program/tests/compute_units.rs`: the real bytecode on LiteSVM, fixed\n\
         keys, the AMP instruction alone with its calls into the token program. A figure that grows by more than\n\
         2 % fails `make test`. SPL Token is today's p-token.\n\n\
         Promised is what no release may exceed. Derived addresses: of `open_channel` and `chain_channel` (channel\n\
         and vault) and of a new delegation. Here their bumps are 255. So they are in every channel that the SDK\n\
         opens: it takes the next nonce for which they are. A delegate's key is what it is: the first bump below\n\
         255 adds 3,000, each further one 1,500, so half of all new delegations cost more than this. A close by\n\
         anyone but the funder holds the refund account against the funder's associated one, whose bump nobody\n\
         chooses: each below 255 adds some 200. The SDK's compute budgets cover bumps and the slowest token program\n\
         (`chain::ComputeBudget`).\n\n\
         | operation | SPL Token | Token-2022 | promised (SPL Token) |\n| --- | ---: | ---: | ---: |\n",
    );
    for (name, [spl, token_2022]) in figures {
        let promised = PROMISED.iter().find(|(known, _)| known == name).map(|(_, limit)| limit.to_string());
        let _ = writeln!(page, "| {name} | {spl} | {token_2022} | {} |", promised.unwrap_or_default());
    }
    page
}

fn read(page: &str) -> BTreeMap<String, Vec<u64>> {
    let rows = page.lines().filter_map(|line| line.strip_prefix("| ")).skip(1);
    let cells = rows.map(|row| row.split('|').map(str::trim).collect::<Vec<_>>());
    let figures = |row: &[&str]| row[1..3].iter().filter_map(|cell| cell.parse().ok()).collect();
    cells.filter(|row| row.len() > 2).map(|row| (row[0].to_owned(), figures(&row))).collect()
}

#[test]
fn no_instruction_costs_more_than_was_promised_or_two_percent_more_than_before() {
    let figures = measure();
    eprintln!("{}", page(&figures));
    for (name, limit) in PROMISED {
        let (_, [spl, _]) = figures.iter().find(|(known, _)| known == name).unwrap();
        assert!(spl <= limit, "{name}: {spl} compute units, promised at most {limit}");
    }
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/compute-units.md");
    if std::env::var_os("AMP_BLESS").is_some() {
        std::fs::write(&path, page(&figures)).unwrap();
        return;
    }
    let before =
        read(&std::fs::read_to_string(&path).expect("docs/compute-units.md; write it with `make bless`"));
    for (name, now) in &figures {
        let before = before
            .get(*name)
            .unwrap_or_else(|| panic!("{name} is not in docs/compute-units.md: `make bless`"));
        for (now, before) in now.iter().zip(before) {
            assert!(
                now * 100 <= before * (100 + TOLERATED_PERCENT),
                "{name}: {now} compute units, {before} before; bring it down, or `make bless` and say why",
            );
        }
    }
}

/// The SDK asks for enough whichever token program it meets, and for no more than that takes.
#[test]
fn the_budgets_cover_what_is_measured_and_the_slowest_token_program() {
    const SLOW_TRANSFER: u64 = 6_200;
    const SLOW_CREATE: u64 = 4_500;
    const SLOW_CLOSE: u64 = 3_000;
    let world = World::default();
    let (_, at) =
        ChannelAddress::cheapest_from(&PROGRAM_ID, &world.funder.pubkey(), &world.recipient.pubkey(), 1_000);
    let figures = measure();
    let channel = world.open();
    let delegate = cheap_delegate(&channel).pubkey();
    let set_delegate = ComputeBudget::set_delegate(&PROGRAM_ID, &channel.at.channel, &delegate);
    for (name, budget, slower) in [
        ("open_channel", ComputeBudget::open(&at), SLOW_TRANSFER + SLOW_CREATE),
        ("chain_channel", ComputeBudget::chain(&at), SLOW_TRANSFER + SLOW_CREATE),
        ("settle by delegate", ComputeBudget::settle_by_delegate(), SLOW_TRANSFER),
        ("set_delegate", set_delegate, 0),
        ("revoke_delegate", ComputeBudget::revoke_delegate(), 0),
        ("close_delegation", ComputeBudget::close_delegation(), 0),
        ("top_up", ComputeBudget::top_up(), SLOW_TRANSFER),
        ("settle", ComputeBudget::settle(), SLOW_TRANSFER),
        ("request_close", ComputeBudget::request_close(), 0),
        ("close_channel by statement", ComputeBudget::close(), 2 * SLOW_TRANSFER + SLOW_CLOSE),
    ] {
        let (_, measured) = figures.iter().find(|(known, _)| *known == name).unwrap();
        let worst = (measured[0] + slower).max(measured[1]);
        let units = u64::from(budget.units());
        assert!(worst <= units, "{name}: {units} asked for, {worst} needed");
        assert!(units <= 2 * worst + 2_500, "{name}: {units} asked for, only {worst} needed");
    }
}
