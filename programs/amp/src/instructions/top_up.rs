use amp_protocol::money::Amount;
use amp_protocol::rejection::Rejection;
use anchor_lang::prelude::*;
use anchor_spl::token_interface::TokenInterface;

use crate::error::{AmpError, OrRefuse, refuse};
use crate::events::ToppedUp;
use crate::state::Channel;
use crate::token::{self, Movement};

#[derive(Accounts)]
pub struct TopUp<'info> {
    /// Owns the tokens. Need not be the funder.
    pub token_owner: Signer<'info>,
    #[account(mut, has_one = mint @ AmpError::WrongMint, has_one = vault @ AmpError::WrongVault)]
    pub channel: AccountLoader<'info, Channel>,
    /// CHECK: the channel names it
    #[account(mut)]
    pub vault: UncheckedAccount<'info>,
    /// CHECK: the channel names it
    pub mint: UncheckedAccount<'info>,
    /// CHECK: the token program checks it in the transfer that its owner signs
    #[account(mut)]
    pub source_token: UncheckedAccount<'info>,
    pub token_program: Interface<'info, TokenInterface>,
}

pub(crate) fn handle(ctx: Context<TopUp>, amount: u64) -> Result<()> {
    let accounts = &ctx.accounts;
    let mut channel = accounts.channel.load_mut()?;
    channel.check_version().or_refuse()?;
    if amount == 0 {
        return refuse(Rejection::ZeroAmount);
    }
    if channel.is_closing() {
        return refuse(Rejection::Closing);
    }
    channel.deposited =
        channel.deposited.checked_add(amount).ok_or(Rejection::DepositOverflow).or_refuse()?;
    channel.invariant().or_refuse()?;

    let books = *channel;
    drop(channel);

    let movement = Movement {
        token_program: &accounts.token_program,
        mint: &accounts.mint,
        from: &accounts.source_token,
        to: &accounts.vault,
        authority: &accounts.token_owner,
    };
    movement.deposit(Amount::new(amount))?;
    token::check_vault_covers(&accounts.vault, &books)?;

    emit!(ToppedUp {
        channel: accounts.channel.key(),
        amount,
        deposited: books.deposited,
        claimed: books.claimed,
    });
    Ok(())
}
