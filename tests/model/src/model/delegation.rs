use amp_protocol::rejection::Rejection;

use super::refusal::{Faults, require};
use super::{Context, Model, Refused, Rule};
use crate::place::Place;
use crate::transaction::{CloseDelegation, RevokeDelegate};

impl Model {
    pub(super) fn revoke_delegate(
        &mut self,
        context: &Context,
        call: &RevokeDelegate,
    ) -> Result<(), Refused> {
        let mut faults = Faults::default();
        context.must_sign(&mut faults, call.funder);
        if let Some(channel) = faults.take(self.channel_at(call.channel)) {
            faults.unless(channel.id.funder == call.funder, Rejection::WrongFunder);
        }
        faults.take(self.delegation_at(call.delegation));
        faults.settle()?;
        let channel = self.channel_at(call.channel)?.clone();
        let mut found = self.delegation_at(call.delegation)?.clone();

        require(found.channel == channel.id, Rejection::WrongDelegation)?;
        let current = found.channel_opened_slot == channel.opened.slot;
        require(current, Rejection::DelegationOfEarlierChannel)?;
        require(found.revoked_at.is_none() || !self.keeps(Rule::RevokedForGood), Rejection::AlreadyRevoked)?;
        require(self.clock.time > 0, Rejection::ClockOutOfRange)?;
        found.revoked_at = Some(self.clock.time);
        self.delegations.insert((found.channel, found.delegate), found);
        Ok(())
    }

    /// Takes no signature: who pays the fee is nobody's business.
    pub(super) fn close_delegation(&mut self, call: &CloseDelegation) -> Result<(), Refused> {
        let mut faults = Faults::default();
        if let Some(delegation) = faults.take(self.delegation_at(call.delegation)) {
            faults.unless(call.channel == Place::Channel(delegation.channel), Rejection::WrongDelegation);
            let rent_payer = Place::Wallet(delegation.rent_payer);
            faults.unless(call.rent_payer == rent_payer, Rejection::WrongRentPayer);
        }
        faults.settle()?;
        let delegation = self.delegation_at(call.delegation)?.clone();

        let later = self.clock.slot > delegation.created_slot || !self.keeps(Rule::NotInCreationSlot);
        require(later, Rejection::DelegationInCreationSlot)?;
        let its_channel = self.channels.get(&delegation.channel);
        if let Some(channel) = its_channel.filter(|it| it.opened.slot == delegation.channel_opened_slot) {
            let until = delegation.collectable_until(channel.terms.close_grace);
            let over = until.is_some_and(|until| i128::from(self.clock.time) > until);
            require(over || !self.keeps(Rule::DelegationKept), Rejection::DelegationNotOver)?;
        }
        self.delegations.remove(&(delegation.channel, delegation.delegate));
        self.ledger.return_rent(call.delegation, self.bank.lamports(call.delegation));
        self.bank.hand_over(call.delegation, call.rent_payer);
        Ok(())
    }
}
