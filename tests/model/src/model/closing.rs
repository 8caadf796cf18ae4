use amp_protocol::rejection::Rejection;

use super::accounts::{must_be_instructions, must_be_token_program};
use super::proof::{Binding, Kind};
use super::refusal::{Faults, require};
use super::{Channel, Context, Holder, Model, Refused, Rule};
use crate::place::Place;
use crate::transaction::{CloseChannel, RequestClose};

impl Model {
    pub(super) fn request_close(&mut self, context: &Context, call: &RequestClose) -> Result<(), Refused> {
        let mut faults = Faults::default();
        context.must_sign(&mut faults, call.funder);
        if let Some(channel) = faults.take(self.channel_at(call.channel)) {
            faults.unless(channel.id.funder == call.funder, Rejection::WrongFunder);
        }
        faults.settle()?;
        let channel = self.channel_at(call.channel)?.clone();

        let first = channel.closing_since.is_none() || !self.keeps(Rule::RequestOnce);
        require(first, Rejection::AlreadyClosing)?;
        let now = self.clock.time;
        let representable = now > 0 && now.checked_add(channel.terms.close_grace.into()).is_some();
        require(representable, Rejection::ClockOutOfRange)?;
        self.channel_mut(channel.id)?.closing_since = Some(now);
        Ok(())
    }

    pub(super) fn close_channel(&mut self, context: &Context, call: &CloseChannel) -> Result<(), Refused> {
        let mut faults = Faults::default();
        context.must_sign(&mut faults, call.closer);
        must_be_token_program(&mut faults, call.token_program);
        if let Some(place) = call.instructions {
            must_be_instructions(&mut faults, place);
        }
        if let Some(channel) = faults.take(self.channel_at(call.channel)) {
            Self::must_be_the_channels(&mut faults, channel, call.mint, call.vault);
            faults.unless(call.rent_payer == Place::Wallet(channel.rent_payer), Rejection::WrongRentPayer);
        }
        faults.settle()?;
        let channel = self.channel_at(call.channel)?.clone();

        let later = self.clock.slot > channel.opened.slot || !self.keeps(Rule::NotInOpeningSlot);
        require(later, Rejection::ClosedInOpeningSlot)?;
        let later = self.clock.slot > channel.delegated_slot || !self.keeps(Rule::NotInDelegationSlot);
        require(later, Rejection::ClosedInDelegationSlot)?;
        let (id, program) = (channel.id, call.token_program);
        let payout = self.due_at_close(context, call, &channel)?;

        if let Some(to) = call.payout_token.filter(|_| payout > 0) {
            let way = (call.vault, to);
            self.bank.move_tokens(program, call.mint, way, Holder::Channel(id), payout)?;
        }
        let left = self.bank.tokens(call.vault).map_or(0, |vault| vault.amount);
        let refund = if self.keeps(Rule::DonationsToFunder) { left } else { left.min(channel.balance()) };
        // where there is nothing to refund, it does not matter where to
        if refund > 0 {
            self.must_hold(call.refund_token, program, id.funder, Rejection::WrongRefundOwner)?;
            let associated = call.refund_token == Place::Tokens(id.funder, channel.mint);
            let free = call.closer == id.funder || !self.keeps(Rule::RefundAssociated);
            require(associated || free, Rejection::RefundNotAssociated)?;
            let way = (call.vault, call.refund_token);
            self.bank.move_tokens(program, call.mint, way, Holder::Channel(id), refund)?;
        }
        // the vault is closed by its own program, or not at all
        require(channel.mint.program().place() == program, super::Refusal::Foreign)?;
        self.ledger.close(id, channel.opened.slot, payout, refund);
        let rent_to = match self.keeps(Rule::RentBack) {
            true => call.rent_payer,
            false => Place::Wallet(call.closer),
        };
        for place in [call.vault, call.channel] {
            self.ledger.return_rent(place, self.bank.lamports(place));
        }
        self.bank.end_vault(id, rent_to);
        self.bank.hand_over(call.channel, rent_to);
        self.channels.remove(&id);
        Ok(())
    }

    /// What a close pays the recipient, if whoever asks for it may.
    fn due_at_close(
        &self,
        context: &Context,
        call: &CloseChannel,
        channel: &Channel,
    ) -> Result<u64, Refused> {
        let id = channel.id;
        let Some(payout_token) = call.payout_token else {
            if call.closer == id.recipient() {
                return Ok(0);
            }
            let now = i128::from(self.clock.time);
            let over =
                channel.closable_from().is_some_and(|from| self.at_most(from, now, Rule::GraceToTheSecond));
            require(over || !self.keeps(Rule::CloseGrace), Rejection::GraceNotOver)?;
            return Ok(0);
        };
        require(call.closer == id.funder, Rejection::WrongFunder)?;
        self.must_hold(payout_token, call.token_program, id.recipient(), Rejection::WrongPayoutOwner)?;
        require(call.instructions.is_some(), Rejection::PrecompileMissing)?;
        let binding =
            Binding { channel: Place::Channel(id), signer: id.recipient(), epoch: channel.opened.slot };
        let owed_total = self.message_before(context, Kind::CloseStatement, &binding)?;
        let within = self.at_most(owed_total, channel.deposited, Rule::StatementReached)
            || !self.keeps(Rule::StatementWithinDeposit);
        require(within, Rejection::StatementAboveDeposit)?;
        // an old statement takes nothing back
        let claimed = if self.keeps(Rule::StatementCountsClaims) { channel.claimed } else { 0 };
        Ok(owed_total.saturating_sub(claimed).min(channel.deposited))
    }
}
