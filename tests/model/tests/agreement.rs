//! The model and the bytecode, on a bounded number of sequences that are the same in every run.
//! `AMP_MODEL_SEQUENCES` and `AMP_MODEL_SEED` ask for more, or for others; `amp-soak` runs for as long as one likes.
#![allow(clippy::expect_used)]

use std::time::Duration;

use amp_model::soak::{Report, Soak};
use amp_model::trial::LANDMARKS;
use amp_protocol::rejection::Rejection;

/// What no transaction can bring about: a test of `tests/program` overwrites accounts for each.
const OUT_OF_REACH: [(Rejection, &str); 3] = [
    (Rejection::UnknownVersion, "the program writes version 1 only"),
    (Rejection::InvariantBroken, "every rule that would break the books refuses before"),
    (Rejection::VaultShort, "nothing but the program takes tokens out of a vault"),
];

fn from_environment(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
}

fn run() -> Report {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let soak = Soak {
        seed: from_environment("AMP_MODEL_SEED", 1),
        threads: u32::try_from(cores).unwrap_or(1),
        time: Duration::MAX,
        operations: u64::MAX,
        sequences: from_environment("AMP_MODEL_SEQUENCES", 400),
    };
    soak.run(|_, _| {})
}

#[test]
fn model_and_program_agree_wherever_the_search_goes_and_it_goes_everywhere() {
    let report = run();
    println!("{}", report.tally);
    if let Some(failure) = report.failures.first() {
        amp_model::regressions::keep(failure);
        panic!("{failure}");
    }
    for (kind, count) in report.tally.kinds() {
        assert!(count.accepted > 20, "{kind} went through {} times", count.accepted);
        assert!(count.refused > 10 || kind == "wait", "{kind} was refused {} times", count.refused);
    }
    for rejection in Rejection::ALL {
        let out_of_reach = OUT_OF_REACH.iter().any(|(one, _)| one == rejection);
        let met = report.tally.rejections(*rejection) > 0;
        assert!(met != out_of_reach, "{rejection:?}: met is {met}, out of reach is {out_of_reach}");
    }
    for landmark in LANDMARKS {
        assert!(report.tally.reached(landmark) > 0, "{landmark}: never reached");
    }
}
