//! What the model says of every account, held against the account.

use amp_embedded::Executed;
use amp_protocol::account::{ChannelAccount, DelegationAccount};
use amp_protocol::message::Key;
use amp_protocol::money::Amount;
use amp_protocol::rules;
use amp_sdk::chain::{AccountSnapshot, ChainError, PROGRAM_ID};
use solana_instruction::error::InstructionError;
use solana_transaction_error::TransactionError;

use super::{Observed, Trial};
use crate::model::{Channel, Delegation, Holder, Refusal, TokenAccount};
use crate::place::Place;
use crate::transaction::{Part, Transaction};

impl Trial<'_> {
    /// Sends a transaction to the chain; `None` where no packet holds it.
    pub(super) fn observe(&self, transaction: &Transaction) -> Option<Observed> {
        let (instructions, signers) = transaction.compile(&self.stage.book);
        match self.chain.execute(&instructions, &signers) {
            Err(ChainError::TooLarge { .. }) => None,
            answer => Some(outcome(transaction, answer)),
        }
    }

    /// Every account the model knows, field by field, and the sum of all lamports.
    pub(super) fn compare(&self) -> Result<(), Vec<String>> {
        let mut differences = Vec::new();
        for (place, lamports) in self.model.bank.all_lamports() {
            let account = self.chain.snapshot(&self.stage.book.address(place));
            let found = account.as_ref().map_or(0, |account| account.lamports);
            if found != lamports {
                differences.push(format!("{place:?} has {found} lamports, not {lamports}"));
            }
            if let Some(difference) = self.content(place, account.as_ref()) {
                differences.push(format!("{place:?} {difference}"));
            }
        }
        let expected = self.lamports - u128::from(self.model.bank.fees());
        let found = self.chain.lamports_in_all();
        if found != expected {
            differences.push(format!("there are {found} lamports in all, not {expected}"));
        }
        if differences.is_empty() { Ok(()) } else { Err(differences) }
    }

    /// How an account's owner and data differ from what the model says.
    fn content(&self, place: Place, account: Option<&AccountSnapshot>) -> Option<String> {
        let (owner, data): (_, &[u8]) = account.map_or((None, &[]), |it| (Some(it.owner), &it.data));
        if let Some(tokens) = self.model.bank.tokens(place) {
            let program = self.stage.book.address(tokens.mint.program().place());
            return (owner != Some(program) || !self.same_tokens(tokens, data))
                .then(|| format!("is not {tokens:?}: {owner:?} {data:?}"));
        }
        let expected = match place {
            Place::Channel(id) => self.model.channels.get(&id).map(|it| self.channel(it).encode().to_vec()),
            Place::Delegation(id, delegate) => {
                let delegation = self.model.delegations.get(&(id, delegate));
                delegation.map(|it| self.delegation(it).encode().to_vec())
            }
            _ => None,
        };
        match expected {
            Some(expected) => (owner != Some(PROGRAM_ID) || expected != data).then(|| match place {
                Place::Channel(_) => differ(ChannelAccount::decode(&expected), ChannelAccount::decode(data)),
                _ => differ(DelegationAccount::decode(&expected), DelegationAccount::decode(data)),
            }),
            // gone, or never made: a wallet, if anything
            None => (!data.is_empty() || owner.is_some_and(|it| it != solana_system_interface::program::ID))
                .then(|| format!("should be nothing, and is {owner:?}'s {data:?}")),
        }
    }

    fn same_tokens(&self, expected: &TokenAccount, data: &[u8]) -> bool {
        let holder = match expected.holder {
            Holder::Person(person) => self.stage.book.person(person),
            Holder::Channel(id) => self.stage.book.channel(id).channel,
        };
        let mint = self.stage.book.mint(expected.mint).address;
        amp_protocol::account::TokenHolding::parse(data).is_ok_and(|found| {
            *found.mint == mint.to_bytes()
                && *found.owner == holder.to_bytes()
                && found.amount.get() == expected.amount
        })
    }

    /// A channel as the program should have written it.
    fn channel(&self, channel: &Channel) -> ChannelAccount {
        let book = &self.stage.book;
        let key = |place: Place| -> Key { book.address(place).to_bytes() };
        let person = |person| -> Key { book.person(person).to_bytes() };
        let at = book.channel(channel.id);
        ChannelAccount {
            bump: at.bump,
            vault_bump: at.vault_bump,
            chain_depth: channel.depth(),
            funder: person(channel.id.funder),
            recipient: person(channel.id.recipient()),
            authorized_signer: person(channel.authorized_signer),
            mint: key(Place::Mint(channel.mint)),
            vault: at.vault.to_bytes(),
            rent_payer: person(channel.rent_payer),
            parent: channel.id.parent().map_or([0; 32], |id| key(Place::Channel(id))),
            nonce: channel.id.nonce().into(),
            opened_slot: channel.opened.slot,
            delegated_slot: channel.delegated_slot,
            opened_at: channel.opened.time,
            closing_at: channel.closing_since.unwrap_or(0),
            terms: rules::Terms {
                unit_price: channel.terms.unit_price,
                rate_limit: channel.terms.rate_limit,
                settle_interval: channel.terms.settle_interval,
                close_grace: channel.terms.close_grace,
                max_chain_depth: channel.terms.max_chain_depth,
            },
            books: rules::Books {
                deposited: Amount::new(channel.deposited),
                claimed: Amount::new(channel.claimed),
                window: rules::RateWindow {
                    started_at: channel.window_began(),
                    claimed: Amount::new(channel.window_claimed),
                },
                closing: channel.closing_since.is_some(),
            },
            signer: rules::SignerBooks {
                claimed: Amount::new(channel.signer.amount),
                last_settled_at: channel.signer.last_settled,
            },
        }
    }

    /// A delegation as the program should have written it.
    fn delegation(&self, it: &Delegation) -> DelegationAccount {
        let book = &self.stage.book;
        DelegationAccount {
            bump: book.delegation(it.channel, it.delegate).1,
            channel: book.channel(it.channel).channel.to_bytes(),
            delegate: book.person(it.delegate).to_bytes(),
            rent_payer: book.person(it.rent_payer).to_bytes(),
            channel_opened_slot: it.channel_opened_slot,
            created_slot: it.created_slot,
            delegation: rules::Delegation {
                limit: Amount::new(it.limit),
                signer: rules::SignerBooks {
                    claimed: Amount::new(it.claimed.amount),
                    last_settled_at: it.claimed.last_settled,
                },
                expires_at: it.expires_at.unwrap_or(0),
                revoked_at: it.revoked_at.unwrap_or(0),
            },
        }
    }
}

fn differ<T: std::fmt::Debug, E: std::fmt::Debug>(expected: Result<T, E>, found: Result<T, E>) -> String {
    format!("differs\n  expected {expected:?}\n  found    {found:?}")
}

/// The chain's answer, in the model's words.
fn outcome(transaction: &Transaction, answer: Result<Executed, ChainError>) -> Observed {
    let error = match answer {
        Ok(_) => return Ok(()),
        Err(error) => error,
    };
    let refusal = match &error {
        ChainError::Rejected(rejection) => Refusal::Rule(*rejection),
        ChainError::Failed { error: TransactionError::InstructionError(at, why), .. } => {
            let proof = matches!(transaction.parts.get(usize::from(*at)), Some(Part::Proof(_)));
            match why {
                _ if proof => Refusal::Precompile,
                InstructionError::Custom(number) => Refusal::Number(*number),
                _ => Refusal::Foreign,
            }
        }
        ChainError::Failed { error: TransactionError::InsufficientFundsForRent { .. }, .. } => Refusal::Rent,
        other => panic!("the transaction was not executed: {other}"),
    };
    Err((refusal, error.to_string()))
}
