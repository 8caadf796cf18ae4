/// Of a message in gRPC: one byte for its compression, four for its length.
const PREFIX: usize = 5;

/// Counts the messages of a body that comes in any pieces, without holding any of it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    prefix: [u8; PREFIX],
    /// How much of it has come.
    begun: usize,
    /// What is missing of the message that it begins.
    missing: usize,
    count: u64,
    bytes: u64,
}

impl Tally {
    pub(crate) fn take(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            if self.begun < PREFIX {
                let (place, first) = (&mut self.prefix[self.begun..], data);
                let taken = place.len().min(first.len());
                place[..taken].copy_from_slice(&first[..taken]);
                (self.begun, data) = (self.begun.saturating_add(taken), &first[taken..]);
                if self.begun < PREFIX {
                    return;
                }
                let [_, length @ ..] = self.prefix;
                self.missing = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
            }
            let taken = self.missing.min(data.len());
            data = &data[taken..];
            self.missing = self.missing.saturating_sub(taken);
            self.bytes = self.bytes.saturating_add(u64::try_from(taken).unwrap_or(u64::MAX));
            if self.missing == 0 {
                (self.begun, self.count) = (0, self.count.saturating_add(1));
            }
        }
    }

    /// Whole messages.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Bytes of messages as they were encoded, which their prefixes are not part of.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn however_a_body_is_cut_its_count_is_the_same(
            contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..6),
            size in 1..30_usize,
        ) {
            let message = |content: &Vec<u8>| {
                let length = u32::try_from(content.len()).unwrap().to_be_bytes();
                [&[1][..], &length, content].concat()
            };
            let whole: Vec<u8> = contents.iter().flat_map(message).collect();
            let mut tally = Tally::default();
            whole.chunks(size).for_each(|piece| tally.take(piece));
            let bytes: usize = contents.iter().map(Vec::len).sum();
            prop_assert_eq!((tally.count(), tally.bytes()), (contents.len() as u64, bytes as u64));
        }
    }
}
