use amp_protocol::money::Amount;
use amp_protocol::rules::Terms;
use anchor_lang::prelude::*;
use anchor_spl::token_interface::TokenInterface;

use crate::error::OrRefuse;
use crate::events::ChannelOpened;
use crate::opening::{NewChannel, Opening};
use crate::token::{self, Movement};

#[derive(Accounts)]
pub struct OpenChannel<'info> {
    pub funder: Signer<'info>,
    #[account(mut)]
    pub rent_payer: Signer<'info>,
    /// CHECK: any key; settlements pay to token accounts it owns
    pub recipient: UncheckedAccount<'info>,
    /// CHECK: any key; only its signatures count
    pub authorized_signer: UncheckedAccount<'info>,
    /// CHECK: `Opening::make`
    pub mint: UncheckedAccount<'info>,
    /// CHECK: `Opening::make` creates it at its derived address
    #[account(mut)]
    pub channel: UncheckedAccount<'info>,
    /// CHECK: `Opening::make` creates it at its derived address
    #[account(mut)]
    pub vault: UncheckedAccount<'info>,
    /// CHECK: the token program checks it in the transfer that the funder signs
    #[account(mut)]
    pub funder_token: UncheckedAccount<'info>,
    pub token_program: Interface<'info, TokenInterface>,
    pub system_program: Program<'info, System>,
}

pub(crate) fn handle(ctx: Context<OpenChannel>, nonce: u64, deposit: u64, terms: Terms) -> Result<()> {
    let accounts = &ctx.accounts;
    terms.check().or_refuse()?;
    let new = NewChannel {
        funder: *accounts.funder.key,
        recipient: *accounts.recipient.key,
        authorized_signer: *accounts.authorized_signer.key,
        parent: Pubkey::default(),
        chain_depth: 0,
        nonce,
        deposit,
        terms,
    };
    let opening = Opening {
        rent_payer: &accounts.rent_payer,
        channel: &accounts.channel,
        vault: &accounts.vault,
        mint: &accounts.mint,
        token_program: &accounts.token_program,
    };
    let channel = opening.make(&new, &Clock::get()?)?;

    let movement = Movement {
        token_program: &accounts.token_program,
        mint: &accounts.mint,
        from: &accounts.funder_token,
        to: &accounts.vault,
        authority: &accounts.funder,
    };
    movement.deposit(Amount::new(deposit))?;
    token::check_vault_covers(&accounts.vault, &channel)?;

    emit!(ChannelOpened {
        channel: *accounts.channel.key,
        funder: channel.funder,
        recipient: channel.recipient,
        authorized_signer: channel.authorized_signer,
        mint: channel.mint,
        nonce,
        opened_slot: channel.opened_slot,
        deposited: deposit,
        unit_price: terms.unit_price,
        rate_limit: terms.rate_limit,
        settle_interval: terms.settle_interval,
        close_grace: terms.close_grace,
        max_chain_depth: terms.max_chain_depth,
    });
    Ok(())
}
