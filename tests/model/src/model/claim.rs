//! A claim on a channel, by settling or by chaining.

use amp_protocol::rejection::Rejection;

use super::ledger::Settled;
use super::proof::{Binding, Kind};
use super::refusal::require;
use super::state::Claimed;
use super::{Authority, Context, Model, Refused, Rule};
use crate::place::{ChannelId, Place};

impl Model {
    /// Books that `owed` is due in all from one signer: the delegate whose delegation is given, else the
    /// authorized signer. Returns what is to be paid now.
    pub(super) fn claim(
        &mut self,
        context: &Context,
        id: ChannelId,
        delegation: Option<Place>,
        owed: u64,
        chained: bool,
    ) -> Result<u64, Refused> {
        let channel = self.channels[&id].clone();
        let now = self.clock.time;
        let delegation = delegation.map(|place| self.delegation_at(place).cloned()).transpose()?;
        if let Some(delegation) = &delegation {
            require(delegation.channel == id, Rejection::WrongDelegation)?;
            let same = delegation.channel_opened_slot == channel.opened.slot;
            require(same || !self.keeps(Rule::DelegationIncarnation), Rejection::DelegationOfEarlierChannel)?;
        }
        let (signer, epoch, claimed) = match &delegation {
            Some(delegation) => (delegation.delegate, delegation.created_slot, delegation.claimed),
            None => (channel.authorized_signer, channel.opened.slot, channel.signer),
        };
        let binding = Binding { channel: Place::Channel(id), signer, epoch };
        let seq = self.message_before(context, Kind::Credential, &binding)?;

        let mut waits = channel.closing_since.is_none() || !self.keeps(Rule::NoWaitWhileClosing);
        if let Some(delegation) = &delegation {
            let within = self.at_most(owed, delegation.limit, Rule::LimitReached);
            require(within || !self.keeps(Rule::DelegateLimit), Rejection::OwedAboveLimit)?;
            let end = if self.keeps(Rule::FirstEnd) {
                delegation.end()
            } else {
                delegation.expires_at.max(delegation.revoked_at)
            };
            let until = end.map(|end| i128::from(end) + i128::from(channel.terms.close_grace));
            let now = i128::from(now);
            let over = until.is_some_and(|until| !self.at_most(now, until, Rule::DelegateToTheSecond));
            require(!over || !self.keeps(Rule::DelegateEnd), Rejection::DelegationOver)?;
            let lives = |end: i64| !self.at_most(i128::from(end), now, Rule::EndToTheSecond);
            waits &= delegation.end().is_none_or(lives) || !self.keeps(Rule::NoWaitAfterEnd);
        }

        require(owed > claimed.amount || !self.keeps(Rule::ClaimedOnce), Rejection::OwedNotAboveClaimed)?;
        let ceiling = u128::from(seq) * u128::from(channel.terms.unit_price);
        let within = self.at_most(u128::from(owed), ceiling, Rule::CeilingReached);
        require(within || !self.keeps(Rule::Ceiling), Rejection::OwedAboveCeiling)?;
        let due = i128::from(claimed.last_settled) + i128::from(channel.terms.settle_interval);
        let early = waits && !self.at_most(due, i128::from(now), Rule::IntervalToTheSecond);
        require(!early || !self.keeps(Rule::SettleInterval), Rejection::SettleEarly)?;
        let payout = if self.keeps(Rule::ClaimedOnce) { owed - claimed.amount } else { owed };
        let within = self.at_most(payout, channel.balance(), Rule::DepositReached);
        require(within || !self.keeps(Rule::Deposit), Rejection::ClaimedAboveDeposit)?;
        let (window, in_window) = self.window(&channel);
        let window_claimed = in_window.saturating_add(payout);
        let within = self.at_most(window_claimed, channel.terms.rate_limit, Rule::RateReached);
        require(within || !self.keeps(Rule::RateWindow), Rejection::RateExceeded)?;

        self.ledger.pay(Authority { channel: id, signer, epoch }, channel.opened.slot, payout);
        self.ledger.settled(id, channel.opened.slot, Settled { at: now, amount: payout, chained });
        let booked = self.channel_mut(id)?;
        booked.claimed = booked.claimed.saturating_add(payout);
        (booked.window, booked.window_claimed) = (window, window_claimed);
        let claimed = Claimed { amount: owed, last_settled: now };
        match delegation.and_then(|it| self.delegations.get_mut(&(id, it.delegate))) {
            Some(delegation) => delegation.claimed = claimed,
            None => self.channel_mut(id)?.signer = claimed,
        }
        Ok(payout)
    }

    /// The window it is now, and what was claimed in it.
    fn window(&self, channel: &super::Channel) -> (u64, u64) {
        let (number, claimed) = channel.window_at(self.clock.time);
        if !self.keeps(Rule::WindowAnew) {
            return (number, channel.window_claimed);
        }
        // as one would who lets a window begin with the settlement that finds the last one over
        if !self.keeps(Rule::WindowsFromOpening) && number != channel.window {
            return (channel.window + 1, 0);
        }
        (number, claimed)
    }
}
