//! One event per state change, with every amount as it is afterwards: decoded from the logs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::arithmetic_side_effects)]

use amp::events::{
    ChannelChained, ChannelClosed, ChannelOpened, CloseRequested, DelegateRevoked, DelegateSet,
    DelegationClosed, Settled, ToppedUp,
};
use amp_embedded::Executed;
use amp_program_tests::{DEPOSIT, GRACE, INTERVAL, TERMS, World};
use anchor_lang::{AnchorDeserialize, Discriminator};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use solana_address::Address;
use solana_signer::Signer;

/// The one event of a transaction.
fn event<E: AnchorDeserialize + Discriminator>(done: &Executed) -> E {
    let data: Vec<_> = done.logs.iter().filter_map(|line| line.strip_prefix("Program data: ")).collect();
    let [data] = data[..] else { panic!("expected one event:\n{}", done.logs.join("\n")) };
    let bytes = STANDARD.decode(data).unwrap();
    let body = bytes.strip_prefix(E::DISCRIMINATOR).expect("an event of this kind");
    E::try_from_slice(body).unwrap()
}

fn bytes(key: Address) -> [u8; 32] {
    key.to_bytes()
}

#[test]
fn an_opening_tells_parties_and_terms() {
    let world = World::default();
    let slot = world.chain.clock_now().slot;
    let told: ChannelOpened = event(&world.try_open(9, DEPOSIT, TERMS).unwrap());
    assert_eq!(told.funder.to_bytes(), bytes(world.funder.pubkey()));
    assert_eq!(told.recipient.to_bytes(), bytes(world.recipient.pubkey()));
    assert_eq!(told.authorized_signer.to_bytes(), bytes(world.signer.pubkey()));
    assert_eq!(told.mint.to_bytes(), bytes(world.mint.address));
    assert_eq!((told.nonce, told.opened_slot, told.deposited), (9, slot, DEPOSIT));
    assert_eq!((told.unit_price, told.rate_limit), (TERMS.unit_price, TERMS.rate_limit));
    assert_eq!((told.settle_interval, told.close_grace, told.max_chain_depth), (INTERVAL, GRACE, 0));
}

#[test]
fn a_top_up_and_settlements_tell_the_books_after_them() {
    let world = World::default();
    let channel = world.open();
    let told: ToppedUp = event(&channel.top_up(500).unwrap());
    assert_eq!(told.channel.to_bytes(), bytes(channel.at.channel));
    assert_eq!((told.amount, told.deposited, told.claimed), (500, DEPOSIT + 500, 0));

    channel.request_close().unwrap();
    channel.settle(10, 400).unwrap();
    let told: Settled = event(&channel.settle(20, 1_500).unwrap());
    assert_eq!(told.channel.to_bytes(), bytes(channel.at.channel));
    assert_eq!(told.signer.to_bytes(), bytes(world.signer.pubkey()));
    assert_eq!((told.seq, told.payout), (20, 1_100));
    assert_eq!((told.signer_claimed, told.claimed, told.deposited), (1_500, 1_500, DEPOSIT + 500));
    assert_eq!(told.window_claimed, 1_500);
}

#[test]
fn a_close_request_and_a_close_tell_when_and_how_much() {
    let world = World::default();
    let channel = world.open();
    let told: CloseRequested = event(&channel.request_close().unwrap());
    let now = world.chain.clock_now().unix_timestamp;
    assert_eq!((told.closing_at, told.closable_from), (now, now + i64::from(GRACE)));
    assert_eq!((told.deposited, told.claimed), (DEPOSIT, 0));

    channel.settle(10, 400).unwrap();
    let told: ChannelClosed = event(&channel.close_by_statement(1_000).unwrap());
    assert_eq!(told.channel.to_bytes(), bytes(channel.at.channel));
    assert_eq!(told.closer.to_bytes(), bytes(world.funder.pubkey()));
    assert_eq!(told.opened_slot, channel.opened_slot);
    assert_eq!((told.payout, told.refund), (600, DEPOSIT - 1_000));
    assert_eq!((told.claimed, told.deposited), (1_000, DEPOSIT));
}

#[test]
fn the_life_of_a_delegation_is_told() {
    let world = World::default();
    let channel = world.open();
    let delegated = channel.delegate();
    let clock = world.chain.clock_now();
    let told: DelegateSet = event(&delegated.set(5_000, clock.unix_timestamp + 900).unwrap());
    assert_eq!(told.channel.to_bytes(), bytes(channel.at.channel));
    assert_eq!(told.delegate.to_bytes(), bytes(world.delegate.pubkey()));
    assert_eq!((told.created_slot, told.limit, told.claimed), (clock.slot, 5_000, 0));
    assert_eq!(told.expires_at, clock.unix_timestamp + 900);

    channel.wait_for_interval();
    let told: Settled = event(&delegated.settle(20, 1_500).unwrap());
    assert_eq!(told.signer.to_bytes(), bytes(world.delegate.pubkey()));
    assert_eq!((told.seq, told.payout, told.signer_claimed, told.claimed), (20, 1_500, 1_500, 1_500));

    let told: DelegateRevoked = event(&delegated.revoke().unwrap());
    let now = world.chain.clock_now().unix_timestamp;
    assert_eq!(told.delegate.to_bytes(), bytes(world.delegate.pubkey()));
    assert_eq!((told.created_slot, told.limit, told.claimed), (clock.slot, 5_000, 1_500));
    assert_eq!((told.revoked_at, told.collectable_until), (now, now + i64::from(GRACE)));

    world.chain.advance_seconds(GRACE + 1);
    let told: DelegationClosed = event(&delegated.close().unwrap());
    assert_eq!(told.delegate.to_bytes(), bytes(world.delegate.pubkey()));
    assert_eq!((told.created_slot, told.limit, told.claimed), (clock.slot, 5_000, 1_500));
}

#[test]
fn chaining_tells_both_channels() {
    let world = World::default();
    let terms = amp_protocol::rules::Terms { max_chain_depth: 2, ..TERMS };
    let channel = world.open_with(0, DEPOSIT, terms);
    channel.wait_for_interval();
    let slot = world.chain.clock_now().slot;
    let sub = amp_protocol::rules::Terms { unit_price: 7, close_grace: 60, ..terms };
    let told: ChannelChained = event(&channel.chain(20, 1_500, sub).unwrap());
    assert_eq!(told.parent.to_bytes(), bytes(channel.at.channel));
    assert_eq!(told.signer.to_bytes(), bytes(world.signer.pubkey()));
    assert_eq!((told.seq, told.signer_claimed, told.claimed), (20, 1_500, 1_500));
    assert_eq!((told.deposited, told.window_claimed), (DEPOSIT, 1_500));
    let chained = channel.chained(&world.supplier);
    assert_eq!(told.channel.to_bytes(), bytes(chained.at.channel));
    assert_eq!(told.funder.to_bytes(), bytes(world.funder.pubkey()));
    assert_eq!(told.recipient.to_bytes(), bytes(world.supplier.pubkey()));
    assert_eq!(told.authorized_signer.to_bytes(), bytes(world.recipient.pubkey()));
    assert_eq!((told.nonce, told.opened_slot, told.deposit), (0, slot, 1_500));
    assert_eq!((told.unit_price, told.rate_limit), (7, TERMS.rate_limit));
    assert_eq!((told.settle_interval, told.close_grace), (INTERVAL, 60));
    assert_eq!((told.chain_depth, told.max_chain_depth), (1, 2));
}
