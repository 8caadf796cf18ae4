//! Sequences that once ended in a difference, one by one.
#![allow(clippy::expect_used)]

use amp_model::regressions;
use amp_model::search::Search;
use amp_model::tally::Tally;

#[test]
fn what_was_found_once_stays_fixed() {
    let search = Search::new(0);
    for (name, sequence) in regressions::all() {
        let mut tally = Tally::default();
        if let Err((_, divergence)) = search.run(&sequence, None, &mut tally) {
            panic!("{name}\n{sequence}\n{divergence}");
        }
        // a sequence whose operations find nothing to do keeps nothing from coming back
        assert_eq!(tally.idle, 0, "{name}\n{sequence}\n{tally}");
        println!("{name}: {:?}", tally.reasons());
    }
}
