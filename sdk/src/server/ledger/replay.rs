use std::sync::Arc;

use amp_protocol::money::Seq;

/// Which seqs were used: the highest `capacity` accepted ones, one by one, and everything at or
/// below the floor. So parallel requests may arrive out of order, and no seq is accepted twice.
///
/// It is most of what is kept and stored of a signer, and copied with each of its requests on the way to the
/// disk. So it is packed, and copies share it until one changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayWindow {
    capacity: u32,
    /// How many are remembered.
    count: u32,
    floor: u64,
    /// The highest; the floor where none is remembered.
    last: u64,
    /// Each remembered seq, in ascending order, less the one before it, the first less the floor.
    packed: Arc<[u8]>,
}

/// Between two of the remembered seqs, or above all.
struct Gap<'a> {
    /// What is packed of those below.
    below: &'a [u8],
    /// The one below; the floor where none is.
    before: u64,
    /// The one above.
    after: Option<u64>,
    /// What is packed of those above that.
    above: &'a [u8],
}

impl ReplayWindow {
    /// A window that remembers `capacity` seqs above `floor`. With 0, seqs are strictly increasing.
    pub fn new(capacity: u32, floor: Seq) -> Self {
        Self { capacity, count: 0, floor: floor.get(), last: floor.get(), packed: Arc::default() }
    }

    /// Whether `seq` was never accepted. What is too old to know counts as used.
    pub fn is_fresh(&self, seq: Seq) -> bool {
        self.gap(seq.get()).is_some()
    }

    /// Takes note of an accepted seq.
    pub fn accept(&mut self, seq: Seq) {
        let seq = seq.get();
        let Some(Gap { below, before, after, above }) = self.gap(seq) else { return };
        // rewritten as bytes, once: this is done for each request
        let mut packed = Vec::with_capacity(self.packed.len().saturating_add(2 * LONGEST));
        packed.extend_from_slice(below);
        push(&mut packed, seq.saturating_sub(before));
        if let Some(after) = after {
            push(&mut packed, after.saturating_sub(seq));
        }
        packed.extend_from_slice(above);
        self.last = self.last.max(seq);
        self.count = self.count.saturating_add(1);
        self.forget(&packed);
    }

    /// Where a seq that was never accepted belongs.
    fn gap(&self, seq: u64) -> Option<Gap<'_>> {
        let whole = &*self.packed;
        if seq > self.last {
            return Some(Gap { below: whole, before: self.last, after: None, above: &[] });
        }
        let (mut rest, mut before) = (whole, self.floor);
        if seq <= before {
            return None;
        }
        loop {
            let below = whole.get(..whole.len().checked_sub(rest.len())?)?;
            let after = before.saturating_add(take(&mut rest)?);
            if after >= seq {
                return (after > seq).then_some(Gap { below, before, after: Some(after), above: rest });
            }
            before = after;
        }
    }

    /// The highest seq that is known to be used; 0: none.
    pub fn last(&self) -> Seq {
        Seq::new(self.last)
    }

    /// The same history with another capacity.
    pub fn with_capacity(mut self, capacity: u32) -> Self {
        self.capacity = capacity;
        if self.count > capacity {
            let packed = self.packed.clone();
            self.forget(&packed);
        }
        self
    }

    // forgets the smallest first: the floor rises over it, so what is forgotten stays refused
    fn forget(&mut self, mut packed: &[u8]) {
        while self.count > self.capacity
            && let Some(above) = take(&mut packed)
        {
            self.floor = self.floor.saturating_add(above);
            self.count = self.count.saturating_sub(1);
        }
        self.packed = Arc::from(packed);
    }

    /// The history for the store: the floor, then the remembered seqs, each less the one before it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.packed.len().saturating_add(LONGEST));
        push(&mut bytes, self.floor);
        bytes.extend_from_slice(&self.packed);
        if bytes.len().is_multiple_of(WORD) {
            bytes.push(0);
        }
        bytes
    }

    /// Reads [`Self::to_bytes`] back; `None` where the bytes are not what that writes. It wrote the floor and
    /// the seqs in 8 bytes big-endian each once: that is read too.
    pub fn from_bytes(bytes: &[u8], capacity: u32) -> Option<Self> {
        let seqs = if bytes.len().is_multiple_of(WORD) { words(bytes)? } else { unpacked(bytes)? };
        let (floor, remembered) = seqs.split_first()?;
        let (count, last) = (u32::try_from(remembered.len()).ok()?, *seqs.last()?);
        let packed = packed(*floor, remembered).into();
        let window = Self { capacity: u32::MAX, count, floor: *floor, last, packed };
        Some(window.with_capacity(capacity))
    }
}

/// What the older form has a multiple of, and the newer one never.
const WORD: usize = 8;
/// Bytes of the largest number.
const LONGEST: usize = 10;
/// Another byte of the number follows.
const MORE: u8 = 0x80;

/// Appends a number, seven bits a byte, the lowest first.
fn push(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= u64::from(MORE) {
        bytes.push(number.to_le_bytes()[0] | MORE);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
}

/// Takes a number off the front, if one is there that [`push`] wrote.
fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number: u64 = 0;
    for at in 0..LONGEST {
        let byte = *bytes.get(at)?;
        let shift = u32::try_from(at).ok()?.checked_mul(7)?;
        let bits = u64::from(byte & !MORE);
        // the tenth byte has room for one bit
        number |= bits.checked_shl(shift).filter(|shifted| shifted >> shift == bits)?;
        if byte & MORE == 0 {
            *bytes = bytes.get(at.checked_add(1)?..)?;
            // it would have ended before a last byte of nothing
            return (at == 0 || byte != 0).then_some(number);
        }
    }
    None
}

/// Ascending seqs above `floor`.
fn packed(floor: u64, seqs: &[u64]) -> Vec<u8> {
    let mut packed = Vec::new();
    let before = std::iter::once(&floor).chain(seqs);
    for (seq, before) in seqs.iter().zip(before) {
        push(&mut packed, seq.saturating_sub(*before));
    }
    packed
}

/// Floor and seqs.
fn unpacked(mut bytes: &[u8]) -> Option<Vec<u64>> {
    // what was added to be no multiple of a word
    if let Some((0, rest)) = bytes.split_last()
        && !rest.is_empty()
        && rest.len().is_multiple_of(WORD)
    {
        bytes = rest;
    }
    let mut seqs = vec![take(&mut bytes)?];
    while !bytes.is_empty() {
        let above = take(&mut bytes).filter(|above| *above > 0)?;
        seqs.push(seqs.last()?.checked_add(above)?);
    }
    Some(seqs)
}

/// Floor and seqs in the older form.
fn words(bytes: &[u8]) -> Option<Vec<u64>> {
    let (words, []) = bytes.as_chunks::<WORD>() else { return None };
    let seqs: Vec<u64> = words.iter().map(|word| u64::from_be_bytes(*word)).collect();
    seqs.is_sorted_by(|a, b| a < b).then_some(seqs)
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
        for bytes in [vec![], words(&[3, 2]), words(&[3, 3])] {
            assert_eq!(ReplayWindow::from_bytes(&bytes, 64), None, "{bytes:?}");
        }
        let max = [[0xff; 9].as_slice(), &[1]].concat();
        let packed: &[&[u8]] = &[
            // a seq twice, a number that does not end, one with a byte too many, one above 64 bits
            &[3, 0],
            &[3, 1, 0, 1],
            &[3, 0x81],
            &[3, 0x81, 0],
            &[[0xff; 9].as_slice(), &[2]].concat(),
            &[[0xff; 10].as_slice(), &[1]].concat(),
            // seqs above 64 bits
            &[&max[..], &[1]].concat(),
            // what makes nine bytes of eight is one byte
            &[1, 1, 1, 1, 1, 1, 1, 1, 0, 0],
        ];
        for bytes in packed {
            assert_eq!(ReplayWindow::from_bytes(bytes, 64), None, "{bytes:?}");
        }
        assert!(ReplayWindow::from_bytes(&max, 64).is_some_and(|window| window.last() == Seq::MAX));
    }

    #[test]
    fn a_window_of_an_earlier_release_reads_as_what_it_was() {
        let words = |words: &[u64]| words.iter().flat_map(|w| w.to_be_bytes()).collect::<Vec<_>>();
        let mut window = ReplayWindow::new(64, Seq::new(3));
        assert_eq!(ReplayWindow::from_bytes(&words(&[3]), 64).as_ref(), Some(&window));
        for seq in [5, 1 << 40, u64::MAX] {
            window.accept(Seq::new(seq));
        }
        let old = words(&[3, 5, 1 << 40, u64::MAX]);
        assert_eq!(ReplayWindow::from_bytes(&old, 64).as_ref(), Some(&window));
        assert_eq!(ReplayWindow::from_bytes(&window.to_bytes(), 64), Some(window));
    }

    #[test]
    fn a_window_of_any_length_is_told_from_one_of_an_earlier_release() {
        let mut window = ReplayWindow::new(64, Seq::ZERO);
        for seq in 1..100 {
            window.accept(Seq::new(seq * 3));
            let bytes = window.to_bytes();
            assert!(!bytes.len().is_multiple_of(8) && bytes.len() < 70, "{bytes:?}");
            assert_eq!(ReplayWindow::from_bytes(&bytes, 64).as_ref(), Some(&window));
        }
    }

    proptest! {
        #[test]
        fn far_apart_seqs_read_back(floor: u64, seqs: Vec<u64>) {
            let mut window = ReplayWindow::new(64, Seq::new(floor));
            seqs.into_iter().for_each(|seq| window.accept(Seq::new(seq)));
            prop_assert_eq!(ReplayWindow::from_bytes(&window.to_bytes(), 64), Some(window));
        }

        #[test]
        fn whatever_is_read_is_what_would_be_written(bytes: Vec<u8>) {
            let read = ReplayWindow::from_bytes(&bytes, u32::MAX);
            if let Some(window) = read.filter(|_| !bytes.len().is_multiple_of(8)) {
                prop_assert_eq!(window.to_bytes(), bytes);
            }
        }

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
