//! The golden vectors in `vectors/messages.json`, which another implementation made: exact bytes,
//! strict signatures, the precompile instruction.
#![cfg(feature = "serde")]
#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects)]

use amp_protocol::ed25519_instruction::{build, parse};
use amp_protocol::message::{CloseStatement, Credential, Key, MessageError, MeteringProof};
use amp_protocol::money::{Amount, Seq};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde_json::Value;

struct Vector(Value);

impl Vector {
    fn all() -> Vec<Self> {
        let text = include_str!("../vectors/messages.json");
        let file: Value = serde_json::from_str(text).unwrap();
        file["messages"].as_array().unwrap().iter().cloned().map(Self).collect()
    }

    fn kind(&self) -> &str {
        self.0["kind"].as_str().unwrap()
    }

    fn bytes(value: &Value) -> Vec<u8> {
        let text = value.as_str().unwrap();
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    fn hex(&self, name: &str) -> Vec<u8> {
        Self::bytes(&self.0[name])
    }

    fn key(&self, field: &str) -> Key {
        Self::bytes(&self.0["fields"][field]).try_into().unwrap()
    }

    fn number<T: std::str::FromStr<Err: std::fmt::Debug>>(&self, field: &str) -> T {
        self.0["fields"][field].as_str().unwrap().parse().unwrap()
    }

    /// The message, built from the fields by this crate.
    fn built(&self) -> Vec<u8> {
        let channel = self.key("channel");
        match self.kind() {
            "credential" => {
                Credential { channel, epoch: self.number("epoch"), seq: Seq::new(self.number("seq")) }
                    .to_bytes()
                    .to_vec()
            }
            "close_statement" => CloseStatement {
                channel,
                opened_slot: self.number("opened_slot"),
                owed_total: Amount::new(self.number("owed_total")),
            }
            .to_bytes()
            .to_vec(),
            "metering_proof" => MeteringProof {
                channel,
                epoch: self.number("epoch"),
                signer: self.key("signer"),
                owed: Amount::new(self.number("owed")),
                calls: self.number("calls"),
                period_start: self.number("period_start"),
                period_end: self.number("period_end"),
                seq_start: Seq::new(self.number("seq_start")),
                seq_end: Seq::new(self.number("seq_end")),
            }
            .to_bytes()
            .to_vec(),
            other => panic!("unknown kind {other}"),
        }
    }

    /// What this crate reads from the bytes, written again.
    fn read_back(&self, message: &[u8]) -> Result<Vec<u8>, MessageError> {
        match self.kind() {
            "credential" => Credential::parse(message).map(|read| read.to_bytes().to_vec()),
            "close_statement" => CloseStatement::parse(message).map(|read| read.to_bytes().to_vec()),
            _ => MeteringProof::parse(message).map(|read| read.to_bytes().to_vec()),
        }
    }
}

#[test]
fn messages_are_the_vectors_bytes_both_ways() {
    let vectors = Vector::all();
    assert_eq!(vectors.len(), 7);
    for vector in vectors {
        let expected = vector.hex("message");
        assert_eq!(vector.built(), expected);
        assert_eq!(vector.read_back(&expected), Ok(expected));
    }
}

#[test]
fn signatures_are_the_vectors_and_verify_strictly() {
    for vector in Vector::all() {
        let message = vector.hex("message");
        let key = SigningKey::from_bytes(&vector.hex("signer_seed").try_into().unwrap());
        assert_eq!(key.sign(&message).to_bytes().to_vec(), vector.hex("signature"));
        let public = VerifyingKey::from_bytes(&vector.hex("signer").try_into().unwrap()).unwrap();
        let signature = Signature::from_slice(&vector.hex("signature")).unwrap();
        public.verify_strict(&message, &signature).unwrap();
    }
}

#[test]
fn the_precompile_instruction_is_the_vectors_and_reads_back() {
    for vector in Vector::all() {
        let expected = vector.hex("ed25519_instruction");
        let (signer, signature): (Key, [u8; 64]) =
            (vector.hex("signer").try_into().unwrap(), vector.hex("signature").try_into().unwrap());
        match <[u8; 52]>::try_from(vector.hex("message")) {
            Ok(message) => {
                assert_eq!(build::<52, 164>(&signer, &signature, &message).to_vec(), expected);
                let read = parse::<52>(&expected).unwrap();
                assert_eq!((*read.signer, *read.message), (signer, message));
            }
            Err(message) => {
                let message: [u8; 124] = message.try_into().unwrap();
                assert_eq!(build::<124, 236>(&signer, &signature, &message).to_vec(), expected);
            }
        }
    }
}

#[test]
fn no_message_is_another() {
    for vector in Vector::all() {
        let message = vector.hex("message");
        for other in Vector::all().iter().filter(|other| other.kind() != vector.kind()) {
            assert!(other.read_back(&message).is_err(), "a {} passed as a {}", vector.kind(), other.kind());
        }
        for at in 0..4 {
            let mut changed = message.clone();
            changed[at] ^= 1;
            assert_eq!(vector.read_back(&changed), Err(MessageError::Kind));
        }
        assert_eq!(vector.read_back(&message[1..]), Err(MessageError::Length));
    }
}
