//! The protocol, written anew from `docs/protocol.md`: what every instruction does and refuses, in plain
//! Rust, with names for addresses, and nothing of the program's own rules.
//!
//! Every instruction first looks at its accounts, then applies its rules, then moves money. Among accounts
//! more than one may be wrong, and which one is named first is anchor's business: then any of those errors
//! is right. The rules are applied in the program's order, and one error is right.

mod accounts;
mod bank;
mod chaining;
mod claim;
mod closing;
mod delegating;
mod delegation;
mod invariants;
mod ledger;
mod opening;
mod proof;
mod refusal;
mod rule;
mod settling;
mod state;
mod topping_up;

use std::collections::{BTreeMap, BTreeSet};

pub use bank::{Bank, Holder, TokenAccount};
pub use invariants::Broken;
pub use ledger::{Authority, Flows, Granted, Ledger, Settled};
pub use refusal::{Refusal, Refused, foreign};
pub use rule::Rule;
pub use state::{Channel, Delegation};

use crate::cast::Person;
use crate::place::ChannelId;
use crate::transaction::{Call, Message, Part, Shape, Transaction};

/// The chain's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// The slot.
    pub slot: u64,
    /// Unix seconds.
    pub time: i64,
}

/// Everything the protocol knows, and what only an onlooker does: who signed and gained what.
#[derive(Clone, Debug)]
pub struct Model {
    /// What time it is.
    pub clock: Clock,
    /// Lamports and tokens of everybody.
    pub bank: Bank,
    /// The channels there are.
    pub channels: BTreeMap<ChannelId, Channel>,
    /// The delegations there are.
    pub delegations: BTreeMap<(ChannelId, Person), Delegation>,
    /// What was signed, and what came of it.
    pub ledger: Ledger,
    forgets: Option<Rule>,
}

/// The transaction that is being executed, as its instructions see it.
struct Context<'a> {
    transaction: &'a Transaction,
    signers: BTreeSet<Person>,
    /// Position of the running instruction.
    at: usize,
}

impl Model {
    /// The beginning of a sequence.
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            bank: Bank::new(),
            channels: BTreeMap::new(),
            delegations: BTreeMap::new(),
            ledger: Ledger::default(),
            forgets: None,
        }
    }

    /// The same, without one of the protocol's rules: such a model must be found out.
    pub fn forgetting(self, rule: Rule) -> Self {
        Self { forgets: Some(rule), ..self }
    }

    /// Whether a rule is among those this model knows.
    fn keeps(&self, rule: Rule) -> bool {
        self.forgets != Some(rule)
    }

    /// Whether a value is within a bound; it may reach it, unless that rule is forgotten.
    fn at_most<T: Ord>(&self, value: T, bound: T, reaching: Rule) -> bool {
        if self.keeps(reaching) { value <= bound } else { value < bound }
    }

    /// Executes a transaction: wholly, or, but for its fee, not at all.
    pub fn execute(&mut self, transaction: &Transaction) -> Result<(), Refused> {
        for part in &transaction.parts {
            self.note_what_is_signed(part);
        }
        let mut after = self.clone();
        let outcome = after.run(transaction);
        if outcome.is_ok() {
            *self = after;
        }
        self.bank.charge_fee(transaction.fee());
        outcome
    }

    fn run(&mut self, transaction: &Transaction) -> Result<(), Refused> {
        let signers = transaction.signers();
        let mut context = Context { transaction, signers, at: 0 };
        for (at, part) in transaction.parts.iter().enumerate() {
            context.at = at;
            match part {
                Part::Proof(proof) => self.verify(&context, proof)?,
                Part::Call { call, .. } => self.call(&context, call)?,
                Part::Interlude => {}
            }
        }
        // the runtime's last look: no account may keep less than its rent
        match self.bank.everybody_keeps_the_rent(|place| self.space(place)) {
            true => Ok(()),
            false => Err(Refusal::Rent.into()),
        }
    }

    fn call(&mut self, context: &Context, call: &Call) -> Result<(), Refused> {
        match call {
            Call::OpenChannel(call) => self.open_channel(context, call),
            Call::TopUp(call) => self.top_up(context, call),
            Call::Settle(call) => self.settle(context, call),
            Call::RequestClose(call) => self.request_close(context, call),
            Call::CloseChannel(call) => self.close_channel(context, call),
            Call::SetDelegate(call) => self.set_delegate(context, call),
            Call::RevokeDelegate(call) => self.revoke_delegate(context, call),
            Call::CloseDelegation(call) => self.close_delegation(call),
            Call::ChainChannel(call) => self.chain_channel(context, call),
            Call::MoveTokens(call) => self.move_tokens(call),
            Call::SendLamports(call) => {
                self.ledger.give(call.from, call.lamports);
                self.bank.send_lamports(call.from, call.to, call.lamports)
            }
        }
    }

    /// A signature exists from the moment it is made, whatever becomes of the transaction it is shown in.
    fn note_what_is_signed(&mut self, part: &Part) {
        let Part::Proof(proof) = part else { return };
        if matches!(proof.shape, Shape::Forged | Shape::NoSignature) {
            return;
        }
        match proof.signed {
            Message::Credential { channel, epoch, seq } => {
                self.ledger.sign(Authority { channel, signer: proof.signer, epoch }, seq);
            }
            Message::CloseStatement { channel, opened_slot, owed_total }
                if proof.signer == channel.recipient() =>
            {
                self.ledger.sign_statement(channel, opened_slot, owed_total);
            }
            _ => {}
        }
    }
}
