//! `request_close`: the funder's way out when the service does not answer.

use amp_program_tests::{World, assert_refused};
use amp_protocol::rejection::Rejection;

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
