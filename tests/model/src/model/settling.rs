use amp_protocol::rejection::Rejection;

use super::accounts::{must_be_instructions, must_be_token_program};
use super::refusal::Faults;
use super::{Context, Holder, Model, Refused};
use crate::transaction::Settle;

impl Model {
    pub(super) fn settle(&mut self, context: &Context, call: &Settle) -> Result<(), Refused> {
        let mut faults = Faults::default();
        context.must_sign(&mut faults, call.recipient);
        must_be_token_program(&mut faults, call.token_program);
        must_be_instructions(&mut faults, call.instructions);
        if let Some(channel) = faults.take(self.channel_at(call.channel)) {
            faults.unless(channel.id.recipient() == call.recipient, Rejection::WrongRecipient);
            Self::must_be_the_channels(&mut faults, channel, call.mint, call.vault);
        }
        if let Some(place) = call.delegation {
            faults.take(self.delegation_at(place));
        }
        faults.settle()?;
        let id = self.channel_at(call.channel)?.id;

        self.must_hold(
            call.recipient_token,
            call.token_program,
            call.recipient,
            Rejection::WrongPayoutOwner,
        )?;
        let payout = self.claim(context, id, call.delegation, call.owed, false)?;
        let way = (call.vault, call.recipient_token);
        self.bank.move_tokens(call.token_program, call.mint, way, Holder::Channel(id), payout)
    }
}
