//! Integers of all widths, floats, and arithmetic that must panic.

use core::hint::black_box;

use crate::{Data, Digest};

/// The operations that all integers have.
macro_rules! integer {
    ($digest:ident, $a:expr, $b:expr, $shift:expr, $ty:ty) => {{
        let (a, b): ($ty, $ty) = ($a, $b);
        let shift: u32 = $shift;
        $digest.add(a.wrapping_add(b));
        $digest.add(a.wrapping_sub(b));
        $digest.add(a.wrapping_mul(b));
        $digest.add(a.wrapping_neg());
        $digest.add(a.checked_add(b));
        $digest.add(a.checked_sub(b));
        $digest.add(a.checked_mul(b));
        $digest.add(a.checked_div(b));
        $digest.add(a.checked_rem(b));
        $digest.add(a.checked_div_euclid(b));
        $digest.add(a.checked_rem_euclid(b));
        $digest.add(a.checked_shl(shift));
        $digest.add(a.checked_shr(shift));
        $digest.add(a.checked_pow(shift % 9));
        $digest.add(a.overflowing_add(b));
        $digest.add(a.overflowing_sub(b));
        $digest.add(a.overflowing_mul(b));
        $digest.add(a.saturating_add(b));
        $digest.add(a.saturating_sub(b));
        $digest.add(a.saturating_mul(b));
        $digest.add(a.wrapping_shl(shift));
        $digest.add(a.wrapping_shr(shift));
        $digest.add(a.rotate_left(shift));
        $digest.add(a & b | a ^ !b);
        $digest.add((a.leading_zeros(), a.trailing_ones()));
        $digest.add((a.count_ones(), a.swap_bytes()));
        $digest.add((a.checked_ilog2(), a.checked_ilog10()));
        $digest.add(a.abs_diff(b));
        $digest.add((a.cmp(&b), (a < b, a == b)));
        // by constants: multiplications and shifts in place of the division
        $digest.add((a / 3, a % 3));
        $digest.add((a / 10, a % 100));
        $digest.add((a / 64, a % 64));
        // conversions
        $digest.add((a as u8, a as i8));
        $digest.add((a as u16, a as i16));
        $digest.add((a as u32, a as i32));
        $digest.add((a as u64, a as i64));
        $digest.add((a as u128, a as i128));
        $digest.add(u16::try_from(a).ok());
        $digest.add(i64::try_from(a).ok());
    }};
}

pub fn unsigned(data: &mut Data, digest: &mut Digest) {
    while !data.is_empty() {
        let (a, b, shift) = (data.u64(), data.u64(), u32::from(data.byte()) % 80);
        integer!(digest, a as u8, b as u8, shift, u8);
        integer!(digest, a as u16, b as u16, shift, u16);
        integer!(digest, a as u32, b as u32, shift, u32);
        integer!(digest, a, b, shift, u64);
        digest.add((a.isqrt(), a.checked_next_power_of_two()));
        digest.add(a.checked_next_multiple_of(b));
        // a division must stay below the check of its divisor
        for i in 0..3 {
            digest.add(if b > i { a / b } else { i });
            digest.add(if b > i { a.wrapping_add(i) % b } else { b });
        }
        digest.add(a.checked_add_signed(b as i64));
    }
}

pub fn signed(data: &mut Data, digest: &mut Digest) {
    while !data.is_empty() {
        let (a, b, shift) = (data.u64(), data.u64(), u32::from(data.byte()) % 80);
        integer!(digest, a as i8, b as i8, shift, i8);
        integer!(digest, a as i16, b as i16, shift, i16);
        integer!(digest, a as i32, b as i32, shift, i32);
        integer!(digest, a as i64, b as i64, shift, i64);
        let (a, b) = (a as i64, b as i64);
        digest.add((a / -7, a % -7));
        digest.add((a.checked_abs(), a.signum()));
        digest.add((a.checked_neg(), a.is_negative()));
        digest.add((a.wrapping_div(b | 1), a.wrapping_rem(b | 1)));
        digest.add((a as i32).overflowing_div(b as i32 | 1));
    }
}

pub fn wide_unsigned(data: &mut Data, digest: &mut Digest) {
    while !data.is_empty() {
        let (a, b, shift) = (data.u128(), data.u128(), u32::from(data.byte()) % 160);
        integer!(digest, a, b, shift, u128);
        digest.add((a.isqrt(), a.checked_next_power_of_two()));
        // the way that shares of a balance are computed
        digest.add(u64::try_from(u128::from(a as u64) * u128::from(b as u64) / 10_000).ok());
    }
}

pub fn wide_signed(data: &mut Data, digest: &mut Digest) {
    while !data.is_empty() {
        let (a, b, shift) = (data.u128() as i128, data.u128() as i128, u32::from(data.byte()) % 160);
        integer!(digest, a, b, shift, i128);
        digest.add((a.checked_abs(), a.signum()));
        digest.add((a / -7, a % -7));
    }
}

/// Which NaN it is, is not defined (nor which zero `min` and `max` give: hence their `+ 0.0`).
macro_rules! float {
    ($digest:ident, $x:expr) => {{
        let x = $x;
        $digest.add((!x.is_nan()).then(|| x.to_bits()));
    }};
}

pub fn floats(data: &mut Data, digest: &mut Digest) {
    while !data.is_empty() {
        let (a, b) = (data.u64(), data.u64());
        // as numbers, and as bits: infinities, NaNs, denormal numbers
        for (x, y) in [(a as f64, b as f64 / 3.0), (f64::from_bits(a), f64::from_bits(b))] {
            float!(digest, x + y);
            float!(digest, x - y);
            float!(digest, x * y);
            float!(digest, x / y);
            float!(digest, x % y);
            float!(digest, x.mul_add(y, 1.5));
            float!(digest, x.abs().sqrt());
            float!(digest, x.floor());
            float!(digest, x.ceil());
            float!(digest, x.trunc());
            float!(digest, x.round());
            float!(digest, x.round_ties_even());
            float!(digest, -x);
            float!(digest, x.abs());
            float!(digest, x.min(y) + 0.0);
            float!(digest, x.max(y) + 0.0);
            float!(digest, x.clamp(-1e9, 1e9));
            float!(digest, x as f32);
            float!(digest, f64::from(x as f32));
            let (x32, y32) = (x as f32, y as f32);
            float!(digest, x32 + y32);
            float!(digest, x32 - y32);
            float!(digest, x32 * y32);
            float!(digest, x32 / y32);
            float!(digest, x32 % y32);
            float!(digest, x32.min(y32) + 0.0);
            float!(digest, x32.max(y32) + 0.0);
            float!(digest, x32.floor());
            digest.add((x < y, (x <= y, (x > y, (x >= y, (x == y, x != y))))));
            digest.add((x32 < y32, (x32 >= y32, x32 == y32)));
            digest.add(x.partial_cmp(&y));
            digest.add((x as u8, (x as i16, (x as u32, x as i32))));
            digest.add((x as u64, (x as i64, (x as u128, x as i128))));
            digest.add((x32 as u64, (x32 as i64, (x32 as u128, x32 as i128))));
            digest.add((x.is_finite(), (x.is_sign_negative(), x.is_normal())));
        }
        float!(digest, a as i64 as f64);
        float!(digest, a as f32);
        float!(digest, a as i64 as f32);
        float!(digest, a as u32 as f64);
        float!(digest, a as i32 as f32);
        let wide = u128::from(a) << 64 | u128::from(b);
        float!(digest, wide as f64);
        float!(digest, wide as i128 as f64);
        float!(digest, wide as f32);
    }
}

/// Must stop the program on both sides, for the same inputs.
pub fn panics(data: &mut Data, digest: &mut Digest) {
    let (kind, a, b) = (data.byte() % 12, data.u64(), data.u64());
    let small = [1_u8, 2, 3];
    match kind {
        0 => digest.add(a + b),
        1 => digest.add(a - b),
        2 => digest.add(a * b),
        3 => digest.add(a / (b % 3)),
        4 => digest.add(a as i64 / (b % 3) as i64),
        5 => digest.add((a as i64).saturating_abs() % -((b % 2) as i64)),
        6 => digest.add(a << (b % 70)),
        7 => digest.add(small[black_box(b % 5) as usize]),
        8 => digest.add((a % 3).checked_sub(b % 3).unwrap()),
        9 => digest.add(-(a as i64)),
        10 => digest.add(u128::from(a) * u128::from(b) * u128::from(a)),
        _ => digest.add(&small[(a % 4) as usize..(b % 4) as usize]),
    }
}
