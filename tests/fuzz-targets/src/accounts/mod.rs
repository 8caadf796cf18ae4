mod channel;
mod delegation;
mod token;

use std::cell::Ref;

use anchor_lang::Discriminator;
use anchor_lang::prelude::{AccountInfo, Pubkey};

pub use channel::channel_account;
pub use delegation::delegation_account;
pub use token::token_accounts;

/// What the program itself reads from account data, in place, or `None` where it refuses.
fn read_by_the_program<T: Discriminator + bytemuck::Pod>(data: &[u8]) -> Option<T> {
    // the runtime aligns account data to eight bytes
    let mut aligned = vec![0_u64; data.len().div_ceil(8)];
    let place = &mut bytemuck::cast_slice_mut(&mut aligned)[..data.len()];
    place.copy_from_slice(data);
    let (key, mut lamports) = (Pubkey::default(), 0);
    let account = AccountInfo::new(&key, false, true, &mut lamports, place, &amp::ID, false);
    let read = amp::state::read::<T>(&account).ok().map(|state: Ref<T>| *state);
    let read_mut = amp::state::read_mut::<T>(&account).ok().map(|state| *state);
    assert_eq!(read.map(bytes_of), read_mut.map(bytes_of), "reading and changing take the same accounts");
    read
}

fn bytes_of<T: bytemuck::Pod>(state: T) -> Vec<u8> {
    bytemuck::bytes_of(&state).to_vec()
}

/// Both without the bytes in these ranges, counted after the discriminator.
fn assert_same_but_for(left: &[u8], right: &[u8], ranges: &[std::ops::Range<usize>]) {
    let blank = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        ranges.iter().for_each(|range| bytes[8 + range.start..8 + range.end].fill(0));
        bytes
    };
    assert_eq!(blank(left), blank(right));
}
