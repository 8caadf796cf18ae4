use amp_protocol::message::CloseStatement;
use amp_protocol::money::Amount;
use amp_protocol::rejection::Rejection;
use amp_protocol::rules::{self, Closer};
use anchor_lang::prelude::*;
use anchor_spl::token_interface::TokenInterface;

use crate::constants::INSTRUCTIONS_SYSVAR;
use crate::error::{AmpError, OrRefuse, refuse};
use crate::events::ChannelClosed;
use crate::precompile::{Binding, message_rejection, signed_message_just_before};
use crate::state::Channel;
use crate::token::{self, Movement};

#[derive(Accounts)]
pub struct CloseChannel<'info> {
    pub closer: Signer<'info>,
    #[account(
        mut,
        close = rent_payer,
        has_one = mint @ AmpError::WrongMint,
        has_one = vault @ AmpError::WrongVault,
        has_one = rent_payer @ AmpError::WrongRentPayer
    )]
    pub channel: AccountLoader<'info, Channel>,
    /// CHECK: the channel names it
    #[account(mut)]
    pub vault: UncheckedAccount<'info>,
    /// CHECK: the channel names it
    pub mint: UncheckedAccount<'info>,
    /// CHECK: `token::check_owner`: a token account of the funder's
    #[account(mut)]
    pub refund_token: UncheckedAccount<'info>,
    /// CHECK: the channel names it
    #[account(mut)]
    pub rent_payer: UncheckedAccount<'info>,
    pub token_program: Interface<'info, TokenInterface>,
    /// CHECK: `token::check_owner`: a token account of the recipient's. Given exactly when the
    /// funder closes by a close statement.
    #[account(mut)]
    pub payout_token: Option<UncheckedAccount<'info>>,
    /// CHECK: the sysvar's address. Given exactly when `payout_token` is.
    #[account(address = INSTRUCTIONS_SYSVAR)]
    pub instructions: Option<UncheckedAccount<'info>>,
}

pub(crate) fn handle(ctx: Context<CloseChannel>) -> Result<()> {
    let accounts = &ctx.accounts;
    let channel = *accounts.channel.load()?;
    channel.check_version().or_refuse()?;
    let clock = Clock::get()?;
    // an epoch must be unique for its address: closed and opened again in one slot, it would not be
    if clock.slot <= channel.opened_slot {
        return refuse(Rejection::ClosedInOpeningSlot);
    }
    // nor one that was a delegate's, if the channel were opened again with that key as authorized signer
    if clock.slot <= channel.delegated_slot {
        return refuse(Rejection::ClosedInDelegationSlot);
    }
    let closer = closer(accounts, &channel)?;
    let close = rules::close(
        closer,
        Amount::new(channel.deposited),
        Amount::new(channel.claimed),
        channel.closing_at,
        channel.close_grace,
        clock.unix_timestamp,
    )
    .or_refuse()?;

    let authority = accounts.channel.to_account_info();
    let movement = |to| Movement {
        token_program: &accounts.token_program,
        mint: &accounts.mint,
        from: &accounts.vault,
        to,
        authority: &authority,
    };
    if let (Some(payout_token), false) = (&accounts.payout_token, close.payout.is_zero()) {
        movement(payout_token).pay_out(&channel, close.payout)?;
    }
    // the whole of what is left, donations too: a token account can be closed only empty. Not held
    // against the books: were a unit missing, refusing would keep all the others from the funder
    let refund = token::balance(&accounts.vault)?;
    if !refund.is_zero() {
        check_refund_account(accounts, &channel)?;
        movement(&accounts.refund_token).pay_out(&channel, refund)?;
    }
    token::close_vault(&accounts.token_program, &accounts.vault, &accounts.rent_payer, &authority, &channel)?;

    emit!(ChannelClosed {
        channel: accounts.channel.key(),
        closer: *accounts.closer.key,
        opened_slot: channel.opened_slot,
        payout: close.payout.get(),
        refund: refund.get(),
        claimed: close.claimed.get(),
        deposited: channel.deposited,
    });
    Ok(())
}

/// Where the rest may go. An emptied vault refunds nothing: then a funder that has given its associated
/// account away keeps nobody's rent locked in.
fn check_refund_account(accounts: &CloseChannel, channel: &Channel) -> Result<()> {
    let (account, token_program) = (&accounts.refund_token, accounts.token_program.key);
    token::check_owner(account, token_program, &channel.funder, Rejection::WrongRefundOwner)?;
    if *accounts.closer.key != channel.funder {
        token::check_associated(account.key, &channel.funder, &channel.mint, token_program)?;
    }
    Ok(())
}

/// On whose word this close is asked. The recipient and the funder differ, so no signer has a choice
/// of roles; a funder chooses the statement by giving an account to pay it to.
fn closer(accounts: &CloseChannel, channel: &Channel) -> Result<Closer> {
    let key = *accounts.closer.key;
    let Some(payout_token) = &accounts.payout_token else {
        return Ok(if key == channel.recipient { Closer::Recipient } else { Closer::AfterGrace });
    };
    if key != channel.funder {
        return refuse(Rejection::WrongFunder);
    }
    token::check_owner(
        payout_token,
        accounts.token_program.key,
        &channel.recipient,
        Rejection::WrongPayoutOwner,
    )?;
    let sysvar = accounts.instructions.as_ref().ok_or(Rejection::PrecompileMissing).or_refuse()?;
    let data = sysvar.try_borrow_data()?;
    let signed = signed_message_just_before::<{ CloseStatement::LEN }>(&data).or_refuse()?;
    let statement = CloseStatement::parse(signed.message).map_err(message_rejection).or_refuse()?;
    let address = accounts.channel.key();
    let binding = Binding { channel: &address, signer: &channel.recipient, epoch: channel.opened_slot };
    binding.check(&statement.channel, signed.signer, statement.opened_slot).or_refuse()?;
    Ok(Closer::FunderWithStatement(statement.owed_total))
}
