#![allow(clippy::arithmetic_side_effects, reason = "an overflow fails the test, as it should")]

use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;
use proptest::prelude::*;
use sha2::{Digest as _, Sha512};

use super::*;

/// The library's own strict check.
fn reference(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    let Ok(key) = VerifyingKey::from_bytes(key) else { return false };
    key.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
}

/// What a key's owner can sign who puts a point of small order into the key, into R, or both. `honest` is
/// whether the scalar is made as it should be.
fn signed_with_torsion(
    secret: Scalar,
    nonce: Scalar,
    torsion: (usize, usize),
    message: &[u8],
) -> ([u8; 32], [u8; 64]) {
    let key = (ED25519_BASEPOINT_POINT * secret + EIGHT_TORSION[torsion.0]).compress().to_bytes();
    let point = (ED25519_BASEPOINT_POINT * nonce + EIGHT_TORSION[torsion.1]).compress().to_bytes();
    let hash = Sha512::new().chain_update(point).chain_update(key).chain_update(message).finalize();
    let scalar = nonce + Scalar::from_bytes_mod_order_wide(&hash.into()) * secret;
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&point);
    signature[32..].copy_from_slice(scalar.as_bytes());
    (key, signature)
}

fn scalar() -> impl Strategy<Value = Scalar> {
    prop_oneof![
        1 => Just(Scalar::ZERO),
        1 => Just(Scalar::ONE),
        8 => any::<[u8; 32]>().prop_map(Scalar::from_bytes_mod_order),
    ]
}

#[test]
fn the_points_of_small_order_are_those_of_the_library() {
    let mut known = SMALL_ORDER;
    let mut theirs = EIGHT_TORSION.map(|point: EdwardsPoint| point.compress().to_bytes());
    known.sort_unstable();
    theirs.sort_unstable();
    assert_eq!(known, theirs);
}

#[test]
fn a_small_order_key_signs_nothing() {
    for key in SMALL_ORDER {
        // the identity point verifies any message under the lax rule with R = identity, s = 0
        let mut signature = [0; 64];
        signature[0] = 1;
        assert!(!verify_strict(&key, b"anything", &signature));
    }
}

#[test]
fn a_small_order_point_in_a_signature_is_refused_that_the_lax_rule_takes() {
    // nonce 0: R is of small order, and the key is sound
    let (key, signature) = signed_with_torsion(Scalar::from(7_u8), Scalar::ZERO, (0, 0), b"message");
    let lax = VerifyingKey::from_bytes(&key).unwrap();
    lax.verify(b"message", &Signature::from_bytes(&signature)).unwrap();
    assert!(!verify_strict(&key, b"message", &signature));
}

proptest! {
    #[test]
    fn a_verdict_is_the_librarys(
        secret in scalar(),
        nonce in scalar(),
        torsion in (0..8_usize, 0..8_usize),
        message in any::<[u8; 8]>(),
        flipped in prop_oneof![3 => Just(None), 1 => (0..96_usize * 8).prop_map(Some)],
        order_added in prop_oneof![7 => Just(false), 1 => Just(true)],
    ) {
        let (mut key, mut signature) = signed_with_torsion(secret, nonce, torsion, &message);
        if let Some(bit) = flipped {
            let byte = if bit < 256 { &mut key[bit / 8] } else { &mut signature[bit / 8 - 32] };
            *byte ^= 1 << (bit % 8);
        }
        if order_added {
            add_group_order(&mut signature);
        }
        prop_assert_eq!(verify_strict(&key, &message, &signature), reference(&key, &message, &signature));
    }

    #[test]
    fn encodings_that_are_not_canonical_have_the_librarys_verdict(
        low in 0..19_u8, sign in any::<bool>(), at_key in any::<bool>(), scalar in scalar(),
    ) {
        // p + low, for each coordinate that still fits into 255 bits
        let mut point = [0xff; 32];
        point[0] = 0xed + low;
        point[31] = if sign { 0xff } else { 0x7f };
        let (mut key, mut signature) = signed_with_torsion(Scalar::ONE, scalar, (0, 0), b"message");
        if at_key { key = point } else { signature[..32].copy_from_slice(&point) }
        prop_assert_eq!(verify_strict(&key, b"message", &signature), reference(&key, b"message", &signature));
    }
}

/// The same scalar under another encoding, if it still fits.
fn add_group_order(signature: &mut [u8; 64]) {
    let order = (-Scalar::ONE).to_bytes();
    let mut carry = 1_u16;
    for (byte, of_order) in signature[32..].iter_mut().zip(order) {
        carry += u16::from(*byte) + u16::from(of_order);
        *byte = carry.to_le_bytes()[0];
        carry >>= 8;
    }
}
