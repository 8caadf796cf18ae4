use amp_protocol::rejection::Rejection;
use amp_protocol::rules::closable_from;
use anchor_lang::prelude::*;

use crate::error::{AmpError, OrRefuse, refuse};
use crate::events::CloseRequested;
use crate::state::Channel;

#[derive(Accounts)]
pub struct RequestClose<'info> {
    pub funder: Signer<'info>,
    #[account(mut, has_one = funder @ AmpError::WrongFunder)]
    pub channel: AccountLoader<'info, Channel>,
}

pub(crate) fn handle(ctx: Context<RequestClose>) -> Result<()> {
    let mut channel = ctx.accounts.channel.load_mut()?;
    channel.check_version().or_refuse()?;
    if channel.is_closing() {
        return refuse(Rejection::AlreadyClosing);
    }
    let now = Clock::get()?.unix_timestamp;
    // zero means "not closing"
    if now <= 0 {
        return refuse(Rejection::ClockOutOfRange);
    }
    let closable_from =
        closable_from(now, channel.close_grace).ok_or(Rejection::ClockOutOfRange).or_refuse()?;
    channel.closing_at = now;
    channel.invariant().or_refuse()?;

    emit!(CloseRequested {
        channel: ctx.accounts.channel.key(),
        closing_at: now,
        closable_from,
        deposited: channel.deposited,
        claimed: channel.claimed,
    });
    Ok(())
}
