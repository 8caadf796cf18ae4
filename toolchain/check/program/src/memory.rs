//! Atomics, calls with many and large arguments, memcpy and its kin, and sha2.
#![allow(clippy::too_many_arguments)]

use core::{
    hint::black_box,
    sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering::*},
};

use sha2::Digest as _;

use crate::{Data, Digest};

macro_rules! atomic {
    ($digest:ident, $atomic:ty, $ty:ty, $a:expr, $b:expr) => {{
        let (a, b) = ($a as $ty, $b as $ty);
        let cell = black_box(<$atomic>::new(a));
        $digest.add(cell.fetch_add(b, SeqCst));
        $digest.add(cell.fetch_sub(a, AcqRel));
        $digest.add(cell.fetch_and(a | 1, Relaxed));
        $digest.add(cell.fetch_or(b, SeqCst));
        $digest.add(cell.fetch_xor(a, SeqCst));
        $digest.add(cell.fetch_nand(b, SeqCst));
        $digest.add(cell.fetch_max(a, SeqCst));
        $digest.add(cell.fetch_min(b, SeqCst));
        $digest.add(cell.compare_exchange(b, a, SeqCst, Relaxed).is_ok());
        $digest.add(cell.compare_exchange(b, a, SeqCst, Relaxed).is_ok());
        $digest.add(cell.swap(b, AcqRel));
        cell.store(cell.load(Acquire) ^ 1, Release);
        $digest.add(cell.into_inner());
    }};
}

pub fn atomics(data: &mut Data, digest: &mut Digest) {
    while !data.is_empty() {
        let (a, b) = (data.u64(), data.u64());
        atomic!(digest, AtomicU8, u8, a, b);
        atomic!(digest, AtomicU16, u16, a, b);
        atomic!(digest, AtomicU32, u32, a, b);
        atomic!(digest, AtomicU64, u64, a, b);
        atomic!(digest, AtomicI64, i64, a, b);
        let flag = black_box(AtomicBool::new(a > b));
        digest.add((flag.fetch_not(SeqCst), flag.swap(a < b, SeqCst)));
    }
}

#[derive(Clone, Copy)]
struct Wide {
    a: u64,
    b: u128,
    c: u8,
    d: [u16; 5],
}

#[inline(never)]
fn thirteen(
    a: u8,
    b: i64,
    c: u128,
    d: &[u8],
    e: Wide,
    f: f64,
    g: Option<u64>,
    h: i8,
    i: u16,
    j: &Wide,
    k: bool,
    l: i128,
    m: u64,
) -> u128 {
    let slice = d.iter().map(|byte| u128::from(*byte)).sum::<u128>();
    let wide = e.b ^ u128::from(e.a) ^ u128::from(e.d[2]) ^ u128::from(j.d[4]) ^ u128::from(j.c);
    c.wrapping_mul(3)
        .wrapping_add(slice)
        .wrapping_add(wide << 1)
        .wrapping_sub(l as u128)
        .wrapping_add(u128::from(a) << 7 ^ b as u128 ^ u128::from(g.unwrap_or(m)) << 9)
        .wrapping_add((h as u128) ^ u128::from(i) << 3 ^ f as u128 ^ u128::from(k))
}

#[inline(never)]
fn six(a: u64, b: u64, c: u64, d: u64, e: u64, f: u64) -> (u64, u64) {
    (a ^ b.rotate_left(1) ^ c.rotate_left(2), d ^ e.rotate_left(3) ^ f.rotate_left(4))
}

#[inline(never)]
fn nine(a: u32, b: u64, c: u16, d: u64, e: u8, f: i64, g: i32, h: i16, i: i8) -> Wide {
    let sum = b.wrapping_add(d) ^ f as u64;
    Wide {
        a: sum ^ u64::from(a),
        b: u128::from(sum) << 40,
        c: e ^ i as u8,
        d: [c, h as u16, g as u16, 7, e.into()],
    }
}

#[inline(never)]
fn maybe(a: u128, b: u128) -> Option<u128> {
    a.checked_sub(b)
}

#[inline(never)]
fn result(a: u64, b: u64) -> Result<u64, Wide> {
    let wide = Wide { a, b: b.into(), c: 1, d: [b as u16; 5] };
    if a & 1 == 0 { Ok(a ^ b) } else { Err(wide) }
}

#[inline(never)]
fn deep(depth: u8, a: u64, b: u64, c: u64, d: u64, e: u64, f: u64, digest: &mut Digest) -> u64 {
    if depth == 0 {
        return a ^ f;
    }
    let below = deep(depth - 1, b, c.wrapping_add(1), d, e ^ a, f, a, digest);
    digest.add(below);
    below.wrapping_mul(31).wrapping_add(e)
}

trait Shape {
    fn area(&self, scale: u64, more: [u64; 3], a: u64, b: u64, c: u64) -> u128;
}

struct Square(u64);
struct Circle(u32, u8);

impl Shape for Square {
    fn area(&self, scale: u64, more: [u64; 3], a: u64, b: u64, c: u64) -> u128 {
        (u128::from(self.0) * u128::from(scale)) ^ u128::from(more[1] ^ a ^ b ^ c)
    }
}

impl Shape for Circle {
    fn area(&self, scale: u64, more: [u64; 3], a: u64, b: u64, c: u64) -> u128 {
        u128::from(self.0) * 3
            + u128::from(self.1 ^ more[2] as u8)
            + u128::from(scale ^ a)
            + u128::from(b ^ c)
    }
}

type Captured = dyn Fn(u64, &Wide) -> u128;

pub fn calls(data: &mut Data, digest: &mut Digest) {
    while !data.is_empty() {
        let (a, b, c) = (data.u64(), data.u64(), data.u128());
        let slice = data.bytes(9);
        let wide = Wide { a: b, b: c, c: a as u8, d: [a as u16, 1, b as u16, 3, c as u16] };
        let option = (a > b).then_some(b);
        let float = (b >> 12) as f64;
        digest.add(thirteen(
            a as u8,
            b as i64,
            c,
            slice,
            wide,
            float,
            option,
            b as i8,
            a as u16,
            &wide,
            a < b,
            c as i128,
            b,
        ));
        let function = black_box(six as fn(u64, u64, u64, u64, u64, u64) -> (u64, u64));
        digest.add(function(a, b, c as u64, !a, !b, 77));
        let nine = nine(a as u32, b, c as u16, a, b as u8, c as i64, a as i32, b as i16, c as i8);
        digest.add((nine.a, (nine.b, nine.c)));
        nine.d.iter().for_each(|d| digest.add(*d));
        digest.add((maybe(c, a.into()), maybe(b.into(), c)));
        match result(a, b) {
            Ok(ok) => digest.add(ok),
            Err(wide) => digest.add((wide.b, (wide.d[4], wide.c))),
        }
        let depths = deep(a as u8 % 16, a, b, 3, 4, 5, 6, digest);
        digest.add(depths);
        let shapes: [Box<dyn Shape>; 2] = [Box::new(Square(a)), Box::new(Circle(b as u32, 9))];
        digest.add(black_box(&shapes)[b as usize % 2].area(b, [a, b, 1], 2, a, b));
        let captured: Box<Captured> = Box::new(move |x, w| w.b ^ u128::from(x ^ a ^ b));
        digest.add(black_box(captured)(7, &wide));
    }
}

/// memcpy, memmove, memset, memcmp of all lengths around where they turn from words to syscalls, at
/// all alignments, overlapping both ways.
pub fn functions(data: &mut Data, digest: &mut Digest) {
    let mut buffer: [u8; 640] = core::array::from_fn(|i| (i * 7 + i / 256) as u8);
    while !data.is_empty() {
        let operation = data.byte() % 6;
        let long = data.byte().is_multiple_of(4);
        let n = black_box(usize::from(data.byte()) % if long { 256 } else { 100 });
        let (from, to) = (usize::from(data.byte()), usize::from(data.byte()));
        // mostly near each other, so that they overlap
        let near = if data.byte().is_multiple_of(4) { 320 + to % 64 } else { from + to % 24 };
        match operation {
            0 => buffer.copy_within(from..from + n, near),
            1 => buffer.copy_within(near..near + n, from),
            2 => {
                let (left, right) = buffer.split_at_mut(320);
                let n = n.min(60);
                right[to..to + n].copy_from_slice(&left[from..from + n]);
            }
            3 => buffer[from..from + n].fill(to as u8),
            4 => {
                let copy = buffer[from..from + n].to_vec();
                digest.add(copy == buffer[from..from + n]);
                buffer[near..near + n].copy_from_slice(&copy);
                if n > 0 {
                    buffer[near + to % n] ^= 0x80;
                }
                digest.add(copy.as_slice().cmp(&buffer[near..near + n]));
                digest.add(copy == buffer[near..near + n]);
            }
            _ => digest.add(buffer[from..from + n].cmp(&buffer[near..near + n])),
        }
    }
    digest.add(buffer.as_slice());
}

#[inline(never)]
fn moved<const N: usize>(data: &mut Data, digest: &mut Digest) {
    let mut a = [data.byte(); N];
    let mut b = black_box(a);
    a[N / 2] = data.byte();
    b[N - 1] ^= 1;
    core::mem::swap(&mut a, black_box(&mut b));
    let boxed = black_box(Box::new((data.byte(), a, data.u64())));
    digest.add(boxed.1.as_slice());
    digest.add((boxed.0, boxed.2));
    digest.add((a == b, a < b));
}

/// Values of fixed sizes, by copies that the compiler writes.
pub fn moves(data: &mut Data, digest: &mut Digest) {
    moved::<1>(data, digest);
    moved::<2>(data, digest);
    moved::<3>(data, digest);
    moved::<7>(data, digest);
    moved::<8>(data, digest);
    moved::<15>(data, digest);
    moved::<16>(data, digest);
    moved::<17>(data, digest);
    moved::<31>(data, digest);
    moved::<32>(data, digest);
    moved::<33>(data, digest);
    moved::<40>(data, digest);
    moved::<41>(data, digest);
    moved::<64>(data, digest);
    moved::<100>(data, digest);
    moved::<165>(data, digest);
    moved::<300>(data, digest);
    // numbers at any alignment
    while !data.is_empty() {
        let skip = usize::from(data.byte() % 8);
        let bytes = data.bytes(24);
        for at in skip..bytes.len().saturating_sub(16) {
            digest.add(u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap()));
            digest.add(u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()));
            digest.add(u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()));
            digest.add(i128::from_be_bytes(bytes[at..at + 16].try_into().unwrap()));
        }
    }
}

pub fn sha2(data: &mut Data, digest: &mut Digest) {
    let split = usize::from(data.byte());
    let (a, b) = (data.bytes(split), data.0);
    digest.add(sha2::Sha256::new().chain_update(a).chain_update(b).finalize().as_slice());
    digest.add(sha2::Sha512::new().chain_update(b).chain_update(a).finalize().as_slice());
}
