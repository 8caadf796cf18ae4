use core::cell::{Ref, RefMut};

use amp_protocol::rejection::Rejection;
use anchor_lang::Discriminator;
use anchor_lang::error::ErrorCode;
use anchor_lang::prelude::*;
use bytemuck::{AnyBitPattern, NoUninit, Pod};

use crate::error::OrRefuse;

/// The state in an account whose kind decides what is to be done with it, so that anchor can't check it
/// beforehand. Refuses accounts of other programs and of other kinds, like `AccountLoader`.
pub fn read<'a, T: Discriminator + AnyBitPattern>(account: &'a AccountInfo) -> Result<Ref<'a, T>> {
    check_owner(account)?;
    let data = account.try_borrow_data()?;
    let read =
        Ref::filter_map(data, |data| bytemuck::try_from_bytes(data.strip_prefix(T::DISCRIMINATOR)?).ok());
    read.map_err(|_| ErrorCode::AccountDiscriminatorMismatch.into())
}

/// The same, to be changed.
pub fn read_mut<'a, T: Discriminator + Pod>(account: &'a AccountInfo) -> Result<RefMut<'a, T>> {
    check_owner(account)?;
    let data = account.try_borrow_mut_data()?;
    let read = RefMut::filter_map(data, |data| {
        let (discriminator, body) = data.split_at_mut_checked(T::DISCRIMINATOR.len())?;
        bytemuck::try_from_bytes_mut(body).ok().filter(|_| discriminator == T::DISCRIMINATOR)
    });
    read.map_err(|_| ErrorCode::AccountDiscriminatorMismatch.into())
}

/// Writes a new account: its discriminator, then its state.
pub fn write_new<T: Discriminator + NoUninit>(account: &AccountInfo, state: &T) -> Result<()> {
    let mut data = account.try_borrow_mut_data()?;
    let (discriminator, body) =
        data.split_at_mut_checked(T::DISCRIMINATOR.len()).ok_or(Rejection::InvariantBroken).or_refuse()?;
    discriminator.copy_from_slice(T::DISCRIMINATOR);
    body.copy_from_slice(bytemuck::bytes_of(state));
    Ok(())
}

fn check_owner(account: &AccountInfo) -> Result<()> {
    if account.owner == &crate::ID { Ok(()) } else { Err(ErrorCode::AccountOwnedByWrongProgram.into()) }
}
