//! The only file that moves tokens.

use amp_protocol::account::{TokenHolding, mint_decimals};
use amp_protocol::money::Amount;
use amp_protocol::rejection::Rejection;
use anchor_lang::prelude::*;
use anchor_lang::system_program::{self, CreateAccountAllowPrefund};
use anchor_spl::token_2022::spl_token_2022::extension::{
    BaseStateWithExtensions, ExtensionType, StateWithExtensions,
};
use anchor_spl::token_2022::spl_token_2022::state::Mint;
use anchor_spl::token_interface::{self, CloseAccount, InitializeAccount3, TransferChecked};

use crate::constants::{ASSOCIATED_TOKEN_PROGRAM, CHANNEL_SEED, VAULT_SEED};
use crate::error::{OrRefuse, refuse};
use crate::instructions::OpenChannel;
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

/// Length of a token account without extensions: none of the mints that are allowed asks for one.
const VAULT_SPACE: u16 = 165;

/// Creates the vault at its derived address, lamports sent there ahead or not, owned by the channel.
pub fn create_vault(accounts: &OpenChannel, bump: u8) -> Result<()> {
    let channel = accounts.channel.key();
    let seeds: [&[u8]; 3] = [VAULT_SEED, channel.as_ref(), &[bump]];
    let signer = [&seeds[..]];
    let missing = Rent::get()?.minimum_balance(VAULT_SPACE.into()).saturating_sub(accounts.vault.lamports());
    let create = CreateAccountAllowPrefund {
        from: accounts.rent_payer.to_account_info(),
        to: accounts.vault.to_account_info(),
    };
    let context = CpiContext::new_with_signer(*accounts.system_program.key, create, &signer);
    system_program::create_account_allow_prefund(
        context,
        missing,
        VAULT_SPACE.into(),
        accounts.token_program.key,
    )?;
    let initialize = InitializeAccount3 {
        account: accounts.vault.to_account_info(),
        mint: accounts.mint.to_account_info(),
        authority: accounts.channel.to_account_info(),
    };
    token_interface::initialize_account3(CpiContext::new(*accounts.token_program.key, initialize))
}

/// Base units held by a token account.
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

/// Refuses a refund account that is not the funder's associated one. For closes by anyone else: any
/// account that the funder owns keeps its tokens safe, but a funder that is a program finds them only
/// where it looks, and a stranger could make one anywhere.
pub fn check_associated(
    account: &Pubkey,
    owner: &Pubkey,
    mint: &Pubkey,
    token_program: &Pubkey,
) -> Result<()> {
    let seeds = [owner.as_ref(), token_program.as_ref(), mint.as_ref()];
    let (associated, _) = Pubkey::find_program_address(&seeds, &ASSOCIATED_TOKEN_PROGRAM);
    if *account == associated { Ok(()) } else { refuse(Rejection::RefundNotAssociated) }
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
