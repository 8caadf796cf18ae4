//! The only file that moves tokens.

use amp_protocol::account::{TokenHolding, mint_decimals};
use amp_protocol::money::Amount;
use amp_protocol::rejection::Rejection;
use anchor_lang::prelude::*;
use anchor_spl::token_2022::spl_token_2022::extension::{
    BaseStateWithExtensions, ExtensionType, StateWithExtensions,
};
use anchor_spl::token_2022::spl_token_2022::state::Mint;
use anchor_spl::token_interface::{self, CloseAccount, TransferChecked};

use crate::constants::CHANNEL_SEED;
use crate::error::{OrRefuse, refuse};
use crate::state::Channel;

const MINT_WITHOUT_EXTENSIONS: usize = 82;

/// Extensions that say something about the mint and do nothing to a holder. An allow-list: what
/// Token-2022 adds later is refused until it has been looked at.
const ALLOWED: [ExtensionType; 6] = [
    ExtensionType::MetadataPointer,
    ExtensionType::TokenMetadata,
    ExtensionType::GroupPointer,
    ExtensionType::TokenGroup,
    ExtensionType::GroupMemberPointer,
    ExtensionType::TokenGroupMember,
];

/// Refuses a mint that is not the token program's, or that could change, trap or move a deposit.
pub fn check_mint(mint: &AccountInfo, token_program: &Pubkey) -> Result<()> {
    if mint.owner != token_program {
        return refuse(Rejection::MintNotOfTokenProgram);
    }
    let data = mint.try_borrow_data()?;
    if data.len() == MINT_WITHOUT_EXTENSIONS {
        return Ok(());
    }
    let state = StateWithExtensions::<Mint>::unpack(&data)?;
    match state.get_extension_types()?.iter().all(|extension| ALLOWED.contains(extension)) {
        true => Ok(()),
        false => refuse(Rejection::MintExtensionRefused),
    }
}

/// Base units held by `account`, which must be a token account of `mint` and, where given, of `owner`.
pub fn balance(account: &AccountInfo) -> Result<Amount> {
    let data = account.try_borrow_data()?;
    Ok(TokenHolding::parse(&data).map_err(|_| Rejection::NotATokenAccount).or_refuse()?.amount)
}

/// Refuses a token account that `owner` does not own. The token program itself checks, in the
/// transfer, that the account is initialized, its own, and of the vault's mint.
pub fn check_owner(
    account: &AccountInfo,
    token_program: &Pubkey,
    owner: &Pubkey,
    otherwise: Rejection,
) -> Result<()> {
    if account.owner != token_program {
        return refuse(Rejection::NotATokenAccount);
    }
    let data = account.try_borrow_data()?;
    let holding = TokenHolding::parse(&data).map_err(|_| Rejection::NotATokenAccount).or_refuse()?;
    if *holding.owner != owner.to_bytes() { refuse(otherwise) } else { Ok(()) }
}

/// The vault holds what is deposited and not claimed, or more (donations). Run after each movement.
pub fn check_vault_covers(vault: &AccountInfo, channel: &Channel) -> Result<()> {
    let booked = channel.books().balance().or_refuse()?;
    if balance(vault)? < booked { refuse(Rejection::VaultShort) } else { Ok(()) }
}

/// The accounts of a movement out of a vault or into it.
pub struct Movement<'a, 'info> {
    pub token_program: &'a AccountInfo<'info>,
    pub mint: &'a AccountInfo<'info>,
    pub from: &'a AccountInfo<'info>,
    pub to: &'a AccountInfo<'info>,
    pub authority: &'a AccountInfo<'info>,
}

impl Movement<'_, '_> {
    /// Moves tokens whose owner signed the transaction.
    pub fn deposit(&self, amount: Amount) -> Result<()> {
        self.transfer(amount, &[])
    }

    /// Moves tokens out of the vault; the channel's address signs.
    pub fn pay_out(&self, channel: &Channel, amount: Amount) -> Result<()> {
        with_channel_seeds(channel, |seeds| self.transfer(amount, &[seeds]))
    }

    fn transfer(&self, amount: Amount, seeds: &[&[&[u8]]]) -> Result<()> {
        let decimals = {
            let data = self.mint.try_borrow_data()?;
            mint_decimals(&data).map_err(|_| Rejection::MintNotOfTokenProgram).or_refuse()?
        };
        let accounts = TransferChecked {
            from: self.from.clone(),
            mint: self.mint.clone(),
            to: self.to.clone(),
            authority: self.authority.clone(),
        };
        let context = CpiContext::new_with_signer(*self.token_program.key, accounts, seeds);
        token_interface::transfer_checked(context, amount.get(), decimals)
    }
}

/// Closes an emptied vault; its lamports go to `rent_payer`.
pub fn close_vault<'info>(
    token_program: &AccountInfo<'info>,
    vault: &AccountInfo<'info>,
    rent_payer: &AccountInfo<'info>,
    authority: &AccountInfo<'info>,
    channel: &Channel,
) -> Result<()> {
    with_channel_seeds(channel, |seeds| {
        let accounts = CloseAccount {
            account: vault.clone(),
            destination: rent_payer.clone(),
            authority: authority.clone(),
        };
        let signer = [seeds];
        token_interface::close_account(CpiContext::new_with_signer(*token_program.key, accounts, &signer))
    })
}

fn with_channel_seeds<T>(channel: &Channel, run: impl FnOnce(&[&[u8]]) -> T) -> T {
    let nonce = channel.nonce.to_le_bytes();
    run(&[CHANNEL_SEED, channel.funder.as_ref(), channel.recipient.as_ref(), &nonce, &[channel.bump]])
}
