mod account;
mod bytes;
mod json;
mod transaction;

use amp_sdk::protocol::text::header;
use clap::Args;
use serde_json::{Value, json};
use solana_address::Address;
use solana_signature::Signature;

use crate::credential::{self, given};
use crate::exit::{Exit, failure};
use crate::output;
use crate::settings::Settings;

/// Says what something is, and what it says. A transaction (its signature, or its bytes in base64 or base58), an
/// account (its address, or its data in base64), a signed message (its bytes in hex or base64), a credential (JSON or
/// headers), a receipt, a discovery document, an error body (JSON), a header (as "AMP-Pricing: ..."). Only addresses,
/// transaction signatures and credentials need a cluster. Amounts are in base units.
#[derive(Args)]
pub(crate) struct Decode {
    /// What to decode; @FILE, or - for standard input.
    what: String,
}

impl Decode {
    pub(crate) async fn run(&self, settings: &Settings) -> anyhow::Result<()> {
        let text = given(&self.what)?;
        let value = decode(settings, text.trim()).await?;
        output::print(settings.common.json, &value, &output::outline(&value));
        Ok(())
    }
}

async fn decode(settings: &Settings, text: &str) -> anyhow::Result<Value> {
    if let Ok(value) = serde_json::from_str::<Value>(text) {
        // a number is no JSON that anybody means
        if value.is_object() {
            return json::decode(settings, &value).await;
        }
    }
    if let Ok(address) = text.parse::<Address>() {
        return account::at(settings, &address).await;
    }
    if let Ok(signature) = text.parse::<Signature>() {
        return transaction::of_signature(settings, &signature).await;
    }
    if let Some(headers) = credential::headers(text).filter(|headers| !headers.is_empty()) {
        return of_headers(settings, &headers).await;
    }
    let found = bytes::of_text(text).into_iter().find_map(|bytes| of_bytes(settings, &bytes));
    found.ok_or_else(|| {
        failure(
            Exit::Usage,
            "this is nothing that amp knows: give a transaction's signature or bytes, an address, account data, a \
             signed message, a header with its name, or JSON of a credential, a receipt, a discovery document or an error",
        )
    })
}

fn of_bytes(settings: &Settings, bytes: &[u8]) -> Option<Value> {
    bytes::signed_message(bytes)
        .or_else(|| account::of_data(bytes))
        .or_else(|| bytes::instruction(bytes))
        .or_else(|| transaction::of_bytes(settings, bytes))
}

async fn of_headers(settings: &Settings, headers: &[(String, String)]) -> anyhow::Result<Value> {
    if let Some(credential) = credential::in_headers(headers) {
        return json::credential(settings, &credential).await;
    }
    let mut all = serde_json::Map::new();
    for (name, value) in headers {
        all.insert(name.clone(), of_header(name, value)?);
    }
    Ok(json!({"kind": "headers", "headers": all}))
}

/// What a header means, and its value where it is JSON.
fn of_header(name: &str, value: &str) -> anyhow::Result<Value> {
    let (means, form) = match name {
        header::CHANNEL => ("request: the channel's address", Form::Key),
        header::SEQ => ("request: the credential's seq", Form::Number),
        header::SIG => ("request: the credential's signature", Form::Signature),
        header::BALANCE => ("answer: base units left of the deposit", Form::Number),
        header::SPENT => ("answer: base units charged to this signer so far", Form::Number),
        header::COST => ("answer: base units charged for this request", Form::Number),
        header::VERSION => ("402: the protocol version", Form::Text),
        header::PRICING => ("402: the price of this route", Form::Json),
        header::RECIPIENT => ("402: who is paid", Form::Key),
        header::PROGRAM => ("402: the program that the service settles with", Form::Key),
        header::NETWORK => ("402: the cluster that it settles on", Form::Text),
        other => return Err(failure(Exit::Usage, format!("{other} is no header of AMP"))),
    };
    let bad = |what: &str| failure(Exit::Invalid, format!("{name}: {value:?} is not {what}"));
    let read = match form {
        Form::Text => json!(value),
        Form::Number => value.parse::<u64>().map(|_| json!(value)).map_err(|_| bad("a number"))?,
        Form::Key => value.parse::<Address>().map(|_| json!(value)).map_err(|_| bad("32 bytes in base58"))?,
        Form::Signature => {
            value.parse::<Signature>().map(|_| json!(value)).map_err(|_| bad("64 bytes in base58"))?
        }
        Form::Json => {
            let pricing = serde_json::from_str::<amp_sdk::protocol::json::Pricing>(value);
            json!(pricing.map_err(|error| bad(&format!("a price: {error}")))?)
        }
    };
    Ok(json!({"means": means, "value": read}))
}

enum Form {
    Text,
    Number,
    Key,
    Signature,
    Json,
}
