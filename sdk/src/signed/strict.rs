//! The strict rule for signatures, on a key that is unpacked once.

use amp_protocol::json::CredentialBody;
use amp_protocol::message::Credential;
use ed25519_dalek::{Signature, Verifier as _, VerifyingKey};

/// The points of small order, as they are encoded: there are eight, and each has one canonical encoding.
const SMALL_ORDER: [[u8; 32]; 8] = [
    with_ends(0x01, [0x00; 32], 0x00),
    with_ends(0xec, [0xff; 32], 0x7f),
    [0x00; 32],
    negative([0x00; 32]),
    ORDER_8[0],
    negative(ORDER_8[0]),
    ORDER_8[1],
    negative(ORDER_8[1]),
];

const ORDER_8: [[u8; 32]; 2] = [
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5,
        0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a,
        0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
];

const fn with_ends(first: u8, mut bytes: [u8; 32], last: u8) -> [u8; 32] {
    (bytes[0], bytes[31]) = (first, last);
    bytes
}

/// With the other sign of x.
const fn negative(mut bytes: [u8; 32]) -> [u8; 32] {
    bytes[31] |= 0x80;
    bytes
}

/// Whether `signature` is `key`'s over `message`, by the strict rule of the precompile: canonical
/// encodings, no small-order points.
pub fn verify_strict(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    UnpackedKey::new(key).verify_strict(message, signature)
}

/// A public key to check many signatures with: one that is on the curve and not of small order, unpacked once.
#[derive(Clone, Debug)]
pub struct UnpackedKey(Option<VerifyingKey>);

impl UnpackedKey {
    /// A key of bytes that are none verifies nothing.
    pub fn new(key: &[u8; 32]) -> Self {
        Self(VerifyingKey::from_bytes(key).ok().filter(|key| !key.is_weak()))
    }

    /// Like [`verify_strict`].
    ///
    /// What the strict rule asks beyond the lax one is that neither the key nor the signature's point R be of
    /// small order. The lax check holds R's bytes against the canonical ones of the point that it computes: so
    /// an R that passes is of small order only if its bytes are among eight, and need not be unpacked to see it.
    pub fn verify_strict(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        let signature = Signature::from_bytes(signature);
        let Some(key) = &self.0 else { return false };
        !SMALL_ORDER.contains(signature.r_bytes()) && key.verify(message, &signature).is_ok()
    }

    /// Like [`verify_credential`](super::verify_credential).
    pub fn verify_credential(&self, credential: &CredentialBody, epoch: u64) -> bool {
        let message = Credential { channel: credential.channel.0, epoch, seq: credential.seq };
        self.verify_strict(&message.to_bytes(), &credential.sig.0)
    }
}

#[cfg(test)]
#[path = "strict_tests.rs"]
mod tests;
