use amp_protocol::message::Credential;
use amp_protocol::money::Amount;
use amp_protocol::rejection::Rejection;
use amp_protocol::rules;
use anchor_lang::prelude::*;
use anchor_spl::token_interface::TokenInterface;

use crate::constants::INSTRUCTIONS_SYSVAR;
use crate::error::{AmpError, OrRefuse};
use crate::events::Settled;
use crate::precompile::{Binding, message_rejection, signed_message_just_before};
use crate::state::Channel;
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
}

pub(crate) fn handle(ctx: Context<Settle>, owed: u64) -> Result<()> {
    let accounts = &ctx.accounts;
    let mut channel = accounts.channel.load_mut()?;
    channel.check_version().or_refuse()?;
    let credential = credential_just_before(&accounts.instructions, &accounts.channel.key(), &channel)?;
    token::check_owner(
        &accounts.recipient_token,
        accounts.token_program.key,
        accounts.recipient.key,
        Rejection::WrongPayoutOwner,
    )?;

    let now = Clock::get()?.unix_timestamp;
    let settlement = rules::settle(
        &channel.terms(),
        &channel.books(),
        &channel.signer_books(),
        credential.seq,
        Amount::new(owed),
        now,
    )
    .or_refuse()?;
    channel.record(&settlement, now);
    channel.invariant().or_refuse()?;

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
    movement.pay_out(&books, settlement.payout)?;
    token::check_vault_covers(&accounts.vault, &books)?;

    emit!(Settled {
        channel: accounts.channel.key(),
        signer: books.authorized_signer,
        seq: credential.seq.get(),
        payout: settlement.payout.get(),
        signer_claimed: books.signer_claimed,
        claimed: books.claimed,
        deposited: books.deposited,
        window_claimed: books.window_claimed,
    });
    Ok(())
}

/// The credential in the ed25519 instruction just before: for this channel, this incarnation of it,
/// by its authorized signer.
fn credential_just_before(sysvar: &AccountInfo, key: &Pubkey, channel: &Channel) -> Result<Credential> {
    let data = sysvar.try_borrow_data()?;
    let signed = signed_message_just_before::<{ Credential::LEN }>(&data).or_refuse()?;
    let credential = Credential::parse(signed.message).map_err(message_rejection).or_refuse()?;
    let binding = Binding { channel: key, signer: &channel.authorized_signer, epoch: channel.opened_slot };
    binding.check(&credential.channel, signed.signer, credential.epoch).or_refuse()?;
    Ok(credential)
}
