use amp_protocol::rejection::Rejection;

use super::accounts::{must_be_instructions, must_be_token_program};
use super::opening::{New, check_terms};
use super::refusal::{Faults, require};
use super::{Context, Holder, Model, Refused, Rule};
use crate::place::ChannelId;
use crate::transaction::{ChainChannel, Terms};

impl Model {
    pub(super) fn chain_channel(&mut self, context: &Context, call: &ChainChannel) -> Result<(), Refused> {
        let mut faults = Faults::default();
        context.must_sign(&mut faults, call.recipient);
        context.must_sign(&mut faults, call.rent_payer);
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
        let parent = self.channel_at(call.channel)?.clone();

        let open = parent.closing_since.is_none() || !self.keeps(Rule::NoChainingWhileClosing);
        require(open, Rejection::Closing)?;
        let terms = Terms { max_chain_depth: parent.terms.max_chain_depth, ..call.terms };
        check_terms(&terms)?;
        let shallow = parent.depth() < terms.max_chain_depth || !self.keeps(Rule::ChainDepth);
        require(shallow, Rejection::ChainTooDeep)?;
        let within = terms.close_grace <= parent.terms.close_grace || !self.keeps(Rule::GraceWithinParents);
        require(within, Rejection::GraceAboveParent)?;
        let payout = self.claim(context, parent.id, call.delegation, call.owed, true)?;
        if !self.keeps(Rule::ChainingCounts) {
            let (window, claimed) = (parent.window, parent.window_claimed);
            let upstream = self.channel_mut(parent.id)?;
            (upstream.window, upstream.window_claimed) = (window, claimed);
        }

        let mut id = parent.id.below(call.sub_service, call.nonce);
        if !self.keeps(Rule::ChainedIsFunders) {
            id = ChannelId::root(call.recipient, call.sub_service, call.nonce);
        }
        let new = New {
            id,
            authorized_signer: call.recipient,
            mint: call.mint,
            rent_payer: call.rent_payer,
            terms,
            deposit: payout,
            channel: call.sub_channel,
            vault: call.sub_vault,
            token_program: call.token_program,
        };
        self.begin(&new)?;
        let way = (call.vault, call.sub_vault);
        self.bank.move_tokens(call.token_program, call.mint, way, Holder::Channel(parent.id), payout)
    }
}
