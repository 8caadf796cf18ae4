use amp_protocol::money::{Amount, Seq, UnitPrice};

use crate::domain::every_state;

/// Whether `seq` steps of `price` reach `owed`, without a product that could wrap: by division.
fn reaches(seq: u64, price: u64, owed: u64) -> bool {
    let (steps, rest) = (owed / price, owed % price);
    steps < seq || (steps == seq && rest == 0)
}

/// The same, by adding one step after the other.
fn reaches_step_by_step(seq: u64, price: u64, owed: u64) -> bool {
    (0..seq).fold(0, |reached, _| reached + price) >= owed
}

#[test]
fn the_ceiling_covers_what_its_steps_reach_in_all_176_820_small_cases() {
    let states = every_state(|state| {
        let (seq, price, owed) = (state.up_to(20), 1 + state.below(20), state.up_to(420));
        let covers = UnitPrice::new(price).unwrap().ceiling(Seq::new(seq)).covers(Amount::new(owed));
        assert_eq!(covers, reaches_step_by_step(seq, price, owed), "{seq} x {price} >= {owed}");
        true
    });
    assert_eq!(states, 176_820);
}

#[test]
fn the_ceiling_covers_what_its_steps_reach_at_all_6_498_triples_of_edges() {
    let states = every_state(|state| {
        let (seq, price) = (state.edge(), state.edge());
        // an edge, or what the steps reach exactly, or one unit either side of it
        let (owed, around) = (state.edge(), state.below(3));
        let Some(unit_price) = UnitPrice::new(price) else { return false };
        let ceiling = unit_price.ceiling(Seq::new(seq));
        let exact = seq.checked_mul(price);
        assert_eq!(ceiling.amount().map(Amount::get), exact);
        let near = exact.map_or(owed, |exact| exact.wrapping_add(around).wrapping_sub(1));
        for owed in [owed, near] {
            assert_eq!(
                ceiling.covers(Amount::new(owed)),
                reaches(seq, price, owed),
                "{seq} x {price} >= {owed}"
            );
            let wide = u128::from(seq) * u128::from(price);
            assert_eq!(ceiling.covers(Amount::new(owed)), wide >= u128::from(owed));
        }
        around == 0
    });
    assert_eq!(states, 6_498);
}

#[test]
fn the_covering_seq_is_the_smallest_at_all_342_pairs_of_edges() {
    let states = every_state(|state| {
        let (owed, price) = (state.edge(), state.edge());
        let Some(unit_price) = UnitPrice::new(price) else { return false };
        let seq = unit_price.seq_covering(Amount::new(owed)).get();
        assert!(reaches(seq, price, owed) && (seq == 0 || !reaches(seq - 1, price, owed)));
        true
    });
    assert_eq!(states, 342);
}
