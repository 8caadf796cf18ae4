//! The ed25519 instruction just before `settle`, to the byte: every way to show the program a signature that
//! is not over what it reads.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::arithmetic_side_effects)]

use amp_program_tests::{TERMS, World, assert_foreign, assert_refused, foreign, settleable, signed};
use amp_protocol::rejection::Rejection;
use solana_signer::Signer;

#[test]
fn a_settlement_without_a_precompile_instruction_before_it_is_refused() {
    let world = World::default();
    let channel = settleable(&world);
    assert_refused(channel.settle_after(&[], 1_000), Rejection::PrecompileMissing);
}

#[test]
fn a_precompile_instruction_that_is_not_just_before_is_refused() {
    let world = World::default();
    let channel = settleable(&world);
    let lamport = solana_system_interface::instruction::transfer(
        &world.recipient.pubkey(),
        &world.recipient.pubkey(),
        1,
    );
    let outcome = channel.settle_after(&[channel.proof(10), lamport], 1_000);
    assert_refused(outcome, Rejection::PrecompileOtherProgram);
}

#[test]
fn two_signatures_in_one_precompile_instruction_are_refused() {
    let world = World::default();
    let channel = settleable(&world);
    let mut two = channel.proof(10);
    // a second descriptor that repeats the first, and everything moved by its 14 bytes
    let mut data = vec![2, 0];
    for _ in 0..2 {
        for (offset, index) in [(62_u16, u16::MAX), (30, u16::MAX)] {
            data.extend(offset.to_le_bytes());
            data.extend(index.to_le_bytes());
        }
        data.extend(126_u16.to_le_bytes());
        data.extend(52_u16.to_le_bytes());
        data.extend(u16::MAX.to_le_bytes());
    }
    data.extend(&two.data[16..]);
    two.data = data;
    assert_refused(channel.settle_after(&[two], 1_000), Rejection::PrecompileSignatureCount);
}

/// The precompile has nothing to verify in it, and so nothing to refuse.
#[test]
fn a_precompile_instruction_without_a_signature_is_refused() {
    let world = World::default();
    let channel = settleable(&world);
    let mut none = channel.proof(10);
    none.data = vec![0, 0];
    assert_refused(channel.settle_after(&[none], 1_000), Rejection::PrecompileLength);
}

#[test]
fn a_padding_byte_that_is_not_zero_is_refused() {
    let world = World::default();
    let channel = settleable(&world);
    let mut padded = channel.proof(10);
    padded.data[1] = 1;
    assert_refused(channel.settle_after(&[padded], 1_000), Rejection::PrecompileSignatureCount);
}

#[test]
fn a_message_that_is_not_ours_is_refused() {
    let world = World::default();
    let channel = settleable(&world);
    for at in 0..4 {
        let mut message = channel.credential(10).to_bytes();
        message[at] ^= 1;
        let proof = signed(&world.signer, &message);
        assert_refused(channel.settle_after(&[proof], 1_000), Rejection::MessageKind);
    }
}

#[test]
fn trailing_bytes_in_the_precompile_instruction_are_refused() {
    let world = World::default();
    let channel = settleable(&world);
    let mut long = channel.proof(10);
    long.data.push(0);
    assert_refused(channel.settle_after(&[long], 1_000), Rejection::PrecompileLength);
}

/// The attack the canonical offsets are there for: the precompile verifies a message of the
/// attacker's own in another instruction, while this one shows a credential nobody signed.
#[test]
fn offsets_that_point_into_another_instruction_are_refused() {
    let world = World::default();
    let channel = settleable(&world);
    let genuine = channel.proof(1);
    let mut shown = channel.proof(1);
    shown.data[112..].copy_from_slice(&channel.credential(9_999).to_bytes());
    for index_at in [4, 8, 14] {
        // verify signature, key and message of instruction 0
        shown.data[index_at..index_at + 2].copy_from_slice(&0_u16.to_le_bytes());
    }
    let outcome = channel.settle_after(&[genuine, shown], TERMS.rate_limit);
    assert_refused(outcome, Rejection::PrecompileInstructionIndex);
}

#[test]
fn offsets_that_point_elsewhere_in_the_same_instruction_are_refused() {
    let world = World::default();
    let channel = settleable(&world);
    // the genuine message moved behind a forged one, the offset following it
    let mut shown = channel.proof(1);
    let genuine = shown.data[112..].to_vec();
    shown.data[112..].copy_from_slice(&channel.credential(9_999).to_bytes());
    shown.data.extend(genuine);
    shown.data[10..12].copy_from_slice(&164_u16.to_le_bytes());
    assert_refused(channel.settle_after(&[shown], TERMS.rate_limit), Rejection::PrecompileOffset);
}

#[test]
fn a_message_of_another_length_is_refused() {
    let world = World::default();
    let channel = settleable(&world);
    let message = channel.credential(10).to_bytes();
    let short: [u8; 51] = message[..51].try_into().unwrap();
    let signature = world.signer.sign_message(&short);
    let data: [u8; 163] = amp_protocol::ed25519_instruction::build(
        &world.signer.pubkey().to_bytes(),
        signature.as_array(),
        &short,
    );
    let mut instruction = channel.proof(10);
    instruction.data = data.to_vec();
    assert_refused(channel.settle_after(&[instruction], 1_000), Rejection::MessageLength);
}

#[test]
fn a_false_instructions_sysvar_is_refused() {
    let world = World::default();
    let channel = settleable(&world);
    let mut settle = channel.settle_instruction(1_000);
    settle.accounts[6].pubkey = world.stranger.pubkey();
    assert_foreign(
        world.chain.execute(&[channel.proof(10), settle], &[&world.recipient]),
        foreign::CONSTRAINT_ADDRESS,
    );
}
