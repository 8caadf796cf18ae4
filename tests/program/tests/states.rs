//! Each instruction in each state of a channel and of a delegation: the tables of docs/state-machine.md.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::arithmetic_side_effects)]

use amp_embedded::Executed;
use amp_program_tests::{DEPOSIT, Delegated, GRACE, OpenedChannel, TERMS, World, foreign};
use amp_protocol::rules::Terms;
use amp_sdk::chain::ChainError;
use solana_instruction::Instruction;
use solana_instruction::error::InstructionError;
use solana_transaction_error::TransactionError;

const ROOT: Terms = Terms { max_chain_depth: 1, ..TERMS };
/// Seconds until the delegation of a test expires, where it does.
const EXPIRY: u32 = 1_000;

/// `done`, the rejection's name, or another layer's number.
fn told(outcome: Result<Executed, ChainError>) -> String {
    match outcome {
        Ok(_) => "done".to_owned(),
        Err(ChainError::Rejected(rejection)) => rejection.name().to_owned(),
        Err(ChainError::Failed {
            error: TransactionError::InstructionError(_, InstructionError::Custom(number)),
            ..
        }) => number.to_string(),
        Err(error) => panic!("{error}"),
    }
}

// -- a channel -----------------------------------------------------------------------------------

#[derive(Clone, Copy, Debug)]
enum Channel {
    Open,
    Closing,
    GraceOver,
    Gone,
}

/// What can be tried on a channel. Its delegation was live before the state was reached.
type Try = fn(&Delegated<'_, '_>, &Instruction) -> Result<Executed, ChainError>;

const TRIES: [(&str, Try); 11] = [
    ("open_channel", |delegated, _| delegated.channel.world.try_open(0, DEPOSIT, ROOT)),
    ("top_up", |delegated, _| delegated.channel.top_up(1)),
    ("settle", |delegated, _| delegated.channel.settle(10, 1_000)),
    ("settle by delegate", |delegated, proof| delegated.settle_after(std::slice::from_ref(proof), 100)),
    ("chain_channel", |delegated, _| delegated.channel.chain(10, 1_000, TERMS)),
    ("set_delegate", |delegated, _| delegated.set(2_000, 0)),
    ("revoke_delegate", |delegated, _| delegated.revoke()),
    ("request_close", |delegated, _| delegated.channel.request_close()),
    ("close_channel by the recipient", |delegated, _| {
        delegated.channel.close_as(&delegated.channel.world.recipient)
    }),
    ("close_channel by statement", |delegated, _| delegated.channel.close_by_statement(100)),
    ("close_channel by anyone", |delegated, _| delegated.channel.close_as(&delegated.channel.world.stranger)),
];

fn bring(channel: &OpenedChannel<'_>, state: Channel) {
    let chain = &channel.world.chain;
    match state {
        Channel::Open => {}
        Channel::Closing => drop(channel.request_close().unwrap()),
        Channel::GraceOver => {
            channel.request_close().unwrap();
            chain.advance_seconds(GRACE);
        }
        Channel::Gone => {
            channel.close_as(&channel.world.recipient).unwrap();
            chain.advance_slots(1);
        }
    }
}

#[test]
fn every_instruction_does_in_every_state_of_a_channel_what_the_page_says() {
    const NONE: &str = "3007";
    let expected = |name: &str| match name {
        "open_channel" => ["0", "0", "0", "done"],
        "top_up" => ["done", "Closing", "Closing", NONE],
        "settle" | "settle by delegate" | "revoke_delegate" => ["done", "done", "done", NONE],
        "chain_channel" => ["done", "Closing", "Closing", NONE],
        "set_delegate" => ["done", "Closing", "Closing", NONE],
        "request_close" => ["done", "AlreadyClosing", "AlreadyClosing", NONE],
        "close_channel by the recipient" | "close_channel by statement" => ["done", "done", "done", NONE],
        "close_channel by anyone" => ["GraceNotOver", "GraceNotOver", "done", NONE],
        other => panic!("{other} is new"),
    };
    assert_eq!(foreign::ALREADY_IN_USE, 0);
    assert_eq!(foreign::OWNED_BY_WRONG_PROGRAM.to_string(), NONE);
    for (name, attempt) in TRIES {
        let states = [Channel::Open, Channel::Closing, Channel::GraceOver, Channel::Gone];
        let found = states.map(|state| {
            let world = World::default();
            let channel = world.open_with(0, DEPOSIT, ROOT);
            let delegated = channel.delegated(1_000);
            let proof = delegated.proof(1);
            channel.wait_for_interval();
            bring(&channel, state);
            told(attempt(&delegated, &proof))
        });
        assert_eq!(found, expected(name), "{name}: open, closing, grace over, gone");
    }
}

// -- a delegation --------------------------------------------------------------------------------

#[derive(Clone, Copy, Debug)]
enum Delegation {
    Live,
    Revoked,
    Expired,
    RevokedAndOver,
    ExpiredAndOver,
    ChannelGone,
    ChannelOpenAgain,
    Gone,
}

fn bring_delegation(delegated: &Delegated<'_, '_>, state: Delegation) {
    let (channel, world) = (delegated.channel, delegated.channel.world);
    let revoke = || drop(delegated.revoke().unwrap());
    let seconds = |seconds| world.chain.advance_seconds(seconds);
    match state {
        Delegation::Live => {}
        Delegation::Revoked => revoke(),
        Delegation::Expired => seconds(EXPIRY),
        Delegation::RevokedAndOver => {
            revoke();
            seconds(GRACE + 1);
        }
        Delegation::ExpiredAndOver => seconds(EXPIRY + GRACE + 1),
        Delegation::ChannelGone => drop(channel.close_as(&world.recipient).unwrap()),
        Delegation::ChannelOpenAgain => {
            channel.close_as(&world.recipient).unwrap();
            world.open_with(0, DEPOSIT, ROOT);
            channel.wait_for_interval();
        }
        Delegation::Gone => {
            revoke();
            seconds(GRACE + 1);
            delegated.close().unwrap();
        }
    }
}

#[test]
fn every_instruction_does_in_every_state_of_a_delegation_what_the_page_says() {
    use Delegation as D;
    const NONE: &str = "3007";
    let tries: [(&str, Try); 4] = [
        ("set_delegate", |delegated, _| {
            let now = delegated.channel.world.chain.clock_now().unix_timestamp;
            delegated.set(2_000, now + 10)
        }),
        ("settle", |delegated, proof| delegated.settle_after(std::slice::from_ref(proof), 100)),
        ("revoke_delegate", |delegated, _| delegated.revoke()),
        ("close_delegation", |delegated, _| delegated.close()),
    ];
    let expected = |state| match state {
        D::Live => ["done", "done", "done", "DelegationNotOver"],
        D::Revoked => ["DelegateRevoked", "done", "AlreadyRevoked", "DelegationNotOver"],
        D::Expired => ["done", "done", "done", "DelegationNotOver"],
        D::RevokedAndOver => ["DelegateRevoked", "DelegationOver", "AlreadyRevoked", "done"],
        D::ExpiredAndOver => ["done", "DelegationOver", "done", "done"],
        D::ChannelGone => [NONE, NONE, NONE, "done"],
        D::ChannelOpenAgain => ["done", "DelegationOfEarlierChannel", "DelegationOfEarlierChannel", "done"],
        D::Gone => ["done", NONE, NONE, NONE],
    };
    for state in [
        D::Live,
        D::Revoked,
        D::Expired,
        D::RevokedAndOver,
        D::ExpiredAndOver,
        D::ChannelGone,
        D::ChannelOpenAgain,
        D::Gone,
    ] {
        let found = tries.map(|(_, attempt)| {
            let world = World::default();
            let channel = world.open_with(0, DEPOSIT, ROOT);
            let delegated = channel.delegate();
            let now = world.chain.clock_now().unix_timestamp;
            delegated.set(1_000, now + 60 + i64::from(EXPIRY)).unwrap();
            world.chain.advance_slots(1);
            let proof = delegated.proof(1);
            channel.wait_for_interval();
            bring_delegation(&delegated, state);
            told(attempt(&delegated, &proof))
        });
        assert_eq!(found, expected(state), "{state:?}: {:?}", tries.map(|(name, _)| name));
    }
}
