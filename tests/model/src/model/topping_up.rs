use amp_protocol::rejection::Rejection;

use super::accounts::must_be_token_program;
use super::refusal::{Faults, require};
use super::{Context, Holder, Model, Refusal, Refused, Rule};
use crate::place::Place;
use crate::transaction::{MoveTokens, TopUp};

impl Model {
    pub(super) fn top_up(&mut self, context: &Context, call: &TopUp) -> Result<(), Refused> {
        let mut faults = Faults::default();
        context.must_sign(&mut faults, call.token_owner);
        must_be_token_program(&mut faults, call.token_program);
        if let Some(channel) = faults.take(self.channel_at(call.channel)) {
            Self::must_be_the_channels(&mut faults, channel, call.mint, call.vault);
        }
        faults.settle()?;
        let channel = self.channel_at(call.channel)?.clone();

        require(call.amount > 0, Rejection::ZeroAmount)?;
        let open = channel.closing_since.is_none() || !self.keeps(Rule::NoTopUpWhileClosing);
        require(open, Rejection::Closing)?;
        let deposited = channel.deposited.checked_add(call.amount);
        let deposited = deposited.ok_or(Refusal::Rule(Rejection::DepositOverflow))?;
        self.channel_mut(channel.id)?.deposited = deposited;
        self.ledger.deposit(channel.id, channel.opened.slot, call.amount);
        let owner = Holder::Person(call.token_owner);
        let way = (call.source_token, call.vault);
        self.bank.move_tokens(call.token_program, call.mint, way, owner, call.amount)
    }

    /// A plain transfer. To a vault it is a donation: the books don't know it.
    pub(super) fn move_tokens(&mut self, call: &MoveTokens) -> Result<(), Refused> {
        let (program, mint) = (call.mint.program().place(), Place::Mint(call.mint));
        let owner = Holder::Person(call.owner);
        self.bank.move_tokens(program, mint, (call.from, call.to), owner, call.amount)?;
        if let Place::Vault(id) = call.to
            && let Some(channel) = self.channels.get(&id)
        {
            self.ledger.donate(id, channel.opened.slot, call.amount);
        }
        Ok(())
    }
}
