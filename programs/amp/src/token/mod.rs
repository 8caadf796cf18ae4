//! The only folder that moves tokens.

mod calls;
mod mint;

use amp_protocol::account::TokenHolding;
use amp_protocol::money::Amount;
use amp_protocol::rejection::Rejection;
use anchor_lang::prelude::*;

use crate::constants::ASSOCIATED_TOKEN_PROGRAM;
use crate::derivation::check_derived;
use crate::error::{OrRefuse, refuse};
use crate::state::Channel;

pub use calls::{Movement, close_vault, initialize_vault};
pub use mint::check_mint;

/// Length of a vault: a token account without extensions, as none of the mints that are allowed asks
/// for one.
pub const VAULT_SPACE: usize = 165;

/// Base units held by a token account.
pub fn balance(account: &AccountInfo) -> Result<Amount> {
    let data = account.try_borrow_data()?;
    Ok(TokenHolding::parse(&data).map_err(|_| Rejection::NotATokenAccount).or_refuse()?.amount)
}

/// Refuses a token account that `owner` does not own. The token program itself checks, in the
/// transfer, that the account is initialized, its own, and of the vault's mint.
pub fn check_owner(
    account: &AccountInfo,
    token_program: &Pubkey,
    owner: &Pubkey,
    otherwise: Rejection,
) -> Result<()> {
    if account.owner != token_program {
        return refuse(Rejection::NotATokenAccount);
    }
    let data = account.try_borrow_data()?;
    let holding = TokenHolding::parse(&data).map_err(|_| Rejection::NotATokenAccount).or_refuse()?;
    if *holding.owner != owner.to_bytes() { refuse(otherwise) } else { Ok(()) }
}

/// Refuses a refund account that is not the funder's associated one. For closes by anyone else: any
/// account that the funder owns keeps its tokens safe, but a funder that is a program finds them only
/// where it looks, and a stranger could make one anywhere.
pub fn check_associated(
    account: &Pubkey,
    owner: &Pubkey,
    mint: &Pubkey,
    token_program: &Pubkey,
) -> Result<()> {
    let seeds = [owner.as_ref(), token_program.as_ref(), mint.as_ref()];
    check_derived(account, seeds, &ASSOCIATED_TOKEN_PROGRAM, Rejection::RefundNotAssociated)
}

/// The vault holds what is deposited and not claimed, or more (donations). Run after each movement.
pub fn check_vault_covers(vault: &AccountInfo, channel: &Channel) -> Result<()> {
    let booked = channel.books().balance().or_refuse()?;
    if balance(vault)? < booked { refuse(Rejection::VaultShort) } else { Ok(()) }
}
