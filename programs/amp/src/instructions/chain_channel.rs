use amp_protocol::rejection::Rejection;
use amp_protocol::rules::{self, Terms};
use anchor_lang::prelude::*;
use anchor_spl::token_interface::TokenInterface;

use crate::claim;
use crate::constants::INSTRUCTIONS_SYSVAR;
use crate::error::{AmpError, OrRefuse, refuse};
use crate::events::ChannelChained;
use crate::opening::{NewChannel, Opening};
use crate::state::{Channel, Delegation};
use crate::token::{self, Movement};

#[derive(Accounts)]
pub struct ChainChannel<'info> {
    /// The upstream channel's; signs for the new channel from now on.
    pub recipient: Signer<'info>,
    #[account(mut)]
    pub rent_payer: Signer<'info>,
    /// The upstream channel.
    #[account(
        mut,
        has_one = recipient @ AmpError::WrongRecipient,
        has_one = mint @ AmpError::WrongMint,
        has_one = vault @ AmpError::WrongVault
    )]
    pub channel: AccountLoader<'info, Channel>,
    /// CHECK: the upstream channel names it
    #[account(mut)]
    pub vault: UncheckedAccount<'info>,
    /// CHECK: the upstream channel names it
    pub mint: UncheckedAccount<'info>,
    /// CHECK: any key; settlements of the new channel pay to token accounts it owns
    pub sub_service: UncheckedAccount<'info>,
    /// CHECK: `Opening::make` creates it at its derived address
    #[account(mut)]
    pub sub_channel: UncheckedAccount<'info>,
    /// CHECK: `Opening::make` creates it at its derived address
    #[account(mut)]
    pub sub_vault: UncheckedAccount<'info>,
    pub token_program: Interface<'info, TokenInterface>,
    pub system_program: Program<'info, System>,
    /// CHECK: the sysvar's address
    #[account(address = INSTRUCTIONS_SYSVAR)]
    pub instructions: UncheckedAccount<'info>,
    /// Given exactly when a delegate signed the credential.
    #[account(mut)]
    pub delegation: Option<AccountLoader<'info, Delegation>>,
}

pub(crate) fn handle(ctx: Context<ChainChannel>, owed: u64, nonce: u64, terms: Terms) -> Result<()> {
    let accounts = &ctx.accounts;
    let address = accounts.channel.key();
    let mut channel = accounts.channel.load_mut()?;
    channel.check_version().or_refuse()?;
    // a new channel would hold up refunds that the funder has asked for
    if channel.is_closing() {
        return refuse(Rejection::Closing);
    }
    let terms = Terms { max_chain_depth: channel.max_chain_depth, ..terms };
    let chain_depth = rules::chained_depth(channel.chain_depth, &channel.terms(), &terms).or_refuse()?;
    let clock = Clock::get()?;
    let now = clock.unix_timestamp;
    let claim = claim::book(&address, &mut channel, &accounts.delegation, &accounts.instructions, owed, now)?;
    let parent = *channel;
    // the token program is handed the channel's account as the signer: no borrow may be held
    drop(channel);

    let new = NewChannel {
        funder: parent.funder,
        recipient: *accounts.sub_service.key,
        authorized_signer: *accounts.recipient.key,
        parent: address,
        chain_depth,
        nonce,
        deposit: claim.settlement.payout.get(),
        terms,
    };
    let opening = Opening {
        rent_payer: &accounts.rent_payer,
        channel: &accounts.sub_channel,
        vault: &accounts.sub_vault,
        mint: &accounts.mint,
        token_program: &accounts.token_program,
    };
    let sub = opening.make(&new, &clock)?;

    let authority = accounts.channel.to_account_info();
    let movement = Movement {
        token_program: &accounts.token_program,
        mint: &accounts.mint,
        from: &accounts.vault,
        to: &accounts.sub_vault,
        authority: &authority,
    };
    movement.pay_out(&parent, claim.settlement.payout)?;
    token::check_vault_covers(&accounts.vault, &parent)?;
    token::check_vault_covers(&accounts.sub_vault, &sub)?;

    emit!(ChannelChained {
        parent: address,
        signer: claim.signer,
        seq: claim.seq,
        signer_claimed: claim.settlement.signer_claimed.get(),
        claimed: parent.claimed,
        deposited: parent.deposited,
        window_claimed: parent.window_claimed,
        channel: *accounts.sub_channel.key,
        funder: sub.funder,
        recipient: sub.recipient,
        authorized_signer: sub.authorized_signer,
        nonce,
        opened_slot: sub.opened_slot,
        deposit: sub.deposited,
        unit_price: sub.unit_price,
        rate_limit: sub.rate_limit,
        settle_interval: sub.settle_interval,
        close_grace: sub.close_grace,
        chain_depth,
        max_chain_depth: sub.max_chain_depth,
    });
    Ok(())
}
