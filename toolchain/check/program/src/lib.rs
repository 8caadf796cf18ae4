//! Does what programs do, with values from the input, and digests the results. `toolchain-check`
//! runs it as bytecode and on the host: the same input must give the same digest, or a panic in
//! both. See toolchain/README.md.

mod memory;
mod numbers;
mod text_and_collections;

#[cfg(target_os = "solana")]
mod entrypoint {
    use solana_program_entrypoint::{__AccountInfo, __Pubkey, ProgramResult, entrypoint};

    entrypoint!(process);

    fn process(_: &__Pubkey, _: &[__AccountInfo], input: &[u8]) -> ProgramResult {
        solana_cpi::set_return_data(&crate::run(input));
        Ok(())
    }
}

type Section = fn(&mut Data, &mut Digest);

/// What an input's first byte chooses from.
pub const SECTIONS: &[(&str, Section)] = &[
    ("unsigned integers", numbers::unsigned),
    ("signed integers", numbers::signed),
    ("u128", numbers::wide_unsigned),
    ("i128", numbers::wide_signed),
    ("floats", numbers::floats),
    ("panics", numbers::panics),
    ("atomics", memory::atomics),
    ("calls", memory::calls),
    ("memory functions", memory::functions),
    ("moves", memory::moves),
    ("sha2", memory::sha2),
    ("collections", text_and_collections::collections),
    ("sorting", text_and_collections::sorting),
    ("text", text_and_collections::text),
    ("stack machine", text_and_collections::stack_machine),
];

/// Runs the section that the first byte chooses, with the rest as its data.
pub fn run(input: &[u8]) -> [u8; 32] {
    let mut digest = Digest([1, 2, 3, 4]);
    if let Some((first, rest)) = input.split_first() {
        SECTIONS[usize::from(*first) % SECTIONS.len()].1(&mut Data(rest), &mut digest);
    }
    digest.finish()
}

/// Four lanes, each step changes all that follows.
pub struct Digest([u64; 4]);

impl Digest {
    fn add(&mut self, value: impl Value) {
        value.add_to(self);
    }

    fn word(&mut self, word: u64) {
        let [a, b, c, d] = self.0;
        let mixed = (a ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        self.0 = [b ^ mixed, c, d.wrapping_add(mixed), mixed];
    }

    fn finish(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (to, word) in bytes.chunks_exact_mut(8).zip(self.0) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }
}

/// What a digest takes.
trait Value {
    fn add_to(self, digest: &mut Digest);
}

macro_rules! value {
    ($($ty:ty),*) => {$(
        impl Value for $ty {
            fn add_to(self, digest: &mut Digest) {
                digest.word(self as u64);
                if size_of::<$ty>() > 8 {
                    digest.word((self as u128 >> 64) as u64);
                }
            }
        }
    )*};
}
value!(u8, u16, u32, u64, usize, u128, i8, i16, i32, i64, i128, bool, char);

impl Value for core::cmp::Ordering {
    fn add_to(self, digest: &mut Digest) {
        digest.word(self as u64);
    }
}

impl Value for &[u8] {
    fn add_to(self, digest: &mut Digest) {
        digest.word(self.len() as u64);
        for byte in self {
            digest.word(u64::from(*byte));
        }
    }
}

impl Value for &str {
    fn add_to(self, digest: &mut Digest) {
        digest.add(self.as_bytes());
    }
}

impl<T: Value> Value for Option<T> {
    fn add_to(self, digest: &mut Digest) {
        digest.word(u64::from(self.is_some()));
        if let Some(value) = self {
            digest.add(value);
        }
    }
}

impl<A: Value, B: Value> Value for (A, B) {
    fn add_to(self, digest: &mut Digest) {
        digest.add(self.0);
        digest.add(self.1);
    }
}

/// Takes values off the input, with a liking for those at the edges.
pub struct Data<'a>(&'a [u8]);

impl<'a> Data<'a> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// Up to `n` bytes.
    fn bytes(&mut self, n: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(n.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn u64(&mut self) -> u64 {
        let kind = self.byte();
        let bits = u32::from(kind >> 2);
        match kind & 3 {
            // 2^n - 1, 2^n, -2^n
            0 => (1_u64 << bits).wrapping_sub(1),
            1 => match bits % 2 {
                0 => 1 << bits,
                _ => (1_u64 << bits).wrapping_neg(),
            },
            // any number of so many bits
            _ => self.bytes(8).iter().fold(0, |n, byte| n << 8 | u64::from(*byte)) >> bits,
        }
    }

    fn u128(&mut self) -> u128 {
        match self.byte() % 4 {
            0 => u128::from(self.u64()),
            1 => u128::from(self.u64()) << 64,
            2 => (i128::from(self.u64() as i64)) as u128,
            _ => u128::from(self.u64()) << 64 | u128::from(self.u64()),
        }
    }
}
