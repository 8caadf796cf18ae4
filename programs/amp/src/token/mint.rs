use amp_protocol::rejection::Rejection;
use anchor_lang::prelude::*;
use anchor_spl::token_2022::spl_token_2022::extension::{
    BaseStateWithExtensions, ExtensionType, StateWithExtensions,
};
use anchor_spl::token_2022::spl_token_2022::state::Mint;

use crate::error::refuse;

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
