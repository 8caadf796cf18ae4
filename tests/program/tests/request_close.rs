//! `request_close`: the funder's way out when the service does not answer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::arithmetic_side_effects)]

use amp_program_tests::{World, assert_foreign, assert_refused, foreign};
use amp_protocol::rejection::Rejection;
use amp_sdk::chain::{PROGRAM_ID, instructions};
use solana_signer::Signer;

#[test]
fn a_close_request_records_the_time_and_changes_nothing_else() {
    let world = World::default();
    let channel = world.open();
    let mut expected = channel.account();
    channel.request_close().unwrap();
    expected.closing_at = world.chain.clock_now().unix_timestamp;
    expected.books.closing = true;
    assert_eq!(channel.account(), expected);
}

#[test]
fn only_the_funder_asks_to_close() {
    let world = World::default();
    let channel = world.open();
    for person in [&world.recipient, &world.stranger, &world.rent_payer] {
        assert_refused(channel.request_close_as(person), Rejection::WrongFunder);
    }
}

#[test]
fn asking_again_does_not_restart_the_clock() {
    let world = World::default();
    let channel = world.open();
    channel.request_close().unwrap();
    world.chain.advance_seconds(10);
    let closing_at = channel.account().closing_at;
    assert_refused(channel.request_close(), Rejection::AlreadyClosing);
    assert_eq!(channel.account().closing_at, closing_at);
}

#[test]
fn naming_the_funder_without_its_signature_is_refused() {
    let world = World::default();
    let channel = world.open();
    let mut request = instructions::request_close(&PROGRAM_ID, &channel.at.channel, &world.funder.pubkey());
    request.accounts[0].is_signer = false;
    assert_foreign(world.chain.execute(&[request], &[&world.stranger]), foreign::NOT_SIGNER);
}

#[test]
fn a_request_on_a_channel_of_an_unknown_version_is_refused() {
    let world = World::default();
    let channel = world.open();
    channel.set_version(2);
    assert_refused(channel.request_close(), Rejection::UnknownVersion);
}

#[test]
fn a_clock_at_zero_can_not_mark_a_channel_as_closing() {
    let world = World::default();
    let channel = world.open();
    world.chain.set_unix_timestamp(0);
    assert_refused(channel.request_close(), Rejection::ClockOutOfRange);
}

#[test]
fn a_grace_that_would_end_past_all_time_is_refused() {
    let world = World::default();
    let channel = world.open();
    world.chain.set_unix_timestamp(i64::MAX);
    assert_refused(channel.request_close(), Rejection::ClockOutOfRange);
}
