//! Is the net known to catch? Every model that forgets one rule must be found out.
#![allow(clippy::expect_used)]

use std::sync::atomic::{AtomicUsize, Ordering};

use amp_model::Sequence;
use amp_model::model::Rule;
use amp_model::search::Search;
use amp_model::tally::Tally;
use amp_model::trial::imagine;

/// Sequences after which a model that forgets something must have been noticed.
const WITHIN: u64 = 400;

/// Rules whose forgetting the invariants alone must notice: were the program wrong in the same way as the
/// model, nothing else would.
const HELD_BY_INVARIANTS: [Rule; 21] = [
    Rule::Ceiling,
    Rule::ClaimedOnce,
    Rule::Deposit,
    Rule::RateWindow,
    Rule::WindowsFromOpening,
    Rule::MessageChannel,
    Rule::Epoch,
    Rule::MessageSigner,
    Rule::DelegateLimit,
    Rule::DelegationIncarnation,
    Rule::LimitNotLowered,
    Rule::ClaimedStays,
    Rule::DelegateIsAnother,
    Rule::NotInOpeningSlot,
    Rule::NotInDelegationSlot,
    Rule::DonationsToFunder,
    Rule::RentBack,
    Rule::ChainDepth,
    Rule::GraceWithinParents,
    Rule::ChainingCounts,
    Rule::StatementCountsClaims,
];

#[test]
fn a_model_that_forgets_a_rule_is_found_out() {
    let next = AtomicUsize::new(0);
    let missed = std::sync::Mutex::new(Vec::new());
    let work = || {
        let search = Search::new(2);
        while let Some(rule) = Rule::ALL.get(next.fetch_add(1, Ordering::Relaxed)) {
            let mut tally = Tally::default();
            let found =
                (0..WITHIN).any(|at| search.run(&search.sequence(at), Some(*rule), &mut tally).is_err());
            println!("{rule:?}: {} operations", tally.operations);
            if !found {
                missed.lock().expect("no thread panics").push(*rule);
            }
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..cores).for_each(|_| drop(scope.spawn(work))));
    assert_eq!(*missed.lock().expect("no thread panics"), []);
}

#[test]
fn the_invariants_alone_find_out_a_model_that_pays_what_it_must_not() {
    let search = Search::new(3);
    for rule in HELD_BY_INVARIANTS {
        let found = (0..4_000).find_map(|at| {
            let Sequence { setting, operations } = search.sequence(at);
            imagine(setting, &operations, rule).err()
        });
        let broken = found.unwrap_or_else(|| panic!("{rule:?} was forgotten, and no invariant broken"));
        println!("{rule:?}: {broken}");
    }
}

#[test]
fn what_is_found_is_shortened_and_reads_back() {
    let search = Search::new(4);
    for (rule, longest) in [(Rule::RateWindow, 3), (Rule::DelegateLimit, 3), (Rule::CloseGrace, 4)] {
        let failure = (0..WITHIN)
            .find_map(|at| search.attempt(at, Some(rule), &mut Tally::default()).err())
            .expect("it is found out");
        assert!(failure.sequence.operations.len() <= longest, "{failure}");
        let text = serde_json::to_string(&failure.sequence).expect("JSON");
        let read: Sequence = serde_json::from_str(&text).expect("the same sequence");
        assert_eq!(read, failure.sequence);
        assert!(search.run(&read, Some(rule), &mut Tally::default()).is_err());
        assert!(search.run(&read, None, &mut Tally::default()).is_ok());
        assert!(failure.to_string().contains("shortened to"));
    }
}
