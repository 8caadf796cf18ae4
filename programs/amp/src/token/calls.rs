//! The three instructions of a token program that move a channel's tokens, written to the byte: SPL
//! Token and Token-2022 share them. `anchor_spl`'s builders cost several hundred compute units a call
//! more (docs/decisions/0009-compute-units.md).

use amp_protocol::account::mint_decimals;
use amp_protocol::money::Amount;
use amp_protocol::rejection::Rejection;
use anchor_lang::prelude::*;
use anchor_lang::solana_program::instruction::Instruction;
use anchor_lang::solana_program::program::invoke_signed_unchecked;

use crate::error::OrRefuse;
use crate::state::Channel;

const CLOSE_ACCOUNT: u8 = 9;
const TRANSFER_CHECKED: u8 = 12;
const INITIALIZE_ACCOUNT_3: u8 = 18;

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
        channel.with_seeds(|seeds| self.transfer(amount, &[seeds]))
    }

    /// `TransferChecked`: amount u64, decimals u8.
    fn transfer(&self, amount: Amount, seeds: &[&[&[u8]]]) -> Result<()> {
        let decimals = {
            let data = self.mint.try_borrow_data()?;
            mint_decimals(&data).map_err(|_| Rejection::MintNotOfTokenProgram).or_refuse()?
        };
        let mut data = Vec::with_capacity(10);
        data.push(TRANSFER_CHECKED);
        data.extend_from_slice(&amount.get().to_le_bytes());
        data.push(decimals);
        let accounts = vec![
            AccountMeta::new(*self.from.key, false),
            AccountMeta::new_readonly(*self.mint.key, false),
            AccountMeta::new(*self.to.key, false),
            AccountMeta::new_readonly(*self.authority.key, true),
        ];
        let infos = [self.from.clone(), self.mint.clone(), self.to.clone(), self.authority.clone()];
        call(self.token_program, accounts, data, &infos, seeds)
    }
}

/// `InitializeAccount3`: owner[32]. Makes the account a vault of `mint` that the channel owns.
pub fn initialize_vault<'info>(
    token_program: &AccountInfo<'info>,
    vault: &AccountInfo<'info>,
    mint: &AccountInfo<'info>,
    channel: &Pubkey,
) -> Result<()> {
    let mut data = Vec::with_capacity(33);
    data.push(INITIALIZE_ACCOUNT_3);
    data.extend_from_slice(channel.as_ref());
    let accounts = vec![AccountMeta::new(*vault.key, false), AccountMeta::new_readonly(*mint.key, false)];
    call(token_program, accounts, data, &[vault.clone(), mint.clone()], &[])
}

/// `CloseAccount`: closes an emptied vault; its lamports go to `rent_payer`.
pub fn close_vault<'info>(
    token_program: &AccountInfo<'info>,
    vault: &AccountInfo<'info>,
    rent_payer: &AccountInfo<'info>,
    authority: &AccountInfo<'info>,
    channel: &Channel,
) -> Result<()> {
    let accounts = vec![
        AccountMeta::new(*vault.key, false),
        AccountMeta::new(*rent_payer.key, false),
        AccountMeta::new_readonly(*authority.key, true),
    ];
    let infos = [vault.clone(), rent_payer.clone(), authority.clone()];
    channel.with_seeds(|seeds| call(token_program, accounts, vec![CLOSE_ACCOUNT], &infos, &[seeds]))
}

/// Calls a token program. Unchecked as to Rust's borrows of the accounts, which is why no caller holds one
/// of any account: the runtime checks everything else.
fn call(
    token_program: &AccountInfo,
    accounts: Vec<AccountMeta>,
    data: Vec<u8>,
    infos: &[AccountInfo],
    seeds: &[&[&[u8]]],
) -> Result<()> {
    let instruction = Instruction { program_id: *token_program.key, accounts, data };
    Ok(invoke_signed_unchecked(&instruction, infos, seeds)?)
}
