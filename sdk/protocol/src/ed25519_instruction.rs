//! The ed25519 precompile instruction that carries one signed message on chain.
//!
//! The precompile verifies whatever its offsets point at, and those may point into other
//! instructions: a reader that trusts the precompile's success without checking every offset can be
//! shown a valid signature over bytes it never looks at. So exactly one shape is accepted, the one
//! [`build`] makes, to the byte:
//!
//! | at | bytes | value |
//! | --- | --- | --- |
//! | 0 | signature count | 1 |
//! | 1 | padding | 0 |
//! | 2, 4 | signature offset, index | 48, 0xFFFF (this instruction) |
//! | 6, 8 | public key offset, index | 16, 0xFFFF |
//! | 10, 12, 14 | message offset, length, index | 112, n, 0xFFFF |
//! | 16 | public key | 32 bytes |
//! | 48 | signature | 64 bytes |
//! | 112 | message | n bytes, nothing after |

use crate::message::Key;
use crate::rejection::Rejection;

/// Address of the ed25519 precompile program (`Ed25519SigVerify111111111111111111111111111`).
pub const PROGRAM_ID: Key = [
    3, 125, 70, 214, 124, 147, 251, 190, 18, 249, 66, 143, 131, 141, 64, 255, 5, 112, 116, 73, 39, 244, 138,
    100, 252, 202, 112, 68, 128, 0, 0, 0,
];

const PUBLIC_KEY: u16 = 16;
const SIGNATURE: u16 = 48;
const MESSAGE: u16 = 112;
const HEADER: usize = 16;
const BEFORE_MESSAGE: usize = 112;
const THIS_INSTRUCTION: u16 = u16::MAX;

/// An ed25519 signature's bytes.
pub type SignatureBytes = [u8; 64];

/// What a well-formed precompile instruction says: `signer` signed `message`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedMessage<'a, const N: usize> {
    /// The signing key.
    pub signer: &'a Key,
    /// The bytes it signed.
    pub message: &'a [u8; N],
}

/// Instruction data for one signature over an `N`-byte message. `L` is `N + 112`.
///
/// # Panics
/// At compile time, when `L` is not `N + 112` or `N` does not fit the header.
pub fn build<const N: usize, const L: usize>(
    signer: &Key,
    signature: &SignatureBytes,
    message: &[u8; N],
) -> [u8; L] {
    const { assert!(L == N + BEFORE_MESSAGE && N <= 1024) }
    let header = header::<N>();
    let parts = header.iter().chain(signer).chain(signature).chain(message);
    let mut data = [0; L];
    data.iter_mut().zip(parts).for_each(|(place, byte)| *place = *byte);
    data
}

/// Reads the data of an instruction already known to be for [`PROGRAM_ID`]. Each guard has its own
/// rejection, and a message of another length than `N` is `MessageLength`.
pub fn parse<const N: usize>(data: &[u8]) -> Result<SignedMessage<'_, N>, Rejection> {
    let (header, rest) = data.split_first_chunk::<HEADER>().ok_or(Rejection::PrecompileLength)?;
    let [count, padding, offsets @ ..] = header;
    if *count != 1 || *padding != 0 {
        return Err(Rejection::PrecompileSignatureCount);
    }
    let [s0, s1, si0, si1, p0, p1, pi0, pi1, m0, m1, n0, n1, mi0, mi1] = *offsets;
    for index in [[si0, si1], [pi0, pi1], [mi0, mi1]] {
        if u16::from_le_bytes(index) != THIS_INSTRUCTION {
            return Err(Rejection::PrecompileInstructionIndex);
        }
    }
    for (offset, canonical) in [([s0, s1], SIGNATURE), ([p0, p1], PUBLIC_KEY), ([m0, m1], MESSAGE)] {
        if u16::from_le_bytes(offset) != canonical {
            return Err(Rejection::PrecompileOffset);
        }
    }
    let (signer, rest) = rest.split_first_chunk::<32>().ok_or(Rejection::PrecompileLength)?;
    let (_, message) = rest.split_first_chunk::<64>().ok_or(Rejection::PrecompileLength)?;
    // the declared length must be that of the bytes there are: nothing may trail the message
    if usize::from(u16::from_le_bytes([n0, n1])) != message.len() {
        return Err(Rejection::PrecompileLength);
    }
    let message = message.try_into().map_err(|_| Rejection::MessageLength)?;
    Ok(SignedMessage { signer, message })
}

const fn header<const N: usize>() -> [u8; HEADER] {
    let [s0, s1] = SIGNATURE.to_le_bytes();
    let [p0, p1] = PUBLIC_KEY.to_le_bytes();
    let [m0, m1] = MESSAGE.to_le_bytes();
    let [n0, n1, ..] = N.to_le_bytes();
    let [i0, i1] = THIS_INSTRUCTION.to_le_bytes();
    [1, 0, s0, s1, i0, i1, p0, p1, i0, i1, m0, m1, n0, n1, i0, i1]
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SIGNER: Key = [7; 32];

    fn instruction() -> [u8; 164] {
        build(&SIGNER, &[9; 64], &[5; 52])
    }

    #[test]
    fn what_is_built_is_accepted() {
        let data = instruction();
        assert_eq!(parse::<52>(&data), Ok(SignedMessage { signer: &SIGNER, message: &[5; 52] }));
    }

    #[test]
    fn every_header_byte_is_checked() {
        let good = instruction();
        for at in 0..HEADER {
            for bit in 0..8 {
                let mut bad = good;
                bad[at] ^= 1 << bit;
                let expected = match at {
                    0 | 1 => Rejection::PrecompileSignatureCount,
                    4 | 5 | 8 | 9 | 14 | 15 => Rejection::PrecompileInstructionIndex,
                    12 | 13 => Rejection::PrecompileLength,
                    _ => Rejection::PrecompileOffset,
                };
                assert_eq!(parse::<52>(&bad), Err(expected), "byte {at}, bit {bit}");
            }
        }
    }

    #[test]
    fn trailing_and_missing_bytes_are_refused() {
        let good = instruction();
        let mut long = good.to_vec();
        long.push(0);
        assert_eq!(parse::<52>(&long), Err(Rejection::PrecompileLength));
        for length in 0..good.len() {
            assert_eq!(parse::<52>(&good[..length]), Err(Rejection::PrecompileLength), "{length} bytes");
        }
    }

    #[test]
    fn a_message_of_another_length_is_refused() {
        let data: [u8; 163] = build(&SIGNER, &[9; 64], &[5; 51]);
        assert_eq!(parse::<52>(&data), Err(Rejection::MessageLength));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(mut data in proptest::collection::vec(any::<u8>(), 0..200), whole_header: bool) {
            if whole_header && data.len() >= HEADER {
                data[..HEADER].copy_from_slice(&instruction()[..HEADER]);
            }
            let _ = parse::<52>(&data);
        }

        #[test]
        fn what_is_accepted_is_byte_for_byte_what_would_be_built(at in 0..164_usize, value: u8, grow in 0..3_usize) {
            let mut data = instruction().to_vec();
            data[at] = value;
            data.resize(164 + grow, 0);
            if let Ok(read) = parse::<52>(&data) {
                let signature: [u8; 64] = data[48..112].try_into().unwrap();
                prop_assert_eq!(build::<52, 164>(read.signer, &signature, read.message).to_vec(), data);
            } else {
                prop_assert!(at < HEADER || grow > 0);
            }
        }
    }
}
