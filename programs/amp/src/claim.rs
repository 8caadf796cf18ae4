//! What `settle` and `chain_channel` have in common: a claim on a channel, proven by the credential in
//! the ed25519 instruction just before, and booked. Moving the tokens is left to the caller.

use amp_protocol::message::Credential;
use amp_protocol::money::Amount;
use amp_protocol::rules::{self, Settlement, SignerBooks};
use anchor_lang::prelude::*;

use crate::error::OrRefuse;
use crate::precompile::{Binding, message_rejection, signed_message_just_before};
use crate::state::{Channel, Delegation};

/// A claim that was booked and must now be paid.
pub struct Claim {
    pub signer: Pubkey,
    pub seq: u64,
    pub settlement: Settlement,
}

/// The account of a delegate's delegation, or `None` where the authorized signer signed.
pub type DelegationLoader<'info> = Option<AccountLoader<'info, Delegation>>;

/// Books that `owed` in all is due from one signer: the delegate of the account that is given, else the
/// authorized signer. `sysvar` is the instructions sysvar, whose address the caller has checked.
pub fn book(
    address: &Pubkey,
    channel: &mut Channel,
    delegation: &DelegationLoader,
    sysvar: &AccountInfo,
    owed: u64,
    now: i64,
) -> Result<Claim> {
    let sysvar = sysvar.try_borrow_data()?;
    let owed = Amount::new(owed);
    let (terms, books) = (channel.terms(), channel.books());
    let Some(delegation) = delegation else {
        let signer = channel.authorized_signer;
        let binding = Binding { channel: address, signer: &signer, epoch: channel.opened_slot };
        let credential = credential_just_before(&sysvar, &binding)?;
        let settlement =
            rules::settle(&terms, &books, &channel.signer_books(), credential.seq, owed, now).or_refuse()?;
        channel.record(&settlement);
        channel.record_signer(&settlement, now);
        channel.invariant().or_refuse()?;
        return Ok(Claim { signer, seq: credential.seq.get(), settlement });
    };
    let mut delegation = delegation.load_mut()?;
    delegation.check_version().or_refuse()?;
    delegation.check_of(address, channel.opened_slot).or_refuse()?;
    let signer = delegation.delegate;
    let binding = Binding { channel: address, signer: &signer, epoch: delegation.created_slot };
    let credential = credential_just_before(&sysvar, &binding)?;
    let before = delegation.terms();
    let settlement = before.settle(&terms, &books, credential.seq, owed, now).or_refuse()?;
    let signer_books = SignerBooks { claimed: settlement.signer_claimed, last_settled_at: now };
    delegation.record(&rules::Delegation { signer: signer_books, ..before });
    delegation.invariant().or_refuse()?;
    channel.record(&settlement);
    channel.invariant().or_refuse()?;
    Ok(Claim { signer, seq: credential.seq.get(), settlement })
}

/// The credential in the ed25519 instruction just before, if it is bound as it must be.
fn credential_just_before(sysvar: &[u8], binding: &Binding) -> Result<Credential> {
    let signed = signed_message_just_before::<{ Credential::LEN }>(sysvar).or_refuse()?;
    let credential = Credential::parse(signed.message).map_err(message_rejection).or_refuse()?;
    binding.check(&credential.channel, signed.signer, credential.epoch).or_refuse()?;
    Ok(credential)
}
