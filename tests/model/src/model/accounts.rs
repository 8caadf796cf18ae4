//! What stands at a place, as an instruction finds it.

use amp_protocol::rejection::Rejection;

use super::bank::token_account_bytes;
use super::refusal::{Faults, require};
use super::{Channel, Context, Delegation, Holder, Model, Refusal, Refused, foreign};
use crate::cast::{Mint, Person};
use crate::place::{ChannelId, Place};

/// Bytes of a channel.
pub(super) const CHANNEL: u64 = 408;
/// Bytes of a delegation.
pub(super) const DELEGATION: u64 = 208;

impl Context<'_> {
    /// Notes where somebody did not sign.
    pub(super) fn must_sign(&self, faults: &mut Faults, person: Person) {
        faults.unless(self.signers.contains(&person), foreign::NOT_SIGNED);
    }
}

/// Notes where the token program is none.
pub(super) fn must_be_token_program(faults: &mut Faults, place: Place) {
    faults.unless(matches!(place, Place::TokenProgram(_)), foreign::WRONG_PROGRAM);
}

/// Notes where the instructions sysvar is something else.
pub(super) fn must_be_instructions(faults: &mut Faults, place: Place) {
    faults.unless(place == Place::InstructionsSysvar, foreign::WRONG_ADDRESS);
}

impl Model {
    /// The live channel at a place.
    pub(super) fn channel_at(&self, place: Place) -> Result<&Channel, Refusal> {
        match place {
            Place::Channel(id) => self.channels.get(&id).ok_or(foreign::WRONG_OWNER),
            other => Err(self.what_else(other)),
        }
    }

    /// The live delegation at a place.
    pub(super) fn delegation_at(&self, place: Place) -> Result<&Delegation, Refusal> {
        match place {
            Place::Delegation(id, person) => self.delegations.get(&(id, person)).ok_or(foreign::WRONG_OWNER),
            other => Err(self.what_else(other)),
        }
    }

    /// The error of an account that is not of the kind expected.
    fn what_else(&self, place: Place) -> Refusal {
        if self.is_the_programs(place) { foreign::WRONG_DISCRIMINATOR } else { foreign::WRONG_OWNER }
    }

    /// Whether the program owns what is at a place.
    pub(super) fn is_the_programs(&self, place: Place) -> bool {
        match place {
            Place::Channel(id) => self.channels.contains_key(&id),
            Place::Delegation(id, person) => self.delegations.contains_key(&(id, person)),
            _ => false,
        }
    }

    /// Notes where mint or vault are not the channel's.
    pub(super) fn must_be_the_channels(faults: &mut Faults, channel: &Channel, mint: Place, vault: Place) {
        faults.unless(mint == Place::Mint(channel.mint), Rejection::WrongMint);
        faults.unless(vault == Place::Vault(channel.id), Rejection::WrongVault);
    }

    /// Refuses an account that is no token account of `owner`'s in the program given.
    pub(super) fn must_hold(
        &self,
        place: Place,
        program: Place,
        owner: Person,
        otherwise: Rejection,
    ) -> Result<(), Refused> {
        let account = self.bank.tokens(place).filter(|account| account.mint.program().place() == program);
        let account = account.ok_or(Refusal::Rule(Rejection::NotATokenAccount))?;
        require(account.holder == Holder::Person(owner), otherwise)
    }

    /// Somebody pays what a new account is short of its rent.
    pub(super) fn pay_rent(&mut self, payer: Person, place: Place, bytes: u64) -> Result<(), Refused> {
        let paid = self.bank.pay_rent(payer, place, bytes)?;
        self.ledger.pay_rent(place, payer, paid);
        Ok(())
    }

    /// Bytes that the account at a place holds.
    pub(super) fn space(&self, place: Place) -> u64 {
        match place {
            Place::Channel(_) if self.is_the_programs(place) => CHANNEL,
            Place::Delegation(..) if self.is_the_programs(place) => DELEGATION,
            _ if self.bank.tokens(place).is_some() => token_account_bytes(place),
            _ => 0,
        }
    }

    /// The channel at a place, which is known to be there.
    pub(super) fn channel_mut(&mut self, id: ChannelId) -> Result<&mut Channel, Refused> {
        self.channels.get_mut(&id).ok_or(foreign::WRONG_OWNER.into())
    }
}

/// The mint at a place.
pub(super) fn mint_at(place: Place) -> Option<Mint> {
    match place {
        Place::Mint(mint) => Some(mint),
        _ => None,
    }
}
