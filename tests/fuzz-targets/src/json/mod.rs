//! The JSON shapes. Of each: what parses is written, and read again as the same; every number of the
//! input stands in the output digit for digit; camelCase names are read as well; the output is bounded by
//! the input.

mod discovery;
mod exact;

use core::fmt::Debug;

use amp_protocol::json::{
    ChannelStatus, CloseResponse, CredentialBody, ErrorBody, Pricing, SignedCloseStatement,
    SignedMeteringProof,
};
use amp_protocol::message::{CloseStatement, MeteringProof};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::Verdict;
use exact::{camel_case, says_what};

pub use discovery::discovery;

/// `_amp`, and the body form of the three headers.
pub fn credential_body(text: &[u8]) -> Verdict {
    let read = serde_json::from_slice::<CredentialBody>(text);
    read.iter().for_each(|value| stable(text, value));
    Verdict::of(&read)
}

/// The value of `AMP-Pricing`.
pub fn pricing(text: &[u8]) -> Verdict {
    let read = serde_json::from_slice::<Pricing>(text);
    read.iter().for_each(|value| stable(text, value));
    Verdict::of(&read)
}

/// The body of every refusal.
pub fn error_body(text: &[u8]) -> Verdict {
    let read = serde_json::from_slice::<ErrorBody>(text);
    if let Ok(body) = &read {
        stable(text, body);
        assert!((400..500).contains(&body.error.http_status()));
    }
    Verdict::of(&read)
}

/// The answer of `GET /.well-known/amp/channel`.
pub fn channel_status(text: &[u8]) -> Verdict {
    let read = serde_json::from_slice::<ChannelStatus>(text);
    if let Ok(status) = &read {
        stable(text, status);
        status.metering_proof.iter().for_each(proof_is_what_is_signed);
    }
    Verdict::of(&read)
}

/// The answer of `POST /.well-known/amp/close`.
pub fn close_response(text: &[u8]) -> Verdict {
    let read = serde_json::from_slice::<CloseResponse>(text);
    if let Ok(response) = &read {
        stable(text, response);
        let signed = response.close_statement;
        let message = signed.statement().to_bytes();
        let again = SignedCloseStatement::new(&CloseStatement::parse(&message).unwrap(), signed.sig.0);
        assert_eq!(again, signed, "what is shown is what is signed");
        assert_eq!(signed.check(&signed.channel.0, signed.opened_slot), Ok(()));
    }
    Verdict::of(&read)
}

/// A service's signed receipt.
pub fn metering_proof(text: &[u8]) -> Verdict {
    let read = serde_json::from_slice::<SignedMeteringProof>(text);
    if let Ok(proof) = &read {
        stable(text, proof);
        proof_is_what_is_signed(proof);
    }
    Verdict::of(&read)
}

fn proof_is_what_is_signed(signed: &SignedMeteringProof) {
    let message = signed.proof().to_bytes();
    let again = SignedMeteringProof::new(&MeteringProof::parse(&message).unwrap(), signed.sig.0);
    assert_eq!(again, *signed, "what is shown is what is signed");
    assert_eq!(signed.check(&signed.channel.0, signed.epoch, &signed.signer.0), Ok(()));
}

/// What must hold of every shape that was read from `text`.
fn stable<T: Serialize + DeserializeOwned + PartialEq + Debug>(text: &[u8], value: &T) {
    let written = serde_json::to_string(value).unwrap();
    assert!(written.len() <= 4 * text.len() + 1_024, "{} bytes of {}", written.len(), text.len());
    let again: T = serde_json::from_str(&written).expect("what is written is read");
    assert_eq!(again, *value);
    assert_eq!(serde_json::to_string(&again).unwrap(), written);

    let output: Value = serde_json::from_str(&written).unwrap();
    // the plain reader gives up on some numbers in members that are ignored
    if let Ok(input) = serde_json::from_slice::<Value>(text) {
        says_what(&input, &output);
    }
    let camel: T = serde_json::from_value(camel_case(&output)).expect("camelCase is read");
    assert_eq!(camel, *value);
}
