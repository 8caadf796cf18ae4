//! What is done on chain.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use amp_embedded::Executed;
use amp_sdk::chain::MAX_TRANSACTION_BYTES;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use solana_rpc_client_api::response::UiTransactionError;
use solana_signature::Signature;
use solana_transaction::versioned::VersionedTransaction;

use crate::{Refusal, Shared};

/// What nodes answer where a transaction fails before it is broadcast.
const PREFLIGHT_FAILURE: i64 = -32002;

/// Slots for which a blockhash is good.
const BLOCKHASH_SLOTS: u64 = 150;

impl Shared {
    pub(crate) fn latest_blockhash(&self) -> Value {
        let hash = self.chain.next_blockhash().to_string();
        let height = self.chain.clock_now().slot.saturating_add(150);
        self.at_now(json!({"blockhash": hash, "lastValidBlockHeight": height}))
    }

    /// Executes at once: where it fails nothing has happened, so that is told as a preflight's failure.
    pub(crate) fn send_transaction(&self, params: &Value) -> Result<Value, Refusal> {
        let encoded = params[0].as_str().unwrap_or_default();
        let bytes = match params[1]["encoding"].as_str() {
            Some("base64") => BASE64_STANDARD.decode(encoded).ok(),
            _ => bs58::decode(encoded).into_vec().ok(),
        };
        if bytes.as_ref().is_some_and(|bytes| bytes.len() > MAX_TRANSACTION_BYTES) {
            return Err(Refusal::invalid("the transaction is larger than a packet"));
        }
        let transaction = bytes.and_then(|bytes| wincode::deserialize::<VersionedTransaction>(&bytes).ok());
        let transaction = transaction.ok_or_else(|| Refusal::invalid("no transaction"))?;
        let lost = self.losing.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if lost.is_ok() {
            let mut expired = self.expired.lock().unwrap_or_else(PoisonError::into_inner);
            expired.insert(transaction.message.recent_blockhash().to_string());
            return Ok(json!(transaction.signatures.first().map(Signature::to_string)));
        }
        match self.chain.submit(&transaction) {
            Ok(executed) => {
                self.remember(encoded, &executed);
                Ok(json!(executed.confirmation.signature.to_string()))
            }
            Err((error, logs)) => Err(Refusal {
                code: PREFLIGHT_FAILURE,
                message: format!("Transaction simulation failed: {error}"),
                data: Some(json!({"err": UiTransactionError::from(error), "logs": logs})),
            }),
        }
    }

    fn remember(&self, encoded: &str, executed: &Executed) {
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(history) = &mut *history else { return };
        let done = executed.confirmation;
        let meta = json!({
            "err": null, "status": {"Ok": null}, "fee": done.fee, "computeUnitsConsumed": done.compute_units,
            "preBalances": [], "postBalances": [], "logMessages": executed.logs,
        });
        let past = json!({
            "slot": done.slot, "blockTime": self.chain.clock_now().unix_timestamp, "version": 0,
            "transaction": [encoded, "base64"], "meta": meta,
        });
        history.insert(done.signature, past);
    }

    /// A transaction that was sent through this node, if it remembers.
    pub(crate) fn past_transaction(&self, params: &Value) -> Value {
        let history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        let signature = params[0].as_str().and_then(|text| text.parse::<Signature>().ok());
        let found = history.as_ref().zip(signature).and_then(|(history, asked)| history.get(&asked));
        found.cloned().unwrap_or(Value::Null)
    }

    pub(crate) fn is_blockhash_valid(&self, params: &Value) -> Value {
        let expired = self.expired.lock().unwrap_or_else(PoisonError::into_inner);
        let is_valid = params[0].as_str().is_some_and(|hash| !expired.contains(hash));
        if !is_valid {
            // it takes so many slots until a blockhash has expired
            self.chain.advance_slots(BLOCKHASH_SLOTS);
        }
        self.at_now(json!(is_valid))
    }

    pub(crate) fn recent_prioritization_fees(&self) -> Value {
        let slot = self.chain.clock_now().slot;
        json!([{"slot": slot, "prioritizationFee": 0}, {"slot": slot, "prioritizationFee": 70}])
    }

    pub(crate) fn signature_statuses(&self, params: &Value) -> Value {
        let none = Vec::new();
        let asked = params[0].as_array().unwrap_or(&none);
        let executed = self.chain.executed();
        let status = |signature: &Value| {
            let asked = signature.as_str().and_then(|text| text.parse::<Signature>().ok());
            let confirmations = executed.iter().map(|done| done.confirmation);
            let landed = confirmations.rev().find(|confirmation| Some(confirmation.signature) == asked);
            landed.map_or(Value::Null, |confirmation| {
                json!({"slot": confirmation.slot, "confirmations": null, "err": null, "status": {"Ok": null},
                    "confirmationStatus": "confirmed"})
            })
        };
        self.at_now(asked.iter().map(status).collect())
    }
}
