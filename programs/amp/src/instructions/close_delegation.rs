use amp_protocol::rejection::Rejection;
use anchor_lang::prelude::*;

use crate::error::{AmpError, OrRefuse, refuse};
use crate::events::DelegationClosed;
use crate::state::{Channel, Delegation, read};

#[derive(Accounts)]
pub struct CloseDelegation<'info> {
    #[account(
        mut,
        close = rent_payer,
        has_one = channel @ AmpError::WrongDelegation,
        has_one = rent_payer @ AmpError::WrongRentPayer
    )]
    pub delegation: AccountLoader<'info, Delegation>,
    /// CHECK: the delegation names it; a channel, or nothing where it was closed
    pub channel: UncheckedAccount<'info>,
    /// CHECK: the delegation names it
    #[account(mut)]
    pub rent_payer: UncheckedAccount<'info>,
}

pub(crate) fn handle(ctx: Context<CloseDelegation>) -> Result<()> {
    let accounts = &ctx.accounts;
    let delegation = accounts.delegation.load()?;
    delegation.check_version().or_refuse()?;
    let clock = Clock::get()?;
    // an epoch must be unique for its address: closed and made again in one slot, it would not be
    if clock.slot <= delegation.created_slot {
        return refuse(Rejection::DelegationInCreationSlot);
    }
    if let Some(close_grace) = grace_of_channel(&accounts.channel, &delegation)?
        && !delegation.terms().is_over(close_grace, clock.unix_timestamp)
    {
        return refuse(Rejection::DelegationNotOver);
    }

    emit!(DelegationClosed {
        channel: delegation.channel,
        delegate: delegation.delegate,
        created_slot: delegation.created_slot,
        limit: delegation.limit,
        claimed: delegation.claimed,
    });
    Ok(())
}

/// The grace within which the delegation can be settled, or `None` where its channel is gone: closed, or
/// opened again since. Nothing but this program puts an account of its own at the channel's address.
fn grace_of_channel(account: &AccountInfo, delegation: &Delegation) -> Result<Option<u32>> {
    if account.owner != &crate::ID {
        return Ok(None);
    }
    let channel = read::<Channel>(account)?;
    channel.check_version().or_refuse()?;
    Ok((channel.opened_slot == delegation.channel_opened_slot).then_some(channel.close_grace))
}
