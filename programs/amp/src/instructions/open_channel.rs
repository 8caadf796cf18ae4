use amp_protocol::account::ChannelAccount;
use amp_protocol::money::Amount;
use amp_protocol::rejection::Rejection;
use amp_protocol::rules::Terms;
use anchor_lang::prelude::*;
use anchor_spl::token_interface::TokenInterface;

use crate::constants::{CHANNEL_SEED, VAULT_SEED};
use crate::error::{OrRefuse, refuse};
use crate::events::ChannelOpened;
use crate::state::Channel;
use crate::token::{self, Movement};

#[derive(Accounts)]
#[instruction(nonce: u64)]
pub struct OpenChannel<'info> {
    pub funder: Signer<'info>,
    #[account(mut)]
    pub rent_payer: Signer<'info>,
    /// CHECK: any key; settlements pay to token accounts it owns
    pub recipient: UncheckedAccount<'info>,
    /// CHECK: any key; only its signatures count
    pub authorized_signer: UncheckedAccount<'info>,
    /// CHECK: `token::check_mint`
    pub mint: UncheckedAccount<'info>,
    #[account(
        init,
        payer = rent_payer,
        space = Channel::SPACE,
        seeds = [CHANNEL_SEED, funder.key().as_ref(), recipient.key().as_ref(), &nonce.to_le_bytes()],
        bump
    )]
    pub channel: AccountLoader<'info, Channel>,
    /// CHECK: `token::create_vault` makes it, once the mint has been looked at
    #[account(mut, seeds = [VAULT_SEED, channel.key().as_ref()], bump)]
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
    if deposit == 0 {
        return refuse(Rejection::ZeroAmount);
    }
    if accounts.funder.key == accounts.recipient.key {
        return refuse(Rejection::SelfPayment);
    }
    token::check_mint(&accounts.mint, accounts.token_program.key)?;
    token::create_vault(accounts, ctx.bumps.vault)?;

    let clock = Clock::get()?;
    let mut channel = accounts.channel.load_init()?;
    channel.version = ChannelAccount::VERSION;
    channel.bump = ctx.bumps.channel;
    channel.vault_bump = ctx.bumps.vault;
    channel.max_chain_depth = terms.max_chain_depth;
    channel.funder = *accounts.funder.key;
    channel.recipient = *accounts.recipient.key;
    channel.authorized_signer = *accounts.authorized_signer.key;
    channel.mint = *accounts.mint.key;
    channel.vault = accounts.vault.key();
    channel.rent_payer = *accounts.rent_payer.key;
    channel.nonce = nonce;
    channel.opened_slot = clock.slot;
    channel.deposited = deposit;
    channel.unit_price = terms.unit_price;
    channel.rate_limit = terms.rate_limit;
    channel.window_started_at = clock.unix_timestamp;
    channel.last_settled_at = clock.unix_timestamp;
    channel.opened_at = clock.unix_timestamp;
    channel.settle_interval = terms.settle_interval;
    channel.close_grace = terms.close_grace;
    channel.invariant().or_refuse()?;

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
        channel: accounts.channel.key(),
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
