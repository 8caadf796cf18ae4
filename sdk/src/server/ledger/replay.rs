use amp_protocol::money::Seq;

/// Which seqs were used: the highest `capacity` accepted ones, one by one, and everything at or
/// below the floor. So parallel requests may arrive out of order, and no seq is accepted twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayWindow {
    capacity: usize,
    floor: u64,
    /// Ascending, each above the floor.
    remembered: Vec<u64>,
}

impl ReplayWindow {
    /// A window that remembers `capacity` seqs above `floor`. With 0, seqs are strictly increasing.
    pub fn new(capacity: u32, floor: Seq) -> Self {
        let capacity = usize::try_from(capacity).unwrap_or(usize::MAX);
        Self { capacity, floor: floor.get(), remembered: Vec::new() }
    }

    /// Whether `seq` was never accepted. What is too old to know counts as used.
    pub fn is_fresh(&self, seq: Seq) -> bool {
        seq.get() > self.floor && self.remembered.binary_search(&seq.get()).is_err()
    }

    /// Takes note of an accepted seq.
    pub fn accept(&mut self, seq: Seq) {
        if seq.get() <= self.floor {
            return;
        }
        if let Err(at) = self.remembered.binary_search(&seq.get()) {
            self.remembered.insert(at, seq.get());
        }
        self.forget();
    }

    /// The highest seq that is known to be used; 0: none.
    pub fn last(&self) -> Seq {
        Seq::new(self.remembered.last().copied().unwrap_or(self.floor))
    }

    /// The same history with another capacity.
    pub fn with_capacity(mut self, capacity: u32) -> Self {
        self.capacity = usize::try_from(capacity).unwrap_or(usize::MAX);
        self.forget();
        self
    }

    // forgets the smallest first: the floor rises over it, so what is forgotten stays refused
    fn forget(&mut self) {
        let surplus = self.remembered.len().saturating_sub(self.capacity);
        if let Some(oldest) = self.remembered.drain(..surplus).next_back() {
            self.floor = oldest;
        }
    }

    /// The history for the store: floor, then the remembered seqs, 8 bytes big-endian each.
    pub fn to_bytes(&self) -> Vec<u8> {
        std::iter::once(&self.floor).chain(&self.remembered).flat_map(|seq| seq.to_be_bytes()).collect()
    }

    /// Reads [`Self::to_bytes`] back; `None` where the bytes are not what that writes.
    pub fn from_bytes(bytes: &[u8], capacity: u32) -> Option<Self> {
        let (words, []) = bytes.as_chunks::<8>() else { return None };
        let seqs: Vec<u64> = words.iter().map(|word| u64::from_be_bytes(*word)).collect();
        if !seqs.is_sorted_by(|a, b| a < b) {
            return None;
        }
        let (floor, remembered) = seqs.split_first()?;
        let window = Self { capacity: usize::MAX, floor: *floor, remembered: remembered.to_vec() };
        Some(window.with_capacity(capacity))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn accepted(capacity: u32, seqs: &[u64]) -> ReplayWindow {
        let mut window = ReplayWindow::new(capacity, Seq::ZERO);
        seqs.iter().for_each(|seq| window.accept(Seq::new(*seq)));
        window
    }

    #[test]
    fn out_of_order_seqs_are_fresh_once_and_forgotten_ones_never() {
        let window = accepted(3, &[10, 5, 7]);
        assert!([1, 6, 8, 9, 11].iter().all(|seq| window.is_fresh(Seq::new(*seq))));
        assert!([0, 5, 7, 10].iter().all(|seq| !window.is_fresh(Seq::new(*seq))));
        let window = accepted(3, &[10, 5, 7, 6]);
        assert!([1, 4, 5, 6].iter().all(|seq| !window.is_fresh(Seq::new(*seq))), "5 was forgotten");
        assert!(window.is_fresh(Seq::new(8)));
    }

    #[test]
    fn a_window_of_zero_is_strictly_increasing() {
        let window = accepted(0, &[10]);
        assert!(!window.is_fresh(Seq::new(9)) && !window.is_fresh(Seq::new(10)));
        assert!(window.is_fresh(Seq::new(11)));
    }

    #[test]
    fn a_smaller_window_after_a_restart_forgets_upwards() {
        let stored = accepted(64, &[1, 2, 3, 9]).to_bytes();
        let window = ReplayWindow::from_bytes(&stored, 1).unwrap();
        assert!(!window.is_fresh(Seq::new(3)) && !window.is_fresh(Seq::new(9)));
        assert!(window.is_fresh(Seq::new(4)));
    }

    #[test]
    fn bytes_that_no_window_wrote_are_refused() {
        let words = |words: &[u64]| words.iter().flat_map(|w| w.to_be_bytes()).collect::<Vec<_>>();
        for bytes in [vec![], vec![0; 7], words(&[3, 2]), words(&[3, 3])] {
            assert_eq!(ReplayWindow::from_bytes(&bytes, 64), None, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn no_seq_is_fresh_twice(capacity in 0..6u32, seqs in proptest::collection::vec(0..40u64, 0..80)) {
            let mut window = ReplayWindow::new(capacity, Seq::ZERO);
            let mut used = std::collections::BTreeSet::new();
            for seq in seqs {
                if window.is_fresh(Seq::new(seq)) {
                    prop_assert!(used.insert(seq));
                    window.accept(Seq::new(seq));
                }
                prop_assert_eq!(ReplayWindow::from_bytes(&window.to_bytes(), capacity), Some(window.clone()));
            }
            prop_assert_eq!(window.last().get(), used.last().copied().unwrap_or(0));
        }
    }
}
