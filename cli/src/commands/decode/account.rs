//! Accounts: the program's own, token accounts and mints, and whose the others are.

use amp_sdk::chain::{Chain as _, TOKEN_2022_PROGRAM, TOKEN_PROGRAM};
use amp_sdk::protocol::account::{ChannelAccount, DelegationAccount, TokenHolding, mint_decimals};
use serde_json::{Value, json};
use solana_address::Address;

use super::super::list::{account_json, delegation_json};
use crate::exit::{Exit, failure};
use crate::settings::Settings;

pub(super) async fn at(settings: &Settings, address: &Address) -> anyhow::Result<Value> {
    let account = settings.chain.account(address).await?;
    let none =
        || failure(Exit::NotFound, format!("there is no account {address} on this cluster (any more)"));
    let account = account.ok_or_else(none)?;
    let (owner, lamports) = (account.owner.to_string(), account.lamports);
    let data = &account.data;
    let mut value = if account.owner == settings.program_id().await? {
        match named(address, data) {
            Some(value) => value,
            None => json!({"kind": "an account of the AMP program in no known version"}),
        }
    } else if [TOKEN_PROGRAM, TOKEN_2022_PROGRAM].contains(&account.owner) {
        token(data)
    } else {
        // bytes that look like a channel prove nothing where another program wrote them
        json!({"kind": "another program's account"})
    };
    if let Some(fields) = value.as_object_mut() {
        fields.insert("address".to_owned(), json!(address.to_string()));
        fields.insert("owner".to_owned(), json!(owner));
        fields.insert("lamports".to_owned(), json!(lamports));
        fields.insert("bytes".to_owned(), json!(data.len()));
    }
    Ok(value)
}

/// Account data without an address.
pub(super) fn of_data(data: &[u8]) -> Option<Value> {
    let nowhere = Address::default();
    let mut value = named(&nowhere, data)?;
    if let Some(fields) = value.as_object_mut() {
        fields.insert("note".to_owned(), json!("whose account it is, data alone does not prove"));
        for place in ["channel_account", "delegation_account"] {
            if let Some(account) = fields.get_mut(place).and_then(Value::as_object_mut) {
                account.retain(|_, value| *value != nowhere.to_string());
            }
        }
    }
    Some(value)
}

fn named(address: &Address, data: &[u8]) -> Option<Value> {
    if let Ok(channel) = ChannelAccount::decode(data) {
        return Some(json!({"kind": "channel", "channel_account": account_json(address, &channel)}));
    }
    let delegation = DelegationAccount::decode(data).ok()?;
    Some(json!({"kind": "delegation", "delegation_account": delegation_json(address, &delegation)}))
}

fn token(data: &[u8]) -> Value {
    if let Ok(holding) = TokenHolding::parse(data) {
        let key = |key: &[u8; 32]| Address::from(*key).to_string();
        return json!({"kind": "token account", "token_owner": key(holding.owner), "mint": key(holding.mint), "amount": holding.amount});
    }
    match mint_decimals(data) {
        Ok(decimals) => json!({"kind": "mint", "decimals": decimals}),
        Err(_) => json!({"kind": "an account of a token program"}),
    }
}
