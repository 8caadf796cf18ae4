//! memcpy and the like: short runs inline, eight bytes at a time (the SVM allows unaligned access),
//! long ones by the memory syscalls, which cost 10 compute units and up.
#![allow(unsafe_op_in_unsafe_fn)]

unsafe extern "C" {
    fn sol_memcpy_(dest: *mut u8, src: *const u8, n: u64);
    fn sol_memmove_(dest: *mut u8, src: *const u8, n: u64);
    fn sol_memset_(s: *mut u8, c: u8, n: u64);
    fn sol_memcmp_(s1: *const u8, s2: *const u8, n: u64, result: *mut i32);
}

// The longest runs done inline, in bytes: about where a syscall becomes cheaper.
const COPY: usize = 40;
const SET: usize = 80;
const COMPARE: usize = 32;

#[inline(always)]
unsafe fn load(p: *const u8) -> u64 {
    core::ptr::read_unaligned(p as *const u64)
}

#[inline(always)]
unsafe fn store(p: *mut u8, v: u64) {
    core::ptr::write_unaligned(p as *mut u64, v)
}

#[inline(always)]
pub unsafe fn copy_forward(dest: *mut u8, src: *const u8, n: usize) {
    if n > COPY {
        return copy_by_syscall(dest, src, n);
    }
    let mut i = 0;
    while i + 8 <= n {
        store(dest.add(i), load(src.add(i)));
        i += 8;
    }
    while i < n {
        *dest.add(i) = *src.add(i);
        i += 1;
    }
}

/// memmove comes here too when copying forward is right, so the regions may overlap; the syscall
/// sol_memcpy_ refuses that.
#[inline(always)]
unsafe fn copy_by_syscall(dest: *mut u8, src: *const u8, n: usize) {
    let apart = (dest as usize).wrapping_sub(src as usize) >= n
        && (src as usize).wrapping_sub(dest as usize) >= n;
    if apart {
        sol_memcpy_(dest, src, n as u64)
    } else {
        sol_memmove_(dest, src, n as u64)
    }
}

#[inline(always)]
pub unsafe fn copy_backward(dest: *mut u8, src: *const u8, n: usize) {
    if n > COPY {
        return sol_memmove_(dest, src, n as u64);
    }
    let mut i = n;
    while i >= 8 {
        i -= 8;
        store(dest.add(i), load(src.add(i)));
    }
    while i > 0 {
        i -= 1;
        *dest.add(i) = *src.add(i);
    }
}

#[inline(always)]
pub unsafe fn set_bytes(s: *mut u8, c: u8, n: usize) {
    if n > SET {
        return sol_memset_(s, c, n as u64);
    }
    let word = (c as u64).wrapping_mul(0x0101_0101_0101_0101);
    let mut i = 0;
    while i + 8 <= n {
        store(s.add(i), word);
        i += 8;
    }
    while i < n {
        *s.add(i) = c;
        i += 1;
    }
}

#[inline(always)]
pub unsafe fn compare_bytes(s1: *const u8, s2: *const u8, n: usize) -> i32 {
    if n > COMPARE {
        let mut result = 0;
        sol_memcmp_(s1, s2, n as u64, &mut result);
        return result;
    }
    let mut i = 0;
    while i + 8 <= n && load(s1.add(i)) == load(s2.add(i)) {
        i += 8;
    }
    while i < n {
        let (a, b) = (*s1.add(i), *s2.add(i));
        if a != b {
            return a as i32 - b as i32;
        }
        i += 1;
    }
    0
}

#[inline(always)]
pub unsafe fn c_string_length(mut s: *const core::ffi::c_char) -> usize {
    let mut n = 0;
    while *s != 0 {
        n += 1;
        s = s.add(1);
    }
    n
}
