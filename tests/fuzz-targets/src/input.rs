//! Bytes as numbers: every byte string is an input, and small changes of it are small changes of the input.

use amp_protocol::money::Amount;

/// Where arithmetic goes wrong, if it does.
const EDGES: [u64; 16] = [
    0,
    1,
    1 << 31,
    (1 << 32) - 1,
    1 << 32,
    (1 << 32) + 1,
    1 << 53,
    (1 << 63) - 1,
    1 << 63,
    (1 << 63) + 1,
    u64::MAX - 1,
    u64::MAX,
    86_400,
    2_592_000,
    2_592_001,
    1_700_000_000,
];

/// Reads numbers from the front of the bytes; what is missing at the end is zero.
pub(crate) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    pub(crate) fn array<const N: usize>(&mut self) -> [u8; N] {
        core::array::from_fn(|_| self.byte())
    }

    /// Up to `length` bytes.
    pub(crate) fn bytes(&mut self, length: usize) -> &'a [u8] {
        let (these, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        these
    }

    pub(crate) fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// A number: its first byte says whether it is small, an edge or any.
    pub(crate) fn number(&mut self) -> u64 {
        let kind = self.byte();
        match kind {
            0..=127 => kind.into(),
            128..=143 => EDGES[usize::from(kind - 128)],
            144..=159 => EDGES[usize::from(kind - 144)].wrapping_sub(self.byte().into()),
            160..=199 => u16::from_le_bytes(self.array()).into(),
            200..=231 => u32::from_le_bytes(self.array()).into(),
            _ => u64::from_le_bytes(self.array()),
        }
    }

    /// A time or a clock: numbers above 2^63 are below zero.
    pub(crate) fn time(&mut self) -> i64 {
        self.number().cast_signed()
    }

    /// A number of 32 bits.
    pub(crate) fn number32(&mut self) -> u32 {
        let number = self.number();
        u32::try_from(number).unwrap_or((number >> 32) as u32)
    }

    pub(crate) fn amount(&mut self) -> Amount {
        Amount::new(self.number())
    }
}
