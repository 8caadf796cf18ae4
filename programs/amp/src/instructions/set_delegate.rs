use amp_protocol::account::DelegationAccount;
use amp_protocol::money::Amount;
use amp_protocol::rejection::Rejection;
use amp_protocol::rules;
use anchor_lang::prelude::*;
use bytemuck::Zeroable;

use crate::constants::DELEGATION_SEED;
use crate::derivation::bump_of;
use crate::error::{AmpError, OrRefuse, refuse};
use crate::events::DelegateSet;
use crate::opening;
use crate::state::{Channel, Delegation, read_mut, write_new};

#[derive(Accounts)]
pub struct SetDelegate<'info> {
    pub funder: Signer<'info>,
    /// Pays for the account where there is none yet.
    #[account(mut)]
    pub rent_payer: Signer<'info>,
    #[account(mut, has_one = funder @ AmpError::WrongFunder)]
    pub channel: AccountLoader<'info, Channel>,
    /// CHECK: any key; only its signatures count
    pub delegate: UncheckedAccount<'info>,
    /// CHECK: held against its derived address; created, or read as a delegation
    #[account(mut)]
    pub delegation: UncheckedAccount<'info>,
    pub system_program: Program<'info, System>,
}

pub(crate) fn handle(ctx: Context<SetDelegate>, limit: u64, expires_at: i64) -> Result<()> {
    let accounts = &ctx.accounts;
    let opened_slot = check_channel(accounts)?;
    let clock = Clock::get()?;
    let set = match accounts.delegation.owner == &crate::ID {
        true => change(accounts, opened_slot, Amount::new(limit), expires_at, &clock)?,
        false => create(accounts, opened_slot, Amount::new(limit), expires_at, &clock)?,
    };

    if set.created_slot == clock.slot {
        accounts.channel.load_mut()?.delegated_slot = clock.slot;
    }

    emit!(DelegateSet {
        channel: set.channel,
        delegate: set.delegate,
        created_slot: set.created_slot,
        limit: set.limit,
        claimed: set.claimed,
        expires_at: set.expires_at,
    });
    Ok(())
}

/// Refuses a channel that nobody may be delegated on; the slot it was opened in.
fn check_channel(accounts: &SetDelegate) -> Result<u64> {
    let channel = accounts.channel.load()?;
    channel.check_version().or_refuse()?;
    if channel.is_closing() {
        return refuse(Rejection::Closing);
    }
    // what was chained is the upstream recipient's to spend: the funder gets back what is not
    if channel.chain_depth != 0 {
        return refuse(Rejection::ChainedChannel);
    }
    // were both in one epoch (opened and delegated in one slot), one signature would count twice
    if *accounts.delegate.key == channel.authorized_signer {
        return refuse(Rejection::DelegateIsAuthorizedSigner);
    }
    Ok(channel.opened_slot)
}

fn create(
    accounts: &SetDelegate,
    opened_slot: u64,
    limit: Amount,
    expires_at: i64,
    clock: &Clock,
) -> Result<Delegation> {
    let address = accounts.channel.key();
    let delegate = accounts.delegate.key;
    let seeds = [DELEGATION_SEED, address.as_ref(), delegate.as_ref()];
    let account = &accounts.delegation;
    let bump = bump_of(account.key, seeds, &crate::ID, Rejection::WrongDerivedAddress)?;
    let terms = rules::Delegation::begin(limit, expires_at, clock.unix_timestamp).or_refuse()?;
    let mut delegation = Delegation {
        version: DelegationAccount::VERSION,
        bump,
        channel: address,
        delegate: *delegate,
        rent_payer: *accounts.rent_payer.key,
        channel_opened_slot: opened_slot,
        created_slot: clock.slot,
        ..Delegation::zeroed()
    };
    delegation.record(&terms);
    delegation.invariant().or_refuse()?;
    let seeds = [DELEGATION_SEED, address.as_ref(), delegate.as_ref(), &[bump]];
    opening::create(account, &accounts.rent_payer, &Rent::get()?, Delegation::SPACE, &crate::ID, &seeds)?;
    write_new(account, &delegation)?;
    Ok(delegation)
}

/// Changes the account that is there. It names its channel and delegate, and this program made it at the
/// address derived from them: that is as good as deriving it again.
fn change(
    accounts: &SetDelegate,
    opened_slot: u64,
    limit: Amount,
    expires_at: i64,
    clock: &Clock,
) -> Result<Delegation> {
    let mut delegation = read_mut::<Delegation>(&accounts.delegation)?;
    delegation.check_version().or_refuse()?;
    if delegation.channel != accounts.channel.key() || delegation.delegate != *accounts.delegate.key {
        return refuse(Rejection::WrongDerivedAddress);
    }
    let now = clock.unix_timestamp;
    if delegation.channel_opened_slot == opened_slot {
        let terms = delegation.terms().change(limit, expires_at, now).or_refuse()?;
        delegation.record(&terms);
    } else {
        // in the slot in which this was created, the new epoch would be the old one, and what was signed in
        // it would count again. `close_channel` sees to it that there is a slot between; this stands by itself
        if clock.slot <= delegation.created_slot {
            return refuse(Rejection::DelegationInCreationSlot);
        }
        let terms = rules::Delegation::begin(limit, expires_at, now).or_refuse()?;
        delegation.record(&terms);
        delegation.channel_opened_slot = opened_slot;
        delegation.created_slot = clock.slot;
    }
    delegation.invariant().or_refuse()?;
    Ok(*delegation)
}
