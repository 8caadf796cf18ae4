//! The target that `AMP_FUZZ_TARGET` names, under libFuzzer, whose arguments these are: see run.sh.
#![no_main]

use std::sync::LazyLock;

use amp_fuzz_targets::{TARGETS, Target};
use libfuzzer_sys::{fuzz_crossover, fuzz_mutator, fuzz_target, fuzzer_mutate};

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("AMP_FUZZ_TARGET").unwrap_or_default();
    let found = TARGETS.iter().find(|target| target.name == name);
    found.unwrap_or_else(|| panic!("AMP_FUZZ_TARGET names no target: {name:?}"))
});

fuzz_target!(|bytes: &[u8]| {
    (TARGET.run)(bytes);
});

fuzz_mutator!(|data: &mut [u8], size: usize, most: usize, seed: u32| {
    match TARGET.grammar {
        Some(grammar) => place(&(grammar.change)(&data[..size], seed, most), data),
        None => fuzzer_mutate(data, size, most),
    }
});

// nothing, where bytes are changed one by one: libFuzzer's own mutations cross them as well
fuzz_crossover!(|one: &[u8], other: &[u8], out: &mut [u8], seed: u32| {
    TARGET.grammar.map_or(0, |grammar| place(&(grammar.cross)(one, other, seed, out.len()), out))
});

fn place(made: &[u8], data: &mut [u8]) -> usize {
    data[..made.len()].copy_from_slice(made);
    made.len()
}
