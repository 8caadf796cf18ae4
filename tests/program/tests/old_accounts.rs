//! Accounts that an earlier release wrote: they hold people's money, so every later release reads them,
//! pays out of them and closes them. fixtures/accounts-v1.json was written by the first release that
//! had all instructions; it is never written anew. A layout of version 2 gets a fixture beside it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::arithmetic_side_effects)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use amp_program_tests::{Balances, DEPOSIT, FUNDER_TOKENS, INTERVAL, OpenedChannel, TERMS, World};
use amp_protocol::account::{ChannelAccount, DelegationAccount};
use amp_protocol::money::Amount;
use amp_protocol::rules::{Books, Delegation, RateWindow, SignerBooks, Terms};
use amp_sdk::chain::AccountSnapshot;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use solana_address::Address;
use solana_signer::Signer;

/// When the first of it happened, in Unix seconds.
const BEGIN: i64 = 1_800_000_000;
const ROOT: Terms = Terms { max_chain_depth: 3, ..TERMS };

/// What the fixture is a picture of: a channel that was settled, delegated from (settled and revoked)
/// and chained. Returns the accounts by name.
fn history(world: &World) -> BTreeMap<&'static str, Address> {
    world.chain.set_unix_timestamp(BEGIN);
    let channel = world.open_with(0, DEPOSIT, ROOT);
    let delegated = channel.delegate();
    delegated.set(5_000, BEGIN + 1_000).unwrap();
    channel.wait_for_interval();
    channel.settle(20, 1_999).unwrap();
    delegated.settle(9, 801).unwrap();
    delegated.revoke().unwrap();
    channel.wait_for_interval();
    channel.chain(40, 3_000, ROOT).unwrap();
    channel.top_up(5).unwrap();
    channel.request_close().unwrap();
    let sub = channel.chained(&world.supplier);
    BTreeMap::from([
        ("channel", channel.at.channel),
        ("vault", channel.at.vault),
        ("delegation", delegated.address),
        ("chained channel", sub.at.channel),
        ("chained vault", sub.at.vault),
    ])
}

fn fixture() -> BTreeMap<String, Vec<u8>> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/accounts-v1.json");
    if std::env::var_os("AMP_BLESS").is_some() && !path.exists() {
        let world = World::default();
        let accounts = history(&world);
        let data = |address| STANDARD.encode(world.chain.snapshot(&address).unwrap().data);
        let all: BTreeMap<_, _> = accounts.into_iter().map(|(name, address)| (name, data(address))).collect();
        std::fs::write(&path, serde_json::to_string_pretty(&all).unwrap() + "\n").unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap();
    let all: BTreeMap<String, String> = serde_json::from_str(&text).unwrap();
    all.into_iter().map(|(name, data)| (name, STANDARD.decode(data).unwrap())).collect()
}

#[test]
fn version_1_accounts_read_as_what_they_were() {
    let (world, old) = (World::default(), fixture());
    let accounts = history(&world);
    let key = |person: &solana_keypair::Keypair| person.pubkey().to_bytes();
    let channel = ChannelAccount::decode(&old["channel"]).unwrap();
    let expected = ChannelAccount {
        bump: 255,
        vault_bump: 255,
        chain_depth: 0,
        funder: key(&world.funder),
        recipient: key(&world.recipient),
        authorized_signer: key(&world.signer),
        mint: world.mint.address.to_bytes(),
        vault: accounts["vault"].to_bytes(),
        rent_payer: key(&world.rent_payer),
        parent: [0; 32],
        nonce: 0,
        opened_slot: 1_000,
        delegated_slot: 1_001,
        opened_at: BEGIN,
        closing_at: BEGIN + 2 * i64::from(INTERVAL),
        terms: ROOT,
        books: Books {
            deposited: Amount::new(DEPOSIT + 5),
            claimed: Amount::new(3_801),
            window: RateWindow { started_at: BEGIN + 2 * i64::from(INTERVAL), claimed: Amount::new(1_001) },
            closing: true,
        },
        signer: SignerBooks { claimed: Amount::new(3_000), last_settled_at: BEGIN + 2 * i64::from(INTERVAL) },
    };
    assert_eq!(channel, expected);
    assert_eq!(channel.encode().to_vec(), old["channel"], "every byte is accounted for");

    let delegation = DelegationAccount::decode(&old["delegation"]).unwrap();
    let expected = DelegationAccount {
        bump: 254,
        channel: accounts["channel"].to_bytes(),
        delegate: key(&world.delegate),
        rent_payer: key(&world.rent_payer),
        channel_opened_slot: 1_000,
        created_slot: 1_001,
        delegation: Delegation {
            limit: Amount::new(5_000),
            signer: SignerBooks { claimed: Amount::new(801), last_settled_at: BEGIN + i64::from(INTERVAL) },
            expires_at: BEGIN + 1_000,
            revoked_at: BEGIN + i64::from(INTERVAL),
        },
    };
    assert_eq!(delegation, expected);
    assert_eq!(delegation.encode().to_vec(), old["delegation"], "every byte is accounted for");

    let chained = ChannelAccount::decode(&old["chained channel"]).unwrap();
    assert_eq!((chained.chain_depth, chained.parent), (1, accounts["channel"].to_bytes()));
    assert_eq!(chained.authorized_signer, key(&world.recipient));
}

/// Until a field is added (docs/decisions/0010-how-accounts-grow.md): then this one goes, the others stay.
#[test]
fn the_program_still_writes_these_very_bytes() {
    let (world, old) = (World::default(), fixture());
    for (name, address) in history(&world) {
        assert_eq!(world.chain.snapshot(&address).unwrap().data, old[name], "{name}");
    }
}

#[test]
fn the_program_pays_out_of_version_1_accounts_and_closes_them() {
    let (world, old) = (World::default(), fixture());
    let accounts = history(&world);
    for (name, address) in &accounts {
        let now = world.chain.snapshot(address).unwrap();
        let then = AccountSnapshot { data: old[*name].clone(), ..now };
        world.chain.overwrite(address, then).unwrap();
    }
    let channel = world.opened(0);
    let delegated = channel.delegate();
    let sub: OpenedChannel<'_> = channel.chained(&world.supplier);
    channel.settle(50, 5_000).unwrap();
    delegated.settle(10, 1_000).unwrap();
    sub.wait_for_interval();
    sub.settle(5, 500).unwrap();
    world.chain.advance_seconds(amp_program_tests::GRACE);
    channel.close_as(&world.stranger).unwrap();
    delegated.close().unwrap();
    sub.close_as(&world.supplier).unwrap();
    let after = Balances::of_chain(&world, &[&channel, &sub], 0);
    assert_eq!((after.recipient, after.supplier), (1_999 + 2_000 + 1_000, 500));
    assert_eq!(after.funder, FUNDER_TOKENS - after.recipient - after.supplier);
}
