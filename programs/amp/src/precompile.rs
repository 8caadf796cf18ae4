//! Reads the ed25519 instruction just before the running one, nothing else.
//!
//! The runtime verified that instruction's signature before this program ran; what is left to check
//! is that it says what we take it to say. The instructions sysvar is read in place: its layout is
//! `count u16, offset u16 per instruction`, then per instruction `accounts u16, 33 bytes each,
//! program id[32], data length u16, data`; its last two bytes are the running instruction's index.

use amp_protocol::ed25519_instruction::{self, PROGRAM_ID, SignedMessage};
use amp_protocol::message::{Key, MessageError};
use amp_protocol::rejection::Rejection;
use anchor_lang::prelude::Pubkey;

const ACCOUNT_META: usize = 33;

/// The signed message of the instruction just before the running one. `sysvar` is the data of the
/// instructions sysvar, whose address the caller has checked.
pub fn signed_message_just_before<const N: usize>(sysvar: &[u8]) -> Result<SignedMessage<'_, N>, Rejection> {
    let (rest, index) = sysvar.split_last_chunk::<2>().ok_or(Rejection::PrecompileMissing)?;
    let before = u16::from_le_bytes(*index).checked_sub(1).ok_or(Rejection::PrecompileMissing)?;
    let (program, data) = instruction_at(rest, before).ok_or(Rejection::PrecompileMissing)?;
    if *program != PROGRAM_ID {
        return Err(Rejection::PrecompileOtherProgram);
    }
    ed25519_instruction::parse(data)
}

/// Program id and data of the instruction with this index.
fn instruction_at(sysvar: &[u8], index: u16) -> Option<(&[u8; 32], &[u8])> {
    let entry = usize::from(index).checked_mul(2)?.checked_add(2)?;
    let offset = u16_at(sysvar.get(entry..)?)?;
    let (accounts, rest) = sysvar.get(usize::from(offset)..)?.split_first_chunk::<2>()?;
    let metas = usize::from(u16::from_le_bytes(*accounts)).checked_mul(ACCOUNT_META)?;
    let (program, rest) = rest.get(metas..)?.split_first_chunk::<32>()?;
    let (length, data) = rest.split_first_chunk::<2>()?;
    Some((program, data.get(..usize::from(u16::from_le_bytes(*length)))?))
}

fn u16_at(bytes: &[u8]) -> Option<u16> {
    bytes.first_chunk::<2>().map(|bytes| u16::from_le_bytes(*bytes))
}

/// What a signed message must be bound to: no signature counts for another channel, by another key, or
/// for an authority that was created in another slot.
pub struct Binding<'a> {
    pub channel: &'a Pubkey,
    pub signer: &'a Pubkey,
    pub epoch: u64,
}

impl Binding<'_> {
    /// Holds what a message says, and who signed it, against this.
    pub fn check(&self, channel: &Key, signer: &Key, epoch: u64) -> Result<(), Rejection> {
        if *channel != self.channel.to_bytes() {
            return Err(Rejection::MessageChannel);
        }
        if *signer != self.signer.to_bytes() {
            return Err(Rejection::MessageSigner);
        }
        if epoch != self.epoch { Err(Rejection::MessageEpoch) } else { Ok(()) }
    }
}

/// A message's own refusal, as the program's.
pub fn message_rejection(error: MessageError) -> Rejection {
    match error {
        MessageError::Length => Rejection::MessageLength,
        MessageError::Kind => Rejection::MessageKind,
    }
}
