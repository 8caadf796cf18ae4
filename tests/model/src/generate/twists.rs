use proptest::prelude::*;

use crate::operation::{EpochTwist, Instead, ProofTwist, ShapeTwist, TermsTwist, Twist};

type Some = BoxedStrategy<Option<Twist>>;

/// A twist in one of so many.
fn rarely(twist: impl Strategy<Value = Twist> + 'static, of: u32) -> Some {
    prop_oneof![of - 1 => Just(None), 1 => twist.prop_map(Option::Some)].boxed()
}

fn people() -> std::ops::Range<u8> {
    0..16
}

fn asking() -> impl Strategy<Value = Twist> {
    prop_oneof![(0..2_u8).prop_map(Twist::Unsigned), people().prop_map(Twist::By)]
}

fn channel() -> impl Strategy<Value = Twist> {
    prop_oneof![
        3 => (0..8_u8).prop_map(Twist::AnotherChannel),
        1 => Just(Twist::NoChannel),
        1 => Just(Twist::DelegationAsChannel),
        1 => Just(Twist::TokensAsChannel),
    ]
}

fn money() -> impl Strategy<Value = Twist> {
    prop_oneof![
        3 => (0..8_u8).prop_map(Twist::AnothersVault),
        1 => Just(Twist::TokensAsVault),
        2 => (0..3_u8).prop_map(Twist::AnotherMint),
        1 => Just(Twist::AnotherProgram),
        1 => Just(Twist::NoProgram),
    ]
}

fn instead() -> impl Strategy<Value = Instead> {
    prop_oneof![
        2 => (0..7_u8).prop_map(Instead::Of),
        3 => Just(Instead::Other),
        1 => (0..3_u8).prop_map(Instead::OfMint),
        1 => Just(Instead::None),
        1 => (0..8_u8).prop_map(Instead::Vault),
    ]
}

fn shape() -> impl Strategy<Value = ShapeTwist> {
    prop::sample::select(vec![
        ShapeTwist::Forged,
        ShapeTwist::NoSignature,
        ShapeTwist::NoSignature,
        ShapeTwist::TwoSignatures,
        ShapeTwist::TwoSignatures,
        ShapeTwist::Trailing,
        ShapeTwist::Trailing,
        ShapeTwist::OwnIndex,
        ShapeTwist::SignatureBehind,
        ShapeTwist::KeyBehind,
        ShapeTwist::MessageBehind,
        ShapeTwist::SignatureInFirst,
        ShapeTwist::KeyInFirst,
        ShapeTwist::MessageInFirst,
    ])
}

fn epoch() -> impl Strategy<Value = EpochTwist> {
    prop_oneof![
        1 => Just(EpochTwist::Before),
        1 => Just(EpochTwist::After),
        2 => Just(EpochTwist::Replay),
        1 => Just(EpochTwist::Opening),
    ]
}

fn proof() -> impl Strategy<Value = Twist> {
    let twist = prop_oneof![
        1 => Just(ProofTwist::Missing),
        1 => Just(ProofTwist::NotAdjacent),
        3 => people().prop_map(ProofTwist::By),
        3 => (0..8_u8).prop_map(ProofTwist::AnotherChannel),
        4 => epoch().prop_map(ProofTwist::Epoch),
        1 => Just(ProofTwist::OtherKind),
        1 => Just(ProofTwist::MeteringProof),
        1 => Just(ProofTwist::Short),
        5 => shape().prop_map(ProofTwist::Shape),
    ];
    twist.prop_map(Twist::Proof)
}

fn bad_terms() -> impl Strategy<Value = Twist> {
    let twist = prop::sample::select(vec![
        TermsTwist::NoPrice,
        TermsTwist::NoRate,
        TermsTwist::NoInterval,
        TermsTwist::LongInterval,
        TermsTwist::LongGrace,
        TermsTwist::Deep,
        TermsTwist::Longest,
    ]);
    twist.prop_map(Twist::Terms)
}

fn addresses() -> impl Strategy<Value = Twist> {
    prop_oneof![
        1 => Just(Twist::AnotherAddress),
        1 => Just(Twist::AnotherVaultAddress),
        2 => (0..8_u8).prop_map(Twist::Occupied),
        1 => Just(Twist::SelfPayment),
    ]
}

fn delegations() -> impl Strategy<Value = Twist> {
    prop_oneof![
        3 => (0..8_u8).prop_map(Twist::AnotherDelegation),
        1 => Just(Twist::DelegationLeftOut),
        2 => (0..8_u8).prop_map(Twist::NeedlessDelegation),
        1 => Just(Twist::ChannelAsDelegation),
        1 => Just(Twist::NoDelegation),
    ]
}

pub(super) fn of_open() -> Some {
    let twist = prop_oneof![
        1 => asking(), 1 => (0..3_u8).prop_map(Twist::AnotherMint), 1 => Just(Twist::AnotherProgram),
        1 => Just(Twist::NoProgram), 1 => instead().prop_map(Twist::Tokens), 2 => addresses(),
        2 => Just(Twist::RefusedMint), 3 => bad_terms()
    ];
    rarely(twist, 8)
}

pub(super) fn of_top_up() -> Some {
    let twist = prop_oneof![asking(), channel(), money(), instead().prop_map(Twist::Tokens)];
    rarely(twist, 8)
}

pub(super) fn of_settle() -> Some {
    let twist = prop_oneof![
        1 => asking(), 1 => channel(), 1 => money(), 1 => instead().prop_map(Twist::Tokens),
        1 => delegations(), 1 => Just(Twist::NoInstructions), 4 => proof()
    ];
    rarely(twist, 8)
}

pub(super) fn of_request() -> Some {
    rarely(prop_oneof![asking(), channel()], 8)
}

pub(super) fn of_close() -> Some {
    let twist = prop_oneof![
        2 => asking(), 1 => channel(), 2 => money(), 6 => instead().prop_map(Twist::Tokens),
        2 => instead().prop_map(Twist::Payout), 1 => people().prop_map(Twist::RentToAnother),
        1 => Just(Twist::NoInstructions), 1 => Just(Twist::InstructionsLeftOut), 4 => proof()
    ];
    rarely(twist, 4)
}

pub(super) fn of_set_delegate() -> Some {
    let twist =
        prop_oneof![2 => asking(), 1 => channel(), 2 => delegations(), 1 => Just(Twist::AuthorizedDelegate)];
    rarely(twist, 8)
}

pub(super) fn of_revoke() -> Some {
    rarely(prop_oneof![asking(), channel(), delegations()], 5)
}

pub(super) fn of_close_delegation() -> Some {
    let twist = prop_oneof![channel(), delegations(), people().prop_map(Twist::RentToAnother)];
    rarely(twist, 8)
}

pub(super) fn of_chain() -> Some {
    let twist = prop_oneof![
        1 => asking(), 1 => channel(), 1 => money(), 1 => delegations(), 1 => Just(Twist::NoInstructions),
        2 => addresses(), 2 => bad_terms(), 2 => proof()
    ];
    rarely(twist, 8)
}
