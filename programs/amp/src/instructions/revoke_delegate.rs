use anchor_lang::prelude::*;

use crate::error::{AmpError, OrRefuse};
use crate::events::DelegateRevoked;
use crate::state::{Channel, Delegation};

#[derive(Accounts)]
pub struct RevokeDelegate<'info> {
    pub funder: Signer<'info>,
    #[account(has_one = funder @ AmpError::WrongFunder)]
    pub channel: AccountLoader<'info, Channel>,
    #[account(mut)]
    pub delegation: AccountLoader<'info, Delegation>,
}

pub(crate) fn handle(ctx: Context<RevokeDelegate>) -> Result<()> {
    let accounts = &ctx.accounts;
    let channel = accounts.channel.load()?;
    channel.check_version().or_refuse()?;
    let mut delegation = accounts.delegation.load_mut()?;
    delegation.check_version().or_refuse()?;
    delegation.check_of(&accounts.channel.key(), channel.opened_slot).or_refuse()?;
    let terms = delegation.terms().revoke(Clock::get()?.unix_timestamp).or_refuse()?;
    delegation.record(&terms);
    delegation.invariant().or_refuse()?;

    emit!(DelegateRevoked {
        channel: delegation.channel,
        delegate: delegation.delegate,
        created_slot: delegation.created_slot,
        revoked_at: delegation.revoked_at,
        collectable_until: terms.collectable_until(channel.close_grace).unwrap_or_default(),
        limit: delegation.limit,
        claimed: delegation.claimed,
    });
    Ok(())
}
