//! A mint and tokens, made over RPC.

use amp_sdk::chain::{
    Chain, ComputeBudget, Plan, PriorityFee, RpcChain, associated_token_address, create_token_account,
};
use amp_sdk::signer::{KeypairSigner, Signer};
use anyhow::ensure;
use solana_address::Address;
use spl_token_2022_interface::instruction as token;

use crate::validator::Validator;

const MINT_BYTES: u64 = 82;
const AIRDROP: u64 = 2_000_000_000;

/// Lamports from the validator's faucet.
pub(crate) async fn airdrop(validator: &Validator, to: &Address) -> anyhow::Result<()> {
    let signature = validator.rpc.request_airdrop(to, AIRDROP).await?;
    for _ in 0..150_u32 {
        if validator.rpc.confirm_transaction(&signature).await? {
            return Ok(());
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    anyhow::bail!("the airdrop was not confirmed")
}

/// A mint with 6 decimals, and `amount` of it for `owner`, who pays.
pub(crate) async fn mint_for(
    validator: &Validator,
    token_program: &Address,
    owner: &KeypairSigner,
    amount: u64,
) -> anyhow::Result<Address> {
    let chain = RpcChain::new(validator.url.clone());
    let (mint, key) = (KeypairSigner::generate(), owner.public_key());
    let address = mint.public_key();
    let rent = validator.rpc.get_minimum_balance_for_rent_exemption(usize::try_from(MINT_BYTES)?).await?;
    let tokens = associated_token_address(&key, &address, token_program);
    let instructions = vec![
        solana_system_interface::instruction::create_account(&key, &address, rent, MINT_BYTES, token_program),
        token::initialize_mint2(token_program, &address, &key, None, 6)?,
        create_token_account(&key, &key, &address, token_program),
        token::mint_to(token_program, &address, &tokens, &key, &[], amount)?,
    ];
    let budget = ComputeBudget::settle().with_token_accounts(2);
    let plan = Plan::new(key, budget, PriorityFee::default(), instructions);
    let done = plan.send(&chain, &[owner, &mint]).await?;
    ensure!(chain.account(&address).await?.is_some(), "the mint is not there after {}", done.signature);
    Ok(address)
}
