use amp_protocol::account::{TokenHolding, mint_decimals};
use spl_token_2022_interface::extension::StateWithExtensions;
use spl_token_2022_interface::state::{Account, Mint};

use crate::Verdict;

/// Token accounts and mints: wherever the token program itself reads an account, with or without
/// extensions, the few bytes that AMP reads of it say the same.
pub fn token_accounts(data: &[u8]) -> Verdict {
    let (holding, decimals) = (TokenHolding::parse(data), mint_decimals(data));
    let account = StateWithExtensions::<Account>::unpack(data);
    if let Ok(account) = &account {
        let holding = holding.expect("a token account is one to AMP, too");
        assert_eq!(*holding.mint, account.base.mint.to_bytes());
        assert_eq!(*holding.owner, account.base.owner.to_bytes());
        assert_eq!(holding.amount.get(), account.base.amount);
    }
    let mint = StateWithExtensions::<Mint>::unpack(data);
    if let Ok(mint) = &mint {
        assert_eq!(decimals, Ok(mint.base.decimals));
    }
    if account.is_ok() || mint.is_ok() { Verdict::Accepted } else { Verdict::Refused }
}
