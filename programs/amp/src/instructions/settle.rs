use amp_protocol::rejection::Rejection;
use anchor_lang::prelude::*;
use anchor_spl::token_interface::TokenInterface;

use crate::claim;
use crate::constants::INSTRUCTIONS_SYSVAR;
use crate::error::{AmpError, OrRefuse};
use crate::events::Settled;
use crate::state::{Channel, Delegation};
use crate::token::{self, Movement};

#[derive(Accounts)]
pub struct Settle<'info> {
    pub recipient: Signer<'info>,
    #[account(
        mut,
        has_one = recipient @ AmpError::WrongRecipient,
        has_one = mint @ AmpError::WrongMint,
        has_one = vault @ AmpError::WrongVault
    )]
    pub channel: AccountLoader<'info, Channel>,
    /// CHECK: the channel names it
    #[account(mut)]
    pub vault: UncheckedAccount<'info>,
    /// CHECK: the channel names it
    pub mint: UncheckedAccount<'info>,
    /// CHECK: `token::check_owner`: a token account of the recipient's
    #[account(mut)]
    pub recipient_token: UncheckedAccount<'info>,
    pub token_program: Interface<'info, TokenInterface>,
    /// CHECK: the sysvar's address
    #[account(address = INSTRUCTIONS_SYSVAR)]
    pub instructions: UncheckedAccount<'info>,
    /// Given exactly when a delegate signed the credential.
    #[account(mut)]
    pub delegation: Option<AccountLoader<'info, Delegation>>,
}

pub(crate) fn handle(ctx: Context<Settle>, owed: u64) -> Result<()> {
    let accounts = &ctx.accounts;
    let address = accounts.channel.key();
    let mut channel = accounts.channel.load_mut()?;
    channel.check_version().or_refuse()?;
    token::check_owner(
        &accounts.recipient_token,
        accounts.token_program.key,
        accounts.recipient.key,
        Rejection::WrongPayoutOwner,
    )?;

    let now = Clock::get()?.unix_timestamp;
    let claim = claim::book(&address, &mut channel, &accounts.delegation, &accounts.instructions, owed, now)?;

    let authority = accounts.channel.to_account_info();
    let movement = Movement {
        token_program: &accounts.token_program,
        mint: &accounts.mint,
        from: &accounts.vault,
        to: &accounts.recipient_token,
        authority: &authority,
    };
    let books = *channel;
    // the token program is handed the channel's account as the signer: no borrow may be held
    drop(channel);
    movement.pay_out(&books, claim.settlement.payout)?;
    token::check_vault_covers(&accounts.vault, &books)?;

    emit!(Settled {
        channel: address,
        signer: claim.signer,
        seq: claim.seq,
        payout: claim.settlement.payout.get(),
        signer_claimed: claim.settlement.signer_claimed.get(),
        claimed: books.claimed,
        deposited: books.deposited,
        window_claimed: books.window_claimed,
    });
    Ok(())
}
