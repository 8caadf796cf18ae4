use proptest::prelude::*;

use crate::operation::{Amount, Edge, Expiry, Limit, Owed, Seq, Stated, TermsChoice};

pub(super) fn deposit() -> impl Strategy<Value = Amount> {
    prop_oneof![
        40 => (1_000..4_000_000_u32).prop_map(Amount::Units),
        2 => (1..50_u32).prop_map(Amount::Units),
        2 => (25..64_u8).prop_map(Amount::Power),
        5 => (58..64_u8).prop_map(Amount::Power),
        1 => Just(Amount::TooMuch),
        1 => Just(Amount::Zero),
        1 => Just(Amount::Most),
    ]
}

pub(super) fn gift() -> impl Strategy<Value = Amount> {
    prop_oneof![
        16 => (1..100_000_u32).prop_map(Amount::Units),
        1 => (20..64_u8).prop_map(Amount::Power),
        1 => Just(Amount::TooMuch),
        1 => Just(Amount::Zero),
        1 => Just(Amount::Most),
    ]
}

fn edge() -> impl Strategy<Value = Edge> {
    prop_oneof![Just(Edge::Deposit), Just(Edge::Rate), Just(Edge::Limit)]
}

pub(super) fn owed() -> impl Strategy<Value = Owed> {
    prop_oneof![
        40 => (1..=6_u8).prop_map(Owed::Part),
        4 => (7..=16_u8).prop_map(Owed::Part),
        2 => edge().prop_map(Owed::UpTo),
        3 => edge().prop_map(Owed::Past),
        1 => Just(Owed::Again),
        1 => Just(Owed::Less),
        1 => Just(Owed::Zero),
        1 => Just(Owed::Most),
    ]
}

pub(super) fn seq() -> impl Strategy<Value = Seq> {
    prop_oneof![
        16 => Just(Seq::Covering),
        6 => (0..200_u8).prop_map(Seq::More),
        1 => Just(Seq::Less),
        2 => Just(Seq::Again),
        3 => Just(Seq::Most),
    ]
}

pub(super) fn stated() -> impl Strategy<Value = Stated> {
    prop_oneof![6 => (0..=16_u8).prop_map(Stated::Part), 1 => Just(Stated::Stale), 1 => Just(Stated::Past)]
}

pub(super) fn limit() -> impl Strategy<Value = Limit> {
    prop_oneof![
        8 => (1..500_000_u32).prop_map(Limit::Units),
        8 => (1..500_000_u32).prop_map(Limit::Raise),
        2 => Just(Limit::Same),
        1 => Just(Limit::Lower),
        1 => Just(Limit::Zero),
        1 => Just(Limit::Most),
    ]
}

pub(super) fn expiry() -> impl Strategy<Value = Expiry> {
    prop_oneof![
        9 => Just(Expiry::Never),
        9 => (1..3_000_u32).prop_map(Expiry::In),
        1 => Just(Expiry::Now),
        1 => Just(Expiry::Negative),
    ]
}

pub(super) fn terms() -> impl Strategy<Value = TermsChoice> {
    // the first of each list is what most channels have
    let plain = |others: u8| prop_oneof![5 => Just(0_u8), 4 => 1..others];
    let rate = prop_oneof![4 => Just(0_u8), 3 => 1..6_u8, 2 => 3..5_u8];
    (plain(6), rate, plain(5), plain(6), prop_oneof![1 => Just(0_u8), 3 => 1..4_u8, 3 => Just(3)])
        .prop_map(|(price, rate, interval, grace, depth)| TermsChoice { price, rate, interval, grace, depth })
}

/// Terms that a channel below another may have: a grace of nothing is above no parent's.
pub(super) fn terms_below() -> impl Strategy<Value = TermsChoice> {
    let grace = prop_oneof![6 => Just(2_u8), 2 => 1..4_u8, 1 => 0..6_u8];
    (terms(), grace).prop_map(|(terms, grace)| TermsChoice { grace, ..terms })
}
