//! Enumerating every state of a domain: a number's digits in mixed radix are the state's fields.

/// Where 64-bit arithmetic goes wrong, if it does.
pub(crate) const EDGES: [u64; 19] = [
    0,
    1,
    2,
    3,
    10,
    (1 << 31) - 1,
    1 << 31,
    (1 << 32) - 1,
    1 << 32,
    (1 << 32) + 1,
    (1 << 33) + 1,
    1 << 53,
    (1 << 63) - 1,
    1 << 63,
    (1 << 63) + 1,
    u64::MAX / 3,
    (1 << 62) + 1,
    u64::MAX - 1,
    u64::MAX,
];

/// The state with one number, field by field.
pub(crate) struct State(u64);

impl State {
    /// One of `0..count`.
    pub(crate) fn below(&mut self, count: u64) -> u64 {
        let digit = self.0 % count;
        self.0 /= count;
        digit
    }

    /// One of `0..=most`.
    pub(crate) fn up_to(&mut self, most: u64) -> u64 {
        self.below(most + 1)
    }

    /// A time of `first..=last`.
    pub(crate) fn time(&mut self, first: i64, last: i64) -> i64 {
        first + i64::try_from(self.below(last.abs_diff(first) + 1)).unwrap()
    }

    /// One of the edges.
    pub(crate) fn edge(&mut self) -> u64 {
        EDGES[usize::try_from(self.below(EDGES.len() as u64)).unwrap()]
    }

    pub(crate) fn flag(&mut self) -> bool {
        self.below(2) == 1
    }

    /// A number of 32 bits, of `0..=most`.
    pub(crate) fn up_to32(&mut self, most: u32) -> u32 {
        u32::try_from(self.up_to(most.into())).unwrap()
    }
}

/// Visits every state once; returns how many there were. `visit` must read the same number of fields of the
/// same sizes in every state, and says whether the state is one of the domain's.
pub(crate) fn every_state(mut visit: impl FnMut(&mut State) -> bool) -> u64 {
    let (mut visited, mut number) = (0, 0);
    loop {
        let mut state = State(number);
        let counts = visit(&mut state);
        // a rest means that the largest state has been passed
        if state.0 != 0 {
            return visited;
        }
        visited += u64::from(counts);
        number += 1;
    }
}

#[test]
fn every_one_of_a_domains_states_is_visited_once() {
    let mut seen = std::collections::BTreeSet::new();
    let visited =
        every_state(|state| seen.insert((state.up_to(2), state.time(-1, 2), state.flag())) || state.0 != 0);
    assert_eq!((visited, seen.len()), (24, 24));
}
