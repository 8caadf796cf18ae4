//! Scenes: a few operations that belong together.

use proptest::prelude::*;

use super::{amounts, twists};
use crate::operation::{ANY, Closer, Moment, Operation, Signing, Target, Wait, When};

type Scene = BoxedStrategy<Vec<Operation>>;

/// Which channel, and for other things: few enough to be the same one often, and seldom one with which the
/// thing can't be done.
fn which() -> impl Strategy<Value = u8> {
    prop_oneof![7 => 0..ANY, 1 => ANY..ANY + 4]
}

fn rent_payer() -> impl Strategy<Value = u8> {
    prop_oneof![30 => 0..3_u8, 1 => Just(3)]
}

fn signer() -> impl Strategy<Value = Signing> {
    prop_oneof![1 => which().prop_map(Signing::Authorized), 1 => which().prop_map(Signing::Delegate)]
}

/// Mostly when it may be done.
fn when() -> impl Strategy<Value = When> {
    prop_oneof![14 => Just(When::Due), 2 => Just(When::Now), 1 => Just(When::JustBefore)]
}

/// Mostly without waiting.
fn at_once() -> impl Strategy<Value = When> {
    prop_oneof![3 => Just(When::Now), 1 => Just(When::Due)]
}

fn open() -> impl Strategy<Value = Operation> {
    let signer = prop_oneof![4 => 0..3_u8, 1 => 3..6_u8];
    let who = (0..24_u8, signer, rent_payer(), 0..3_u8);
    (who, amounts::deposit(), amounts::terms(), twists::of_open()).prop_map(
        |((address, signer, rent_payer, mint), deposit, terms, twist)| Operation::Open {
            address,
            signer,
            rent_payer,
            mint,
            deposit,
            terms,
            twist,
        },
    )
}

fn top_up() -> impl Strategy<Value = Operation> {
    (which(), 0..4_u8, amounts::gift(), twists::of_top_up())
        .prop_map(|(channel, by, amount, twist)| Operation::TopUp { channel, by, amount, twist })
}

fn settle(
    signer: impl Strategy<Value = Signing>,
    when: impl Strategy<Value = When>,
) -> impl Strategy<Value = Operation> {
    (signer, amounts::owed(), amounts::seq(), when, twists::of_settle())
        .prop_map(|(signer, owed, seq, when, twist)| Operation::Settle { signer, owed, seq, when, twist })
}

fn request() -> impl Strategy<Value = Operation> {
    (which(), twists::of_request()).prop_map(|(channel, twist)| Operation::RequestClose { channel, twist })
}

fn close(when: impl Strategy<Value = When>) -> impl Strategy<Value = Operation> {
    let by = prop_oneof![
        3 => Just(Closer::Recipient),
        4 => amounts::stated().prop_map(Closer::Stated),
        2 => Just(Closer::Funder),
        2 => Just(Closer::Stranger),
    ];
    (which(), by, when, twists::of_close()).prop_map(|(channel, by, when, twist)| Operation::Close {
        channel,
        by,
        when,
        twist,
    })
}

fn set_delegate() -> impl Strategy<Value = Operation> {
    let who = (which(), 0..4_u8, rent_payer());
    (who, amounts::limit(), amounts::expiry(), twists::of_set_delegate()).prop_map(
        |((channel, delegate, rent_payer), limit, expiry, twist)| Operation::SetDelegate {
            channel,
            delegate,
            limit,
            expiry,
            rent_payer,
            twist,
        },
    )
}

fn revoke() -> impl Strategy<Value = Operation> {
    (which(), twists::of_revoke()).prop_map(|(delegation, twist)| Operation::Revoke { delegation, twist })
}

fn close_delegation(when: impl Strategy<Value = When>) -> impl Strategy<Value = Operation> {
    (which(), when, twists::of_close_delegation())
        .prop_map(|(delegation, when, twist)| Operation::CloseDelegation { delegation, when, twist })
}

fn chain(when: impl Strategy<Value = When>) -> impl Strategy<Value = Operation> {
    let claim = (signer(), amounts::owed(), amounts::seq(), when);
    let below = (0..4_u8, 0..2_u8, rent_payer(), amounts::terms_below());
    (claim, below, twists::of_chain()).prop_map(
        |((signer, owed, seq, when), (service, nonce, rent_payer, terms), twist)| Operation::Chain {
            signer,
            owed,
            seq,
            when,
            service,
            nonce,
            rent_payer,
            terms,
            twist,
        },
    )
}

fn donate() -> impl Strategy<Value = Operation> {
    (which(), amounts::gift()).prop_map(|(channel, amount)| Operation::Donate { channel, amount })
}

fn send_ahead() -> impl Strategy<Value = Operation> {
    let to = prop_oneof![
        (0..12_u8).prop_map(Target::Channel),
        (0..12_u8).prop_map(Target::Vault),
        which().prop_map(Target::LiveVault),
        (which(), 0..3_u8).prop_map(|(channel, delegate)| Target::Delegation(channel, delegate)),
    ];
    (to, 0..5_u8).prop_map(|(to, lamports)| Operation::SendAhead { to, lamports })
}

fn wait() -> impl Strategy<Value = Operation> {
    let moment = prop_oneof![
        which().prop_map(Moment::NextWindow),
        which().prop_map(Moment::DelegateEnds),
        which().prop_map(Moment::DelegateOver),
    ];
    let until = (moment, -1..2_i8, 0..2_u8);
    prop_oneof![
        2 => (1..4_u8).prop_map(|slots| Operation::Wait(Wait::Slots(slots))),
        1 => (1..4_u32).prop_map(|seconds| Operation::Wait(Wait::Seconds(seconds))),
        1 => (5..5_000_u32).prop_map(|seconds| Operation::Wait(Wait::Seconds(seconds))),
        3 => until.prop_map(|(moment, offset, slots)| Operation::Wait(Wait::Until { moment, offset, slots })),
    ]
}

fn alone(operation: impl Strategy<Value = Operation> + 'static) -> Scene {
    operation.prop_map(|operation| vec![operation]).boxed()
}

/// One thing, and right after it another.
fn then(
    one: impl Strategy<Value = Operation> + 'static,
    other: impl Strategy<Value = Operation> + 'static,
) -> Scene {
    (one, other).prop_map(|(one, other)| vec![one, other]).boxed()
}

/// A channel opens, and some slots pass.
pub(super) fn opening() -> Scene {
    then(open(), (1..3_u8).prop_map(|slots| Operation::Wait(Wait::Slots(slots))))
}

/// One of several things, none of which lets time pass.
fn now() -> BoxedStrategy<Operation> {
    prop_oneof![
        3 => open(), 1 => top_up(), 3 => settle(signer(), Just(When::Now)), 2 => request(),
        3 => close(Just(When::Now)), 3 => set_delegate(), 1 => revoke(),
        1 => close_delegation(Just(When::Now)), 1 => chain(Just(When::Now)), 1 => donate(), 1 => send_ahead()
    ]
    .boxed()
}

pub(super) fn scene() -> Scene {
    let authorized = || which().prop_map(Signing::Authorized);
    let delegate = || which().prop_map(Signing::Delegate);
    let life = prop_oneof![
        5 => opening(),
        2 => alone(open()),
        3 => alone(top_up()),
        2 => alone(request()),
        3 => alone(close(when())),
        1 => then(close(at_once()), open()),
        4 => alone(set_delegate()),
        1 => alone(revoke()),
        1 => alone(close_delegation(when())),
    ];
    let claims = prop_oneof![
        6 => alone(settle(authorized(), when())),
        5 => alone(settle(delegate(), when())),
        3 => alone(chain(when())),
        1 => prop::collection::vec(chain(when()), 2..6).boxed(),
        1 => then(request(), settle(signer(), at_once())),
        1 => then(revoke(), settle(delegate(), at_once())),
        1 => then(set_delegate(), settle(delegate(), at_once())),
    ];
    let others = prop_oneof![alone(donate()), alone(send_ahead()), alone(wait())];
    let burst = prop::collection::vec(now(), 2..6);
    let bundle = prop::collection::vec(now(), 2..4).prop_map(Operation::Together);
    prop_oneof![20 => life, 20 => claims, 4 => others, 3 => burst.boxed(), 3 => alone(bundle)].boxed()
}
