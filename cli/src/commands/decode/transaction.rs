//! Transactions: the program's instructions by name, with what was signed for them.

use amp_sdk::protocol::ed25519_instruction;
use amp_sdk::protocol::instruction::Parsed;
use serde_json::{Value, json};
use solana_address::Address;
use solana_message::compiled_instruction::CompiledInstruction;
use solana_signature::Signature;
use solana_transaction::versioned::VersionedTransaction;

use super::bytes::{arguments, precompile};
use crate::exit::{Exit, failure};
use crate::settings::Settings;

/// Programs that stand beside AMP's instructions.
const BESIDE: [(&str, &str); 5] = [
    ("ComputeBudget111111111111111111111111111111", "compute budget"),
    ("11111111111111111111111111111111", "system program"),
    ("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL", "associated token account"),
    ("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA", "token program"),
    ("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb", "Token-2022 program"),
];

pub(super) async fn of_signature(settings: &Settings, signature: &Signature) -> anyhow::Result<Value> {
    let found = settings.chain.transaction(signature).await?;
    let none = || {
        let text = format!(
            "the node knows no transaction {signature}: it was never confirmed, or is older than the node's history"
        );
        failure(Exit::NotFound, text)
    };
    let past = found.ok_or_else(none)?;
    let mut value = described(&settings.program_id().await?, &past.transaction);
    if let Some(fields) = value.as_object_mut() {
        fields.insert("slot".to_owned(), json!(past.slot));
        fields.insert("unix_timestamp".to_owned(), json!(past.unix_timestamp));
        let outcome = past.error.map_or_else(|| "succeeded".to_owned(), |error| format!("failed: {error}"));
        fields.insert("outcome".to_owned(), json!(outcome));
    }
    Ok(value)
}

pub(super) fn of_bytes(settings: &Settings, bytes: &[u8]) -> Option<Value> {
    let transaction: VersionedTransaction = wincode::deserialize(bytes).ok()?;
    // what deserializes by chance has no signer for its payer
    let has_payer =
        !transaction.message.static_account_keys().is_empty() && !transaction.signatures.is_empty();
    has_payer.then(|| described(&settings.program_at_hand(), &transaction))
}

fn described(program_id: &Address, transaction: &VersionedTransaction) -> Value {
    let message = &transaction.message;
    let keys = message.static_account_keys();
    let instructions = message.instructions().iter().map(|one| instruction(program_id, keys, one));
    let signers = keys.iter().take(message.header().num_required_signatures.into());
    json!({
        "kind": "transaction",
        "signature": transaction.signatures.first().map(Signature::to_string),
        "signers": signers.map(Address::to_string).collect::<Vec<_>>(),
        "instructions": instructions.collect::<Vec<_>>(),
    })
}

fn instruction(program_id: &Address, keys: &[Address], instruction: &CompiledInstruction) -> Value {
    let key = |index: u8| keys.get(usize::from(index)).copied();
    let Some(program) = key(instruction.program_id_index) else {
        return json!({"program": "in a lookup table"});
    };
    if program == Address::from(ed25519_instruction::PROGRAM_ID) {
        return json!({"program": "ed25519 signature check", "signed": precompile(&instruction.data)});
    }
    if program != *program_id {
        let name = BESIDE.iter().find(|(id, _)| *id == program.to_string()).map(|(_, name)| *name);
        return json!({"program": name.map_or_else(|| program.to_string(), str::to_owned)});
    }
    match Parsed::parse(&instruction.data) {
        Err(error) => json!({"program": "AMP", "unknown": error.to_string()}),
        Ok(parsed) => {
            let names = parsed.account_names().iter().zip(&instruction.accounts);
            let accounts = names.map(|(name, index)| {
                let address = match key(*index) {
                    // anchor's sign for an account that is not there
                    Some(address) if address == *program_id => Value::Null,
                    Some(address) => json!(address.to_string()),
                    None => json!("in a lookup table"),
                };
                ((*name).to_owned(), address)
            });
            json!({
                "program": "AMP", "name": parsed.name(), "arguments": arguments(&parsed),
                "accounts": accounts.collect::<serde_json::Map<_, _>>(),
            })
        }
    }
}
