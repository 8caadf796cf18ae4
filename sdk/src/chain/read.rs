use amp_protocol::account::{AccountError, ChannelAccount, DelegationAccount, TokenHolding, mint_decimals};
use amp_protocol::money::Amount;
use solana_address::Address;

use super::address::{TOKEN_2022_PROGRAM, TOKEN_PROGRAM};
use super::{AccountSnapshot, Chain, ChainError};

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
    decoded(program_id, address, chain.account(address).await?, ChannelAccount::decode)
}

/// The same, and the slot that this is of, where the chain tells.
#[cfg(feature = "server")]
pub(crate) async fn channel_at(
    chain: &dyn Chain,
    program_id: &Address,
    address: &Address,
) -> Result<(Option<ChannelAccount>, Option<u64>), ChainError> {
    let (account, slot) = chain.account_at(address).await?;
    Ok((as_channel(program_id, address, account)?, slot))
}

/// What a channel's address holds.
#[cfg(feature = "server")]
pub(crate) fn as_channel(
    program_id: &Address,
    address: &Address,
    account: Option<AccountSnapshot>,
) -> Result<Option<ChannelAccount>, ChainError> {
    decoded(program_id, address, account, ChannelAccount::decode)
}

/// What was read at an address.
type Read<T> = Result<Option<T>, ChainError>;

/// Many channels, in the order of their addresses; each as [`channel`] would tell it, and the slot that all of
/// them are of, where the chain tells. Costs a read for every
/// [`MAX_ACCOUNTS_AT_ONCE`](super::MAX_ACCOUNTS_AT_ONCE).
pub async fn channels(
    chain: &dyn Chain,
    program_id: &Address,
    addresses: &[Address],
) -> Result<(Vec<Read<ChannelAccount>>, Option<u64>), ChainError> {
    all_decoded(chain, program_id, addresses, ChannelAccount::decode).await
}

/// What the program's account at an address holds.
fn decoded<T>(
    program_id: &Address,
    address: &Address,
    account: Option<AccountSnapshot>,
    decode: impl Fn(&[u8]) -> Result<T, AccountError>,
) -> Result<Option<T>, ChainError> {
    // lamports sent to the address make it a system account: nothing of the program's all the same
    let Some(account) = account.filter(|account| account.owner == *program_id) else { return Ok(None) };
    decode(&account.data).map(Some).map_err(|error| ChainError::Account { address: *address, error })
}

async fn all_decoded<T>(
    chain: &dyn Chain,
    program_id: &Address,
    addresses: &[Address],
    decode: impl Fn(&[u8]) -> Result<T, AccountError>,
) -> Result<(Vec<Read<T>>, Option<u64>), ChainError> {
    let (found, slot) = chain.accounts(addresses).await?;
    if found.len() != addresses.len() {
        // one account more or less, and each is taken for its neighbour
        let answer = format!("{} accounts for {} addresses", found.len(), addresses.len());
        return Err(ChainError::Unreachable(answer));
    }
    let both = addresses.iter().zip(found);
    Ok((both.map(|(address, account)| decoded(program_id, address, account, &decode)).collect(), slot))
}

/// The channels of a funder, chained ones too, with their addresses. What is not a channel account of the
/// program with this funder is left out, one of a version that this crate does not know too.
pub async fn channels_funded_by(
    chain: &dyn Chain,
    program_id: &Address,
    funder: &Address,
) -> Result<Vec<(Address, ChannelAccount)>, ChainError> {
    let found = chain.channels_funded_by(program_id, funder).await?;
    let is_its = |channel: &ChannelAccount| channel.funder == funder.to_bytes();
    Ok(those(program_id, found, ChannelAccount::decode, is_its))
}

/// The channels that pay a recipient, with their addresses. What is not a channel account of the program with
/// this recipient is left out, one of a version that this crate does not know too.
pub async fn channels_paid_to(
    chain: &dyn Chain,
    program_id: &Address,
    recipient: &Address,
) -> Result<Vec<(Address, ChannelAccount)>, ChainError> {
    let found = chain.channels_paid_to(program_id, recipient).await?;
    let is_its = |channel: &ChannelAccount| channel.recipient == recipient.to_bytes();
    Ok(those(program_id, found, ChannelAccount::decode, is_its))
}

/// Of what a node found, what decodes and is wanted. Whatever a node answers: bytes that look like an account
/// prove nothing.
fn those<T>(
    program_id: &Address,
    found: Vec<(Address, AccountSnapshot)>,
    decode: impl Fn(&[u8]) -> Result<T, AccountError>,
    is_wanted: impl Fn(&T) -> bool,
) -> Vec<(Address, T)> {
    let own = found.into_iter().filter(|(_, account)| account.owner == *program_id);
    let decoded = own.filter_map(|(address, account)| Some((address, decode(&account.data).ok()?)));
    decoded.filter(|(_, account)| is_wanted(account)).collect()
}

/// A delegation, or `None` where the address holds none (never made, or closed).
pub async fn delegation(
    chain: &dyn Chain,
    program_id: &Address,
    address: &Address,
) -> Result<Option<DelegationAccount>, ChainError> {
    decoded(program_id, address, chain.account(address).await?, DelegationAccount::decode)
}

/// Many delegations, in the order of their addresses; each as [`delegation`] would tell it. Costs a read for
/// every [`MAX_ACCOUNTS_AT_ONCE`](super::MAX_ACCOUNTS_AT_ONCE).
pub async fn delegations_at(
    chain: &dyn Chain,
    program_id: &Address,
    addresses: &[Address],
) -> Result<Vec<Read<DelegationAccount>>, ChainError> {
    Ok(all_decoded(chain, program_id, addresses, DelegationAccount::decode).await?.0)
}

/// The delegations of a channel, of all its incarnations, with their addresses. What is not a delegation
/// account of the program on this channel is left out, one of a version that this crate does not know
/// too.
pub async fn delegations(
    chain: &dyn Chain,
    program_id: &Address,
    channel: &Address,
) -> Result<Vec<(Address, DelegationAccount)>, ChainError> {
    let found = chain.delegations(program_id, channel).await?;
    let is_its = |delegation: &DelegationAccount| delegation.channel == channel.to_bytes();
    Ok(those(program_id, found, DelegationAccount::decode, is_its))
}

/// The delegations to a key, on whatever channels and of all their incarnations, with their addresses. What
/// is not a delegation account of the program to this key is left out, as in [`delegations`].
pub async fn delegations_to(
    chain: &dyn Chain,
    program_id: &Address,
    delegate: &Address,
) -> Result<Vec<(Address, DelegationAccount)>, ChainError> {
    let found = chain.delegations_to(program_id, delegate).await?;
    let is_its = |delegation: &DelegationAccount| delegation.delegate == delegate.to_bytes();
    Ok(those(program_id, found, DelegationAccount::decode, is_its))
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

/// Whether there is a token account at an address. Lamports alone make none: anybody can send some to an
/// associated address before its account is created, and creating it works all the same.
pub async fn has_token_account(chain: &dyn Chain, address: &Address) -> Result<bool, ChainError> {
    let found = chain.account(address).await?;
    Ok(found.is_some_and(|account| [TOKEN_PROGRAM, TOKEN_2022_PROGRAM].contains(&account.owner)))
}

/// Base units that a token account holds; zero where there is none.
pub async fn token_amount(chain: &dyn Chain, address: &Address) -> Result<Amount, ChainError> {
    let Some(account) = chain.account(address).await? else { return Ok(Amount::ZERO) };
    TokenHolding::parse(&account.data)
        .map(|holding| holding.amount)
        .map_err(|error| ChainError::Account { address: *address, error })
}
