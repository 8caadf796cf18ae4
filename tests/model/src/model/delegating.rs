use amp_protocol::rejection::Rejection;

use super::accounts::DELEGATION;
use super::refusal::{Faults, require};
use super::state::Claimed;
use super::{Authority, Channel, Context, Delegation, Model, Refused, Rule};
use crate::place::Place;
use crate::transaction::SetDelegate;

impl Model {
    pub(super) fn set_delegate(&mut self, context: &Context, call: &SetDelegate) -> Result<(), Refused> {
        let mut faults = Faults::default();
        context.must_sign(&mut faults, call.funder);
        context.must_sign(&mut faults, call.rent_payer);
        if let Some(channel) = faults.take(self.channel_at(call.channel)) {
            faults.unless(channel.id.funder == call.funder, Rejection::WrongFunder);
        }
        faults.settle()?;
        let channel = self.channel_at(call.channel)?.clone();

        let open = channel.closing_since.is_none() || !self.keeps(Rule::NoDelegatingWhileClosing);
        require(open, Rejection::Closing)?;
        require(channel.depth() == 0 || !self.keeps(Rule::NoDelegatesBelow), Rejection::ChainedChannel)?;
        let another = call.delegate != channel.authorized_signer || !self.keeps(Rule::DelegateIsAnother);
        require(another, Rejection::DelegateIsAuthorizedSigner)?;
        if self.is_the_programs(call.delegation) {
            let found = self.delegation_at(call.delegation)?.clone();
            let its_own = found.channel == channel.id && found.delegate == call.delegate;
            require(its_own, Rejection::WrongDerivedAddress)?;
            if found.channel_opened_slot == channel.opened.slot {
                return self.change_delegation(call, found);
            }
            let later = self.clock.slot > found.created_slot || !self.keeps(Rule::NotInCreationSlot);
            require(later, Rejection::DelegationInCreationSlot)?;
            let anew = self.begin_delegation(call, &channel)?;
            // the account stays: so does who gets its lamports
            self.put_delegation(Delegation { rent_payer: found.rent_payer, ..anew }, &channel);
            return Ok(());
        }
        let derived = call.delegation == Place::Delegation(channel.id, call.delegate);
        require(derived, Rejection::WrongDerivedAddress)?;
        let new = self.begin_delegation(call, &channel)?;
        self.pay_rent(call.rent_payer, call.delegation, DELEGATION)?;
        self.put_delegation(new, &channel);
        Ok(())
    }

    fn begin_delegation(&self, call: &SetDelegate, channel: &Channel) -> Result<Delegation, Refused> {
        self.check_limit_and_expiry(call)?;
        Ok(Delegation {
            channel: channel.id,
            delegate: call.delegate,
            rent_payer: call.rent_payer,
            channel_opened_slot: channel.opened.slot,
            created_slot: self.clock.slot,
            limit: call.limit,
            claimed: Claimed { amount: 0, last_settled: self.clock.time },
            expires_at: expiry(call.expires_at),
            revoked_at: None,
        })
    }

    fn put_delegation(&mut self, new: Delegation, channel: &Channel) {
        let authority = Authority { channel: channel.id, signer: new.delegate, epoch: new.created_slot };
        self.ledger.grant(authority, channel.opened.slot, channel.terms.unit_price);
        if let Some(channel) = self.channels.get_mut(&channel.id) {
            channel.delegated_slot = new.created_slot;
        }
        self.delegations.insert((channel.id, new.delegate), new);
    }

    fn change_delegation(&mut self, call: &SetDelegate, mut found: Delegation) -> Result<(), Refused> {
        let live = found.revoked_at.is_none() || !self.keeps(Rule::RevokedForGood);
        require(live, Rejection::DelegateRevoked)?;
        self.check_limit_and_expiry(call)?;
        let raised = call.limit >= found.limit || !self.keeps(Rule::LimitNotLowered);
        require(raised, Rejection::LimitLowered)?;
        (found.limit, found.expires_at) = (call.limit, expiry(call.expires_at));
        if !self.keeps(Rule::ClaimedStays) {
            found.claimed.amount = 0;
        }
        self.delegations.insert((found.channel, found.delegate), found);
        Ok(())
    }

    fn check_limit_and_expiry(&self, call: &SetDelegate) -> Result<(), Refused> {
        require(call.limit > 0, Rejection::ZeroAmount)?;
        let ahead = expiry(call.expires_at).is_none_or(|at| {
            at > self.clock.time || (at == self.clock.time && !self.keeps(Rule::ExpiryAhead))
        });
        require(ahead, Rejection::ExpiryInPast)
    }
}

/// Zero is never.
fn expiry(at: i64) -> Option<i64> {
    (at != 0).then_some(at)
}
