//! The instructions of the upgradeable loader that a deployment takes. They are written here because the crate
//! that has them builds them only with features that would compile most of the workspace's dependencies anew.

use solana_address::Address;
use solana_instruction::{AccountMeta, Instruction};

/// The loader.
pub(super) const LOADER: Address = Address::from_str_const("BPFLoaderUpgradeab1e11111111111111111111111");
const SYSTEM_PROGRAM: Address = Address::from_str_const("11111111111111111111111111111111");
const RENT: Address = Address::from_str_const("SysvarRent111111111111111111111111111111111");
const CLOCK: Address = Address::from_str_const("SysvarC1ock11111111111111111111111111111111");

/// Bytes of a buffer before what is in it.
pub(super) const BUFFER_HEAD: usize = 37;
/// Bytes of a program's data account before the program.
pub(super) const PROGRAM_DATA_HEAD: usize = 45;
/// Bytes of a program's account.
pub(super) const PROGRAM: usize = 36;

const INITIALIZE_BUFFER: u32 = 0;
const WRITE: u32 = 1;
const DEPLOY: u32 = 2;

/// Where a program's bytes are.
pub(super) fn program_data_address(program: &Address) -> Address {
    Address::find_program_address(&[program.as_ref()], &LOADER).0
}

pub(super) fn initialize_buffer(buffer: &Address, authority: &Address) -> Instruction {
    let accounts = vec![AccountMeta::new(*buffer, false), AccountMeta::new_readonly(*authority, false)];
    Instruction { program_id: LOADER, accounts, data: INITIALIZE_BUFFER.to_le_bytes().to_vec() }
}

pub(super) fn write(buffer: &Address, authority: &Address, offset: u32, bytes: &[u8]) -> Instruction {
    let accounts = vec![AccountMeta::new(*buffer, false), AccountMeta::new_readonly(*authority, true)];
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let head = [&WRITE.to_le_bytes()[..], &offset.to_le_bytes(), &length.to_le_bytes()].concat();
    Instruction { program_id: LOADER, accounts, data: [&head, bytes].concat() }
}

/// Makes a program of what is in the buffer, with room for upgrades of up to `most` bytes.
pub(super) fn deploy(payer: &Address, program: &Address, buffer: &Address, most: u64) -> Instruction {
    let accounts = vec![
        AccountMeta::new(*payer, true),
        AccountMeta::new(program_data_address(program), false),
        AccountMeta::new(*program, false),
        AccountMeta::new(*buffer, false),
        AccountMeta::new_readonly(RENT, false),
        AccountMeta::new_readonly(CLOCK, false),
        AccountMeta::new_readonly(SYSTEM_PROGRAM, false),
        AccountMeta::new_readonly(*payer, true),
    ];
    let data = [&DEPLOY.to_le_bytes()[..], &most.to_le_bytes()].concat();
    Instruction { program_id: LOADER, accounts, data }
}
