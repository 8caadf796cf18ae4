//! Cursor-free fixed-offset reading and writing: the offsets stand in each message's table.

use crate::message::{Key, MessageError, PREFIX};

/// Checks length and kind, and returns the bytes as an array.
pub(crate) fn open<const N: usize>(bytes: &[u8], kind: u8) -> Result<&[u8; N], MessageError> {
    let message: &[u8; N] = bytes.try_into().map_err(|_| MessageError::Length)?;
    if field::<3, N>(message, 0) != PREFIX || field::<1, N>(message, 3) != [kind] {
        return Err(MessageError::Kind);
    }
    Ok(message)
}

/// Starts a message: prefix and kind written, the rest zero.
pub(crate) fn begin<const N: usize>(kind: u8) -> [u8; N] {
    let mut message = [0; N];
    put(&mut message, 0, &PREFIX);
    put(&mut message, 3, &[kind]);
    message
}

/// The `L` bytes at `at`. Every caller passes a constant inside `N`.
pub(crate) fn field<const L: usize, const N: usize>(message: &[u8; N], at: usize) -> [u8; L] {
    core::array::from_fn(|i| message.get(at.wrapping_add(i)).copied().unwrap_or_default())
}

/// A little-endian `u64` at `at`.
pub(crate) fn u64_at<const N: usize>(message: &[u8; N], at: usize) -> u64 {
    u64::from_le_bytes(field(message, at))
}

/// A little-endian `i64` at `at`.
pub(crate) fn i64_at<const N: usize>(message: &[u8; N], at: usize) -> i64 {
    i64::from_le_bytes(field(message, at))
}

/// A key at `at`.
pub(crate) fn key_at<const N: usize>(message: &[u8; N], at: usize) -> Key {
    field(message, at)
}

/// Writes `value` at `at`. Every caller passes a constant inside `N`.
pub(crate) fn put<const N: usize>(message: &mut [u8; N], at: usize, value: &[u8]) {
    if let Some(place) = message.get_mut(at..at.wrapping_add(value.len())) {
        place.copy_from_slice(value);
    }
}
