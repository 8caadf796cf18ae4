use amp_protocol::account::{ChannelAccount, TokenHolding, mint_decimals};
use amp_protocol::money::Amount;
use solana_address::Address;

use super::address::{TOKEN_2022_PROGRAM, TOKEN_PROGRAM};
use super::{Chain, ChainError};

/// What a client needs to know of a mint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MintInfo {
    /// SPL Token or Token-2022.
    pub token_program: Address,
    /// Digits after the point when amounts are shown to people.
    pub decimals: u8,
}

/// A channel, or `None` where the address holds none (never opened, or closed).
///
/// The account must belong to the program: bytes that look like a channel prove nothing.
pub async fn channel(
    chain: &dyn Chain,
    program_id: &Address,
    address: &Address,
) -> Result<Option<ChannelAccount>, ChainError> {
    let Some(account) = chain.account(address).await? else { return Ok(None) };
    if account.owner != *program_id {
        // lamports sent to the address make it a system account: no channel all the same
        return Ok(None);
    }
    ChannelAccount::decode(&account.data)
        .map(Some)
        .map_err(|error| ChainError::Account { address: *address, error })
}

/// A mint's token program and decimals.
pub async fn mint(chain: &dyn Chain, address: &Address) -> Result<MintInfo, ChainError> {
    let account = chain.account(address).await?.ok_or(ChainError::NoMint(*address))?;
    if account.owner != TOKEN_PROGRAM && account.owner != TOKEN_2022_PROGRAM {
        let expected = "a token program".to_owned();
        return Err(ChainError::Owner { address: *address, owner: account.owner, expected });
    }
    let decimals =
        mint_decimals(&account.data).map_err(|error| ChainError::Account { address: *address, error })?;
    Ok(MintInfo { token_program: account.owner, decimals })
}

/// Base units that a token account holds; zero where there is none.
pub async fn token_amount(chain: &dyn Chain, address: &Address) -> Result<Amount, ChainError> {
    let Some(account) = chain.account(address).await? else { return Ok(Amount::ZERO) };
    TokenHolding::parse(&account.data)
        .map(|holding| holding.amount)
        .map_err(|error| ChainError::Account { address: *address, error })
}
