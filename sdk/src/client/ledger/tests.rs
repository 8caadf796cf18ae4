#![allow(clippy::arithmetic_side_effects, reason = "an overflow fails the test, as it should")]

use super::*;
use proptest::prelude::*;

fn ledger(unit_price: u64, deposited: u64) -> Ledger {
    Ledger::new(UnitPrice::new(unit_price).unwrap(), Amount::new(deposited))
}

fn ask(price: u64) -> Ask {
    Ask { price: Amount::new(price), ..Ask::default() }
}

fn pay(ledger: Ledger, price: u64) -> (u64, Ledger) {
    let (seq, ledger) = ledger.reserve(ask(price)).unwrap();
    (seq.get(), ledger)
}

fn answered(ledger: Ledger, price: u64, cost: u64, spent: u64) -> Result<Ledger, Overcharge> {
    ledger.answered(Amount::new(price), Some(Amount::new(cost)), Some(Amount::new(spent)))
}

#[test]
fn with_a_unit_price_of_one_seq_is_a_cumulative_amount() {
    let (seq, books) = pay(ledger(1, 1_000), 100);
    assert_eq!(seq, 100);
    let books = answered(books, 100, 100, 100).unwrap();
    assert_eq!(pay(books, 250).0, 350);
}

#[test]
fn with_the_price_as_unit_seq_counts_calls() {
    let (seq, books) = pay(ledger(100, 1_000), 100);
    assert_eq!(seq, 1);
    let books = answered(books, 100, 100, 100).unwrap();
    assert_eq!(pay(books, 100).0, 2);
    assert_eq!(pay(books, 250).0, 4);
}

#[test]
fn parallel_calls_are_each_covered_in_any_order_of_their_answers() {
    let (first, books) = pay(ledger(1, 1_000), 10);
    let (second, books) = pay(books, 10);
    assert_eq!((first, second), (10, 20));
    // the later answer first: it counts the earlier call too, which must not be counted twice
    let books = answered(books, 10, 10, 20).unwrap();
    let (third, books) = pay(books, 10);
    assert_eq!(third, 30);
    let books = answered(books, 10, 10, 10).unwrap();
    assert_eq!(books.acknowledged, Amount::new(20));
}

#[test]
fn lost_calls_leave_one_unit_of_exposure_each() {
    let mut books = ledger(1, 10_000);
    for _ in 0..5 {
        books = pay(books, 1_000).1.lost(Amount::new(1_000));
    }
    assert_eq!(books.last_signed, Seq::new(1_004));
}

#[test]
fn what_the_deposit_does_not_cover_is_not_signed() {
    let books = ledger(1, 100);
    assert_eq!(pay(books, 100).0, 100);
    let refused = LedgerError::DepositTooSmall { needed: Amount::new(101), deposited: Amount::new(100) };
    assert_eq!(books.reserve(ask(101)), Err(refused));
    // rounded up to a unit: two units of 60 are more than 100
    assert!(matches!(ledger(60, 100).reserve(ask(61)), Err(LedgerError::DepositTooSmall { .. })));
}

#[test]
fn a_seq_whose_ceiling_passes_a_delegates_limit_is_not_signed() {
    let delegates = |unit, limit| Ledger { limit: Some(Amount::new(limit)), ..ledger(unit, 1_000) };
    let refused = |needed, limit| {
        Err(LedgerError::LimitTooSmall { needed: Amount::new(needed), limit: Amount::new(limit) })
    };
    assert_eq!(pay(delegates(1, 100), 100).0, 100);
    assert_eq!(delegates(1, 100).reserve(ask(101)), refused(101, 100));
    // rounded up to a unit, which the limit does not cover, though it covers the price
    assert_eq!(delegates(60, 100).reserve(ask(61)), refused(120, 100));
    // the deposit still counts, and prepay is left out before a call is refused
    assert!(matches!(delegates(1, 5_000).reserve(ask(1_001)), Err(LedgerError::DepositTooSmall { .. })));
    let ahead = Ask { prepay: Amount::new(50), ..ask(100) };
    assert_eq!(delegates(1, 149).reserve(ahead).unwrap().0, Seq::new(100));
    assert_eq!(delegates(1, 149).available(), Amount::new(149));
}

#[test]
fn a_close_pays_what_was_agreed_to_and_what_delegates_can_have_spent_and_no_more() {
    let (_, books) = pay(ledger(1, 1_000), 100);
    let check = |total, delegated, deposited| {
        books.check_total(Amount::new(total), Amount::new(delegated), Amount::new(deposited))
    };
    assert_eq!(check(100, 0, 1_000), Ok(()));
    assert!(matches!(check(101, 0, 1_000), Err(Overcharge::Unsigned { .. })));
    assert_eq!(check(350, 250, 1_000), Ok(()));
    let over = |total, delegated| {
        let (own, delegated) = (Amount::new(100), Amount::new(delegated));
        Err(Overcharge::WithDelegates { total: Amount::new(total), own, delegated })
    };
    assert_eq!(check(351, 250, 1_000), over(351, 250));
    // limits may be given out above the deposit, which is all there is
    assert_eq!(check(1_000, 5_000, 1_000), Ok(()));
    assert_eq!(check(1_001, 5_000, 1_000), over(1_001, 900));
}

#[test]
fn prepay_is_signed_where_the_deposit_has_room_and_left_out_where_not() {
    let ahead = Ask { prepay: Amount::new(50), ..ask(100) };
    assert_eq!(ledger(1, 150).reserve(ahead).unwrap().0, Seq::new(150));
    assert_eq!(ledger(1, 149).reserve(ahead).unwrap().0, Seq::new(100));
}

#[test]
fn a_seq_the_service_asks_for_is_signed_only_as_far_as_charged_lost_calls_justify_it() {
    let books = pay(ledger(1, 1_000), 100).1.lost(Amount::new(100));
    let at_least = |seq| Ask { at_least: Seq::new(seq), ..ask(100) };
    let refused = |required, justified| {
        let (required, justified) = (Seq::new(required), Seq::new(justified));
        Err(LedgerError::Unjustified { required, justified })
    };
    assert_eq!(books.reserve(at_least(101)).unwrap().0, Seq::new(101));
    assert_eq!(books.reserve(at_least(102)), refused(102, 101));
    let charged = books.acknowledge(Amount::new(100)).unwrap();
    assert_eq!(charged.reserve(at_least(200)).unwrap().0, Seq::new(200));
    assert_eq!(charged.reserve(at_least(201)), refused(201, 200));
}

#[test]
fn charges_above_price_agreement_or_signature_are_told_apart() {
    let books = pay(ledger(1, 1_000), 100).1;
    let (cost, price) = (Amount::new(101), Amount::new(100));
    assert_eq!(answered(books, 100, 101, 101), Err(Overcharge::Cost { cost, price }));
    let unsigned = Overcharge::Unsigned { total: Amount::new(101), last_signed: Seq::new(100) };
    assert_eq!(answered(books, 100, 100, 101), Err(unsigned));
    // signed for 100, but this call cost only 40: 41 is nobody's
    let total = Overcharge::Total { total: Amount::new(41), agreed: Amount::new(40) };
    assert_eq!(answered(books, 100, 40, 41), Err(total));
    assert!(answered(books, 100, 40, 40).is_ok());
}

#[test]
fn a_refused_call_may_not_be_charged_later() {
    let books = pay(ledger(1, 1_000), 100).1.refused(Amount::new(100), Amount::new(100));
    assert!(matches!(books.acknowledge(Amount::new(1)), Err(Overcharge::Total { .. })));
}

/// A stream that may cost up to `agreed`.
fn stream(step: u64, agreed: u64) -> Ask {
    Ask { agreed: Some(Amount::new(agreed)), takes_unused: true, ..ask(step) }
}

#[test]
fn what_a_stream_was_charged_so_far_is_not_signed_for_twice() {
    let (seq, mut books, mut share) =
        ledger(1, 10_000).reserve_more(stream(100, 1_000), Share::default()).unwrap();
    assert_eq!((seq.get(), books.unsigned.get()), (100, 900));
    for charged in [90, 200, 300, 350] {
        books = books.acknowledge(Amount::new(charged)).unwrap();
        (_, books, share) = books.reserve_more(stream(100, 1_000), share).unwrap();
        assert_eq!(books.signed_for(), share.price, "as much as was meant to be, whatever is charged by now");
    }
    assert_eq!((share.price.get(), books.unsigned.get()), (500, 500));
    // a call beside it is signed for on top of it, and not of all that it may cost
    assert_eq!(pay(books, 70).0, 570);
    let ended =
        books.ended(share.price, share.agreed, Some(Amount::new(450)), Some(Amount::new(450))).unwrap();
    assert_eq!((ended.agreed.get(), ended.in_flight.get(), ended.unsigned.get()), (450, 0, 0));
}

proptest! {
    /// Streams that go on step by step beside each other, and a service that charges them in any order and says so at
    /// any moment. Steps: (which, stream, amount). 0-1 begin, 2-4 charge, 5 say, 6-8 more, 9 end, 10 lose.
    #[test]
    fn streams_are_never_signed_for_beyond_what_they_may_cost_in_all(
        steps in proptest::collection::vec((0..11u8, any::<usize>(), 1..200u64), 1..80),
    ) {
        let mut books = ledger(1, 10_000_000);
        // what it takes, and what it was charged
        let mut streams: Vec<(Share, u64)> = Vec::new();
        let (mut spent, mut over) = (0_u64, 0_u64);
        for (kind, index, amount) in steps {
            let at = index % streams.len().max(1);
            let before = books;
            match kind {
                0..=1 => {
                    let (_, after, share) = books.reserve_more(stream(amount, 4 * amount), Share::default()).unwrap();
                    books = after;
                    streams.push((share, 0));
                }
                2..=4 if !streams.is_empty() => {
                    let (share, charged) = &mut streams[at];
                    let room = books.signed_for().get() - spent;
                    let more = amount.min(room).min(share.agreed.get() - *charged);
                    (*charged, spent) = (*charged + more, spent + more);
                }
                5 => books = books.acknowledge(Amount::new(spent)).unwrap(),
                6..=8 if !streams.is_empty() => {
                    let (share, _) = streams[at];
                    let left = share.agreed.get().saturating_sub(share.price.get());
                    if left > 0 {
                        let ask = stream(amount.min(left), share.agreed.get());
                        let (_, after, share) = books.reserve_more(ask, share).unwrap();
                        books = after;
                        streams[at].0 = share;
                    }
                }
                10 if !streams.is_empty() => {
                    let (share, _) = streams.swap_remove(at);
                    books = books.lost(share);
                }
                _ if !streams.is_empty() => {
                    let (share, charged) = streams.swap_remove(at);
                    let (cost, spent) = (Some(Amount::new(charged)), Some(Amount::new(spent)));
                    books = books.ended(share.price, share.agreed, cost, spent).unwrap();
                }
                _ => {}
            }
            // a step whose ceiling was signed already is one unit above it
            over += u64::from(books.last_signed.get() == before.last_signed.get() + 1);
            prop_assert!(books.signed_for().get() <= books.agreed.get().max(before.signed_for().get()) + over);
            let under_way: u64 = streams.iter().map(|(share, _)| share.unsigned().get()).sum();
            prop_assert_eq!(books.unsigned.get(), under_way);
            prop_assert!(spent <= books.agreed.get());
        }
    }
}

#[test]
fn what_a_lost_stream_was_not_signed_for_is_not_signed_for_by_the_next_one() {
    let (_, books, share) = ledger(1, 10_000).reserve_more(stream(100, 1_000), Share::default()).unwrap();
    let books = books.lost(share).acknowledge(Amount::new(100)).unwrap();
    assert_eq!((books.agreed.get(), books.lapsed.get()), (1_000, 900), "the service is not accused for it");
    let (_, mut books, mut share) = books.reserve_more(stream(100, 1_000), Share::default()).unwrap();
    for charged in [200, 300, 400] {
        books = books.acknowledge(Amount::new(charged)).unwrap();
        (_, books, share) = books.reserve_more(stream(100, 1_000), share).unwrap();
        assert_eq!(books.signed_for().get(), charged + 100);
    }
}

#[test]
fn a_call_beside_a_stream_that_took_what_others_left_is_signed_for_as_the_service_asks() {
    let (_, books, _) = ledger(1, 10_000).reserve_more(stream(100, 1_000), Share::default()).unwrap();
    let (_, books, other) = books.reserve_more(stream(400, 400), Share::default()).unwrap();
    // it cost nothing, and the first stream set all of it aside
    let books = books.ended(other.price, other.agreed, Some(Amount::ZERO), None).unwrap();
    let at_least = |seq| books.reserve(Ask { at_least: Seq::new(seq), ..ask(10) }).map(|(seq, _)| seq.get());
    assert_eq!(at_least(510), Ok(510));
    assert!(at_least(1_010).is_ok() && at_least(1_011).is_err(), "as far as was agreed to");
}

/// An honest service behind a network that loses and reorders.
#[derive(Default)]
struct Service {
    highest: u64,
    spent: u64,
}

impl Service {
    /// The total after the call, or the seq it would need.
    fn serve(&mut self, unit: u64, seq: u64, price: u64, cost: u64) -> Result<u64, u64> {
        let highest = self.highest.max(seq);
        if self.spent + price > highest * unit {
            return Err((self.spent + price).div_ceil(unit));
        }
        self.highest = highest;
        self.spent += cost;
        Ok(self.spent)
    }
}

#[derive(Clone, Copy, Debug)]
struct Call {
    seq: u64,
    price: u64,
    cost: u64,
    outcome: Option<Result<u64, u64>>,
}

proptest! {
    /// Steps: (which, price, cost share, call index). 0-2 start, 3-5 deliver, 6-8 answer, 9 lose.
    #[test]
    fn exposure_stays_bounded_and_an_honest_service_is_never_accused(
        unit in 1..50u64,
        steps in proptest::collection::vec((0..10u8, 1..500u64, 0..=100u64, any::<usize>()), 1..120),
    ) {
        let mut books = ledger(unit, 10_000_000);
        let mut service = Service::default();
        let mut calls: Vec<Call> = Vec::new();
        for (kind, price, share, index) in steps {
            let at = index % calls.len().max(1);
            match kind {
                0..=2 => {
                    let before = books;
                    let (seq, after) = pay(books, price);
                    let in_flight: u64 = calls.iter().map(|call| call.price).sum();
                    prop_assert_eq!(before.in_flight.get(), in_flight);
                    let needed = (before.acknowledged.get() + in_flight + price).div_ceil(unit);
                    prop_assert!(seq > before.last_signed.get());
                    prop_assert!(seq <= needed.max(before.last_signed.get() + 1));
                    books = after;
                    calls.push(Call { seq, price, cost: price * share / 100, outcome: None });
                }
                3..=5 if !calls.is_empty() && calls[at].outcome.is_none() => {
                    let Call { seq, price, cost, .. } = calls[at];
                    calls[at].outcome = Some(service.serve(unit, seq, price, cost));
                }
                6..=8 if !calls.is_empty() => match calls[at].outcome {
                    Some(Ok(spent)) => {
                        let Call { price, cost, .. } = calls.swap_remove(at);
                        books = answered(books, price, cost, spent).unwrap();
                    }
                    Some(Err(required)) => {
                        let Call { price, .. } = calls.swap_remove(at);
                        // and its status shows what it charged
                        books = books.refused(Amount::new(price), Amount::new(price)).acknowledge(Amount::new(service.spent)).unwrap();
                        let again = books.reserve(Ask { at_least: Seq::new(required), ..ask(price) });
                        prop_assert!(again.is_ok(), "{:?} for {}", again, required);
                    }
                    None => {}
                },
                _ if !calls.is_empty() => {
                    let Call { price, .. } = calls.swap_remove(at);
                    books = books.lost(Amount::new(price));
                }
                _ => {}
            }
            prop_assert!(books.acknowledged.get() <= service.spent);
            prop_assert!(service.spent <= books.agreed.get());
        }
    }

    #[test]
    fn no_numbers_make_it_panic(
        numbers in proptest::array::uniform11(any::<u64>()), unit in 1..=u64::MAX,
        limit in proptest::option::of(any::<u64>()),
    ) {
        let [deposited, last, acknowledged, agreed, in_flight, price, prepay, at_least, spent, unsigned, lapsed] = numbers;
        let books = Ledger {
            unit_price: UnitPrice::new(unit).unwrap(),
            deposited: Amount::new(deposited),
            limit: limit.map(Amount::new),
            last_signed: Seq::new(last),
            acknowledged: Amount::new(acknowledged),
            agreed: Amount::new(agreed),
            in_flight: Amount::new(in_flight),
            unsigned: Amount::new(unsigned),
            lapsed: Amount::new(lapsed),
        };
        let (price, prepay) = (Amount::new(price), Amount::new(prepay));
        if let Ok((seq, _)) = books.reserve(Ask { price, prepay, at_least: Seq::new(at_least), ..Ask::default() }) {
            let ceiling = u128::from(seq.get()) * u128::from(unit);
            prop_assert!(ceiling <= u128::from(deposited.min(limit.unwrap_or(u64::MAX))));
            prop_assert!(seq.get() > last);
        }
        if books.check_total(Amount::new(spent), prepay, Amount::new(deposited)).is_ok() && !prepay.is_zero() {
            prop_assert!(spent <= deposited.max(agreed));
        }
        let _ = books.answered(price, Some(prepay), Some(Amount::new(spent)));
    }
}
