//! Bytes without a name: the protocol's own begin with a kind.

use amp_sdk::protocol::ed25519_instruction;
use amp_sdk::protocol::instruction::Parsed;
use amp_sdk::protocol::json::Base58;
use amp_sdk::protocol::message::{CloseStatement, Credential, MeteringProof};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

/// The bytes that a text can stand for: hex, base64, base58.
pub(super) fn of_text(text: &str) -> Vec<Vec<u8>> {
    // decoding base58 is quadratic, and no transaction is longer
    const LONGEST_BASE58: usize = 2_000;
    let base58 = || (text.len() <= LONGEST_BASE58).then(|| bs58::decode(text).into_vec().ok()).flatten();
    [hex(text), BASE64_STANDARD.decode(text).ok(), base58()].into_iter().flatten().collect()
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let text = text.strip_prefix("0x").unwrap_or(text);
    let digits: Option<Vec<u8>> =
        text.chars().map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let digits = digits.filter(|digits| digits.len().is_multiple_of(2))?;
    let byte = |pair: &[u8]| match pair {
        [high, low] => Some((high << 4) | low),
        _ => None,
    };
    digits.chunks(2).map(byte).collect()
}

/// One of the three signed messages.
pub(super) fn signed_message(bytes: &[u8]) -> Option<Value> {
    if let Ok(credential) = Credential::parse(bytes) {
        return Some(json!({
            "kind": "credential message", "channel": Base58(credential.channel),
            "epoch": credential.epoch.to_string(), "seq": credential.seq,
        }));
    }
    if let Ok(statement) = CloseStatement::parse(bytes) {
        return Some(json!({
            "kind": "close statement message", "channel": Base58(statement.channel),
            "opened_slot": statement.opened_slot.to_string(), "owed_total": statement.owed_total,
        }));
    }
    let proof = MeteringProof::parse(bytes).ok()?;
    Some(json!({
        "kind": "metering proof message", "channel": Base58(proof.channel), "epoch": proof.epoch.to_string(),
        "signer": Base58(proof.signer), "owed": proof.owed, "calls": proof.calls.to_string(),
        "period_start": proof.period_start, "period_end": proof.period_end, "seq_start": proof.seq_start,
        "seq_end": proof.seq_end,
    }))
}

/// An instruction's data.
pub(super) fn instruction(bytes: &[u8]) -> Option<Value> {
    let parsed = Parsed::parse(bytes).ok()?;
    Some(json!({"kind": "instruction", "name": parsed.name(), "arguments": arguments(&parsed)}))
}

/// The arguments of an instruction.
pub(super) fn arguments(parsed: &Parsed) -> Value {
    let terms = |terms: &amp_sdk::protocol::rules::Terms| {
        json!({
            "unit_price": terms.unit_price.to_string(), "rate_limit": terms.rate_limit.to_string(),
            "settle_interval": terms.settle_interval, "close_grace": terms.close_grace,
            "max_chain_depth": terms.max_chain_depth,
        })
    };
    match parsed {
        Parsed::OpenChannel(open) => {
            json!({"nonce": open.nonce.to_string(), "deposit": open.deposit, "terms": terms(&open.terms)})
        }
        Parsed::TopUp { amount } => json!({"amount": amount}),
        Parsed::Settle { owed } => json!({"owed": owed}),
        Parsed::SetDelegate { limit, expires_at } => {
            json!({"limit": limit, "expires_at": (*expires_at != 0).then_some(expires_at)})
        }
        Parsed::ChainChannel(chain) => {
            json!({"owed": chain.owed, "nonce": chain.nonce.to_string(), "terms": terms(&chain.terms)})
        }
        Parsed::RequestClose | Parsed::CloseChannel | Parsed::RevokeDelegate | Parsed::CloseDelegation => {
            json!({})
        }
    }
}

/// What an ed25519 instruction says, if it is as the program wants it.
pub(super) fn precompile(data: &[u8]) -> Value {
    let short = ed25519_instruction::parse::<{ Credential::LEN }>(data);
    let long = ed25519_instruction::parse::<{ MeteringProof::LEN }>(data);
    let (signer, message) = match (&short, &long) {
        (Ok(signed), _) => (signed.signer, signed.message.as_slice()),
        (_, Ok(signed)) => (signed.signer, signed.message.as_slice()),
        (Err(rejection), _) => return json!({"not_canonical": rejection.to_string()}),
    };
    json!({"signer": Base58(*signer), "message": signed_message(message)})
}

#[cfg(test)]
mod tests {
    use super::*;
    use amp_sdk::protocol::money::Seq;

    #[test]
    fn a_message_is_read_from_each_of_the_ways_to_write_bytes() {
        let message = Credential { channel: [1; 32], epoch: 7, seq: Seq::new(9) }.to_bytes();
        let hex: String = message.iter().map(|byte| format!("{byte:02x}")).collect();
        for text in [
            hex.clone(),
            format!("0x{hex}"),
            BASE64_STANDARD.encode(message),
            bs58::encode(message).into_string(),
        ] {
            let read = of_text(&text).iter().find_map(|bytes| signed_message(bytes)).unwrap();
            assert_eq!(
                (&read["kind"], &read["seq"], &read["epoch"]),
                (&json!("credential message"), &json!("9"), &json!("7"))
            );
        }
        assert!(of_text("\u{fc}").is_empty() && signed_message(&message[1..]).is_none());
    }
}
