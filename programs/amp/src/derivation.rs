//! Holds an account against the address that is derived for it, for less than deriving costs.

use amp_protocol::rejection::Rejection;
use anchor_lang::prelude::*;
use solana_sha256_hasher::hashv;

use crate::error::refuse;

/// What the runtime appends to the seeds of a derived address.
const MARKER: &[u8] = b"ProgramDerivedAddress";
/// Parts that are hashed after the seeds: bump, program, marker.
const TAIL: usize = 3;
/// Most seeds of an address of ours (a channel's), and the tail.
const MOST_PARTS: usize = 4 + TAIL;

/// The bump of `address` if it is the one that is derived from `seeds`.
///
/// Deriving costs 1,500 compute units an attempt, most of it to learn that the hash is no point of the
/// curve. The first attempt is made here by the hash alone (180 units): where it gives this address
/// there is no bump that comes before, so it is the derived address, provided it lies off the curve. It
/// does: the account is created with these seeds, and the runtime signs for no address on the
/// curve (the funder's associated account was created so by its own program).
pub fn bump_of(address: &Pubkey, seeds: &[&[u8]], program_id: &Pubkey, otherwise: Rejection) -> Result<u8> {
    let mut parts: [&[u8]; MOST_PARTS] = [&[]; MOST_PARTS];
    // more seeds than there is room for: not silently another address
    if seeds.len() > MOST_PARTS.saturating_sub(TAIL) {
        return refuse(otherwise);
    }
    let tail: [&[u8]; TAIL] = [&[u8::MAX], program_id.as_ref(), MARKER];
    for (part, value) in parts.iter_mut().zip(seeds.iter().chain(&tail)) {
        *part = value;
    }
    if hashv(&parts).to_bytes() == address.to_bytes() {
        return Ok(u8::MAX);
    }
    let (derived, bump) = Pubkey::find_program_address(seeds, program_id);
    if *address == derived { Ok(bump) } else { refuse(otherwise) }
}
