//! JSON that travels between agents and services.

use amp_sdk::chain;
use amp_sdk::protocol::json::{CredentialBody, DiscoveryDocument, ErrorBody, Pricing};
use serde_json::{Value, json};
use solana_address::Address;

use super::super::receipt::Signed;
use crate::credential::in_json;
use crate::exit::{Exit, failure};
use crate::settings::Settings;

pub(super) async fn decode(settings: &Settings, value: &Value) -> anyhow::Result<Value> {
    if let Some(credential) = in_json(value) {
        return self::credential(settings, &credential).await;
    }
    if let Some(signed) = Signed::find(value) {
        let next = "`amp receipt verify` says whether it is genuine";
        let channel = signed.channel().to_string();
        return Ok(json!({"kind": signed.kind(), "channel": channel, "receipt": value, "next": next}));
    }
    if let Ok(document) = serde_json::from_value::<DiscoveryDocument>(value.clone()) {
        return Ok(json!({"kind": "discovery document", "document": document}));
    }
    if let Ok(error) = serde_json::from_value::<ErrorBody>(value.clone()) {
        let status = error.error.http_status();
        return Ok(json!({"kind": "error", "http_status": status, "error": error}));
    }
    if let Ok(pricing) = serde_json::from_value::<Pricing>(value.clone()) {
        return Ok(json!({"kind": "price", "price": pricing}));
    }
    Err(failure(
        Exit::Usage,
        "this JSON is no credential, receipt, discovery document, error body or price of AMP",
    ))
}

/// A credential, with what the chain says of it: whose it is, and what it is worth.
pub(super) async fn credential(settings: &Settings, credential: &CredentialBody) -> anyhow::Result<Value> {
    let channel = Address::from(credential.channel.0);
    let known = match on_chain(settings, &channel, credential).await {
        Ok(known) => known,
        Err(error) => json!({"unknown": error.to_string()}),
    };
    Ok(json!({"kind": "credential", "credential": credential, "chain": known}))
}

async fn on_chain(
    settings: &Settings,
    channel: &Address,
    credential: &CredentialBody,
) -> anyhow::Result<Value> {
    let (chain, program_id) = (&*settings.chain, &settings.program_id().await?);
    let Some(account) = chain::channel(chain, program_id, channel).await? else {
        return Ok(json!({"channel": "there is none at this address (any more): it is worth nothing"}));
    };
    let Some(by) = chain::signer_of(chain, program_id, channel, &account, credential).await? else {
        return Ok(json!({"signed_by": "none of the keys that this channel honours: it is worth nothing"}));
    };
    let (role, claimed) = match by.delegation {
        None => ("authorized signer", account.signer.claimed),
        Some(delegation) => ("delegate", delegation.signer.claimed),
    };
    let ceiling = account.terms.unit_price().ok().and_then(|price| price.ceiling(credential.seq).amount());
    Ok(json!({
        "signed_by": by.key.to_string(), "role": role, "worth": ceiling, "claimed_so_far": claimed,
        "recipient": Address::from(account.recipient).to_string(), "mint": Address::from(account.mint).to_string(),
    }))
}
