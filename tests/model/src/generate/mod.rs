//! Random sequences that go somewhere: most of what is tried is what people would do, in the order in which
//! they would, and every so often something is wrong with it.

mod amounts;
mod scenes;
mod twists;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::sequence::Sequence;
use crate::trial::{Setting, TROUPES, Time};

/// Random sequences.
pub fn sequences() -> BoxedStrategy<Sequence> {
    let time = prop_oneof![30 => Just(Time::Ordinary), 1 => Just(Time::Zero), 1 => Just(Time::Last)];
    let setting = (0..TROUPES, time).prop_map(|(troupe, time)| Setting { troupe, time });
    let begun = (scenes::opening(), prop::collection::vec(scenes::scene(), 10..70));
    let sequence = (setting, begun).prop_map(|(setting, (opening, scenes))| {
        let operations = opening.into_iter().chain(scenes.into_iter().flatten()).collect();
        Sequence { setting, operations }
    });
    sequence.boxed()
}

/// Sequence number `at` of a run with this seed.
pub fn numbered(strategy: &impl Strategy<Value = Sequence>, seed: u64, at: u64) -> Sequence {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&mixed(seed ^ mixed(at)).to_le_bytes());
    bytes[8..].copy_from_slice(&mixed(at ^ mixed(seed)).to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::XorShift, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    strategy.new_tree(&mut runner).expect("nothing is filtered, so nothing is rejected").current()
}

/// Spreads a small number over 64 bits: neighbouring seeds must not make like sequences.
fn mixed(number: u64) -> u64 {
    let mut bits = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    for multiplier in [0xbf58_476d_1ce4_e5b9, 0x94d0_49bb_1331_11eb] {
        bits = (bits ^ (bits >> 29)).wrapping_mul(multiplier);
    }
    bits ^ (bits >> 32)
}
