use amp_protocol::ed25519_instruction::{PROGRAM_ID, build};
use amp_protocol::message::{CloseStatement, Credential, MeteringProof};
use amp_protocol::money::{Amount, Seq};
use solana_address::Address;
use solana_instruction::Instruction;
use solana_signer::Signer;

use super::{AddressBook, Message, Piece, Proof, Shape};

const SIGNATURE_OFFSET: usize = 2;
const KEY_OFFSET: usize = 6;
const MESSAGE_OFFSET: usize = 10;
const HEADER: usize = 16;
const KEY: usize = 16;
const SIGNATURE: usize = 48;
const MESSAGE: usize = 112;

/// The bytes of a message.
fn bytes(book: &AddressBook, message: Message) -> Vec<u8> {
    match message {
        Message::Credential { channel, epoch, seq } => {
            let channel = book.channel(channel).channel.to_bytes();
            Credential { channel, epoch, seq: Seq::new(seq) }.to_bytes().to_vec()
        }
        Message::CloseStatement { channel, opened_slot, owed_total } => {
            let channel = book.channel(channel).channel.to_bytes();
            CloseStatement { channel, opened_slot, owed_total: Amount::new(owed_total) }.to_bytes().to_vec()
        }
        Message::MeteringProof { channel, epoch } => MeteringProof {
            channel: book.channel(channel).channel.to_bytes(),
            epoch,
            signer: [0; 32],
            owed: Amount::MAX,
            calls: u64::MAX,
            period_start: 0,
            period_end: 0,
            seq_start: Seq::ZERO,
            seq_end: Seq::MAX,
        }
        .to_bytes()
        .to_vec(),
        Message::Short { channel, epoch } => {
            let mut bytes = bytes(book, Message::Credential { channel, epoch, seq: u64::MAX });
            bytes.pop();
            bytes
        }
    }
}

/// The precompile's instruction. `at` is its place in the transaction.
pub(super) fn instruction(book: &AddressBook, proof: &Proof, at: usize) -> Instruction {
    let message = bytes(book, proof.signed);
    let key = book.key(proof.signer);
    let signature = key.sign_message(&message);
    let data = lay_out(proof.shape, &key.pubkey().to_bytes(), signature.as_array(), &message, at);
    Instruction { program_id: Address::new_from_array(PROGRAM_ID), accounts: Vec::new(), data }
}

fn lay_out(shape: Shape, key: &[u8; 32], signature: &[u8; 64], message: &[u8], at: usize) -> Vec<u8> {
    let mut data = canonical(key, signature, message);
    match shape {
        Shape::Canonical => {}
        Shape::Forged => data[SIGNATURE] ^= 1,
        Shape::NoSignature => data = vec![0, 0],
        Shape::Trailing => data.push(0),
        Shape::OwnIndex => {
            for offset in [SIGNATURE_OFFSET, KEY_OFFSET, MESSAGE_OFFSET] {
                set_index(&mut data, offset, at as u16);
            }
        }
        Shape::TwoSignatures => data = twice(&data),
        Shape::Behind(piece) => {
            let (offset, place, length) = whereabouts(piece, message.len());
            let genuine = data[place..place + length].to_vec();
            let behind = data.len() as u16;
            set(&mut data, offset, behind);
            lie(&mut data[place..place + length]);
            data.extend(genuine);
        }
        Shape::InFirst(piece) => {
            let (offset, place, length) = whereabouts(piece, message.len());
            set_index(&mut data, offset, 0);
            lie(&mut data[place..place + length]);
        }
    }
    data
}

fn canonical(key: &[u8; 32], signature: &[u8; 64], message: &[u8]) -> Vec<u8> {
    match message.len() {
        51 => build::<51, 163>(key, signature, message.try_into().expect("51 bytes")).to_vec(),
        52 => build::<52, 164>(key, signature, message.try_into().expect("52 bytes")).to_vec(),
        124 => build::<124, 236>(key, signature, message.try_into().expect("124 bytes")).to_vec(),
        other => unreachable!("no message has {other} bytes"),
    }
}

/// Offset of the offset, canonical place and length of a part.
fn whereabouts(piece: Piece, message: usize) -> (usize, usize, usize) {
    match piece {
        Piece::Signature => (SIGNATURE_OFFSET, SIGNATURE, 64),
        Piece::Key => (KEY_OFFSET, KEY, 32),
        Piece::Message => (MESSAGE_OFFSET, MESSAGE, message),
    }
}

fn set(data: &mut [u8], at: usize, value: u16) {
    data[at..at + 2].copy_from_slice(&value.to_le_bytes());
}

/// Sets the instruction index that goes with an offset: two bytes behind it, four for the message's.
fn set_index(data: &mut [u8], offset: usize, value: u16) {
    set(data, if offset == MESSAGE_OFFSET { offset + 4 } else { offset + 2 }, value);
}

/// What an attacker would have the program read: for a message, the highest seq there is.
fn lie(bytes: &mut [u8]) {
    let from = bytes.len() - 8;
    bytes[from..].fill(0xff);
}

/// A second descriptor that repeats the first; everything moves by its 14 bytes.
fn twice(data: &[u8]) -> Vec<u8> {
    let mut descriptor = data[2..HEADER].to_vec();
    for at in [SIGNATURE_OFFSET - 2, KEY_OFFSET - 2, MESSAGE_OFFSET - 2] {
        let moved = u16::from_le_bytes([descriptor[at], descriptor[at + 1]]) + 14;
        set(&mut descriptor, at, moved);
    }
    [vec![2, 0], descriptor.clone(), descriptor, data[HEADER..].to_vec()].concat()
}
