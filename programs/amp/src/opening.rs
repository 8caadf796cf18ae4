//! What `open_channel` and `chain_channel` have in common: the accounts of a new channel.

use amp_protocol::account::ChannelAccount;
use amp_protocol::rejection::Rejection;
use amp_protocol::rules::Terms;
use anchor_lang::prelude::*;
use anchor_lang::solana_program::program::invoke_signed_unchecked;
use anchor_lang::solana_program::system_instruction::create_account_allow_prefund;
use bytemuck::Zeroable;

use crate::constants::{CHANNEL_SEED, VAULT_SEED};
use crate::derivation::bump_of;
use crate::error::{OrRefuse, refuse};
use crate::state::{Channel, write_new};
use crate::token::{self, VAULT_SPACE};

/// The accounts that take part in making a channel.
pub struct Opening<'a, 'info> {
    pub rent_payer: &'a AccountInfo<'info>,
    pub channel: &'a AccountInfo<'info>,
    pub vault: &'a AccountInfo<'info>,
    pub mint: &'a AccountInfo<'info>,
    pub token_program: &'a AccountInfo<'info>,
}

/// What a new channel is made of.
pub struct NewChannel {
    pub funder: Pubkey,
    pub recipient: Pubkey,
    pub authorized_signer: Pubkey,
    /// All zero for a root.
    pub parent: Pubkey,
    pub chain_depth: u8,
    pub nonce: u64,
    pub deposit: u64,
    /// Checked.
    pub terms: Terms,
}

impl Opening<'_, '_> {
    /// Creates channel and vault at their derived addresses, lamports sent there ahead or not, and
    /// writes the channel. The deposit is booked; the caller moves it in.
    pub fn make(&self, new: &NewChannel, clock: &Clock) -> Result<Channel> {
        if new.deposit == 0 {
            return refuse(Rejection::ZeroAmount);
        }
        if new.funder == new.recipient {
            return refuse(Rejection::SelfPayment);
        }
        token::check_mint(self.mint, self.token_program.key)?;
        let nonce = new.nonce.to_le_bytes();
        let opener = if new.chain_depth == 0 { &new.funder } else { &new.parent };
        let channel_seeds: [&[u8]; 4] = [CHANNEL_SEED, opener.as_ref(), new.recipient.as_ref(), &nonce];
        let vault_seeds = [VAULT_SEED, self.channel.key.as_ref()];
        let otherwise = Rejection::WrongDerivedAddress;
        let bump = bump_of(self.channel.key, channel_seeds, &crate::ID, otherwise)?;
        let vault_bump = bump_of(self.vault.key, vault_seeds, &crate::ID, otherwise)?;

        let rent = Rent::get()?;
        let token_program = self.token_program.key;
        create(
            self.channel,
            self.rent_payer,
            &rent,
            Channel::SPACE,
            &crate::ID,
            &[CHANNEL_SEED, opener.as_ref(), new.recipient.as_ref(), &nonce, &[bump]],
        )?;
        create(
            self.vault,
            self.rent_payer,
            &rent,
            VAULT_SPACE,
            token_program,
            &[VAULT_SEED, self.channel.key.as_ref(), &[vault_bump]],
        )?;
        token::initialize_vault(self.token_program, self.vault, self.mint, self.channel.key)?;

        let channel = Channel {
            version: ChannelAccount::VERSION,
            bump,
            vault_bump,
            chain_depth: new.chain_depth,
            max_chain_depth: new.terms.max_chain_depth,
            funder: new.funder,
            recipient: new.recipient,
            authorized_signer: new.authorized_signer,
            mint: *self.mint.key,
            vault: *self.vault.key,
            rent_payer: *self.rent_payer.key,
            parent: new.parent,
            nonce: new.nonce,
            opened_slot: clock.slot,
            deposited: new.deposit,
            unit_price: new.terms.unit_price,
            rate_limit: new.terms.rate_limit,
            window_started_at: clock.unix_timestamp,
            last_settled_at: clock.unix_timestamp,
            opened_at: clock.unix_timestamp,
            settle_interval: new.terms.settle_interval,
            close_grace: new.terms.close_grace,
            ..Channel::zeroed()
        };
        channel.invariant().or_refuse()?;
        write_new(self.channel, &channel)?;
        Ok(channel)
    }
}

/// Creates an account of ours or a token program's at the address that `seeds`, bump included, derive.
/// Refused by the system program where something is there already.
pub fn create<'info>(
    account: &AccountInfo<'info>,
    rent_payer: &AccountInfo<'info>,
    rent: &Rent,
    space: usize,
    owner: &Pubkey,
    seeds: &[&[u8]],
) -> Result<()> {
    let missing = rent.minimum_balance(space).saturating_sub(account.lamports());
    let paid = (missing != 0).then_some((rent_payer.key, missing));
    let space = u64::try_from(space).map_err(|_| Rejection::InvariantBroken).or_refuse()?;
    let instruction = create_account_allow_prefund(account.key, paid, space, owner);
    Ok(invoke_signed_unchecked(&instruction, &[account.clone(), rent_payer.clone()], &[seeds])?)
}
