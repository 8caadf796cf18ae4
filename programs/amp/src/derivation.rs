//! Holds an account against the address that is derived for it, for less than deriving costs.

use amp_protocol::rejection::Rejection;
use anchor_lang::prelude::*;
use solana_sha256_hasher::hashv;

use crate::error::refuse;

/// What the runtime appends to the seeds of a derived address.
const MARKER: &[u8] = b"ProgramDerivedAddress";
/// Most parts that are hashed: the seeds of a channel, bump, program, marker.
const MOST_PARTS: usize = 7;

/// The bump of `address` if it is the one that is derived from `seeds`.
///
/// Deriving costs 1,500 compute units an attempt, most of it to learn that the hash is no point of the
/// curve. The first attempt is made here by the hash alone (180 units): where it gives this address
/// there is no bump that comes before, so it is the derived address, provided it lies off the curve. It
/// does: the account is created with these seeds, and the runtime signs for no address on the
/// curve.
pub fn bump_of<const SEEDS: usize>(
    address: &Pubkey,
    seeds: [&[u8]; SEEDS],
    program_id: &Pubkey,
    otherwise: Rejection,
) -> Result<u8> {
    if *address == hashed(&seeds, u8::MAX, program_id) {
        return Ok(u8::MAX);
    }
    let (derived, bump) = Pubkey::find_program_address(&seeds, program_id);
    if *address == derived { Ok(bump) } else { refuse(otherwise) }
}

/// Refuses every address that is not derived from `seeds`, whatever its bump, by hashes alone.
///
/// Only for accounts that must be there already and that another program makes at one bump, the first
/// off the curve, as the associated token program does: at the addresses of lower bumps it never makes
/// any, and nobody else can; those on the curve nobody holds a key of.
pub fn check_derived<const SEEDS: usize>(
    address: &Pubkey,
    seeds: [&[u8]; SEEDS],
    program_id: &Pubkey,
    otherwise: Rejection,
) -> Result<()> {
    let is_derived = (0..=u8::MAX).rev().any(|bump| *address == hashed(&seeds, bump, program_id));
    if is_derived { Ok(()) } else { refuse(otherwise) }
}

/// The address with this bump, if it lies off the curve.
fn hashed<const SEEDS: usize>(seeds: &[&[u8]; SEEDS], bump: u8, program_id: &Pubkey) -> Pubkey {
    let bump = [bump];
    let tail: [&[u8]; 3] = [&bump, program_id.as_ref(), MARKER];
    // a part that is left out would silently be another address
    const { assert!(SEEDS.saturating_add(3) <= MOST_PARTS) };
    let mut parts: [&[u8]; MOST_PARTS] = [&[]; MOST_PARTS];
    for (part, value) in parts.iter_mut().zip(seeds.iter().chain(&tail)) {
        *part = value;
    }
    hashv(&parts).to_bytes().into()
}
