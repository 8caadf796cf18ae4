use amp_protocol::instruction;
use amp_protocol::money::Amount;
use amp_protocol::rules;
use amp_sdk::chain::PROGRAM_ID;
use amp_sdk::chain::instructions::{
    self, ChainParties, ChannelKeys, CloseParties, DelegationParties, OpenParties,
};
use solana_address::Address;
use solana_instruction::Instruction;
use solana_keypair::Keypair;
use spl_token_2022_interface::instruction as token;

use super::{AddressBook, Call, Part, Terms, Transaction, precompile};
use crate::cast::Person;
use crate::place::Place;

impl Transaction {
    /// The instructions, and the keys that sign; the fee payer's is the first.
    pub fn compile<'a>(&self, book: &'a AddressBook) -> (Vec<Instruction>, Vec<&'a Keypair>) {
        let instructions = self.parts.iter().enumerate().map(|(at, part)| match part {
            Part::Proof(proof) => precompile::instruction(book, proof, at),
            Part::Call { call, unsigned } => unsign(call.instruction(book), *unsigned),
            Part::Interlude => {
                let payer = book.person(Person::FeePayer);
                solana_system_interface::instruction::transfer(&payer, &payer, 1)
            }
        });
        let others = self.signers().into_iter().filter(|person| *person != Person::FeePayer);
        let signers = std::iter::once(Person::FeePayer).chain(others).map(|person| book.key(person));
        (instructions.collect(), signers.collect())
    }
}

/// Takes back the demand for one signature.
fn unsign(mut it: Instruction, unsigned: Option<usize>) -> Instruction {
    let mut signing = it.accounts.iter_mut().filter(|account| account.is_signer);
    if let Some(account) = unsigned.and_then(|at| signing.nth(at)) {
        account.is_signer = false;
    }
    it
}

impl Call {
    fn instruction(&self, book: &AddressBook) -> Instruction {
        let at = |place: Place| book.address(place);
        let person = |person: Person| book.person(person);
        let keys = |channel: Place, vault: Place, mint: Place, token_program: Place| ChannelKeys {
            program_id: PROGRAM_ID,
            channel: at(channel),
            vault: at(vault),
            mint: at(mint),
            token_program: at(token_program),
        };
        match self {
            Self::OpenChannel(call) => {
                let parties = OpenParties {
                    funder: person(call.funder),
                    rent_payer: person(call.rent_payer),
                    recipient: person(call.recipient),
                    authorized_signer: person(call.authorized_signer),
                    funder_token: at(call.funder_token),
                };
                let args = instruction::OpenChannel {
                    nonce: call.nonce.into(),
                    deposit: Amount::new(call.deposit),
                    terms: as_sent(call.terms),
                };
                let (mint, token_program) = (at(call.mint), at(call.token_program));
                let it = instructions::open_channel(&PROGRAM_ID, &parties, &mint, &token_program, &args);
                put(it, &[(5, at(call.channel)), (6, at(call.vault))])
            }
            Self::TopUp(call) => {
                let keys = keys(call.channel, call.vault, call.mint, call.token_program);
                let amount = Amount::new(call.amount);
                instructions::top_up(&keys, &person(call.token_owner), &at(call.source_token), amount)
            }
            Self::Settle(call) => {
                let keys = keys(call.channel, call.vault, call.mint, call.token_program);
                let delegation = call.delegation.map(at);
                let it = instructions::settle(
                    &keys,
                    &person(call.recipient),
                    &at(call.recipient_token),
                    delegation.as_ref(),
                    Amount::new(call.owed),
                );
                put(it, &[(6, at(call.instructions))])
            }
            Self::RequestClose(call) => {
                instructions::request_close(&PROGRAM_ID, &at(call.channel), &person(call.funder))
            }
            Self::CloseChannel(call) => {
                let keys = keys(call.channel, call.vault, call.mint, call.token_program);
                let parties = CloseParties {
                    closer: person(call.closer),
                    refund_token: at(call.refund_token),
                    rent_payer: at(call.rent_payer),
                    payout_token: call.payout_token.map(at),
                };
                let sysvar = call.instructions.map_or(PROGRAM_ID, at);
                put(instructions::close_channel(&keys, &parties), &[(8, sysvar)])
            }
            Self::SetDelegate(call) => {
                let parties = DelegationParties {
                    funder: person(call.funder),
                    rent_payer: person(call.rent_payer),
                    channel: at(call.channel),
                    delegate: person(call.delegate),
                };
                let limit = Amount::new(call.limit);
                let it = instructions::set_delegate(&PROGRAM_ID, &parties, limit, call.expires_at);
                put(it, &[(4, at(call.delegation))])
            }
            Self::RevokeDelegate(call) => {
                let (funder, channel) = (person(call.funder), at(call.channel));
                let it = instructions::revoke_delegate(&PROGRAM_ID, &funder, &channel, &funder);
                put(it, &[(2, at(call.delegation))])
            }
            Self::CloseDelegation(call) => {
                let (channel, rent_payer) = (at(call.channel), at(call.rent_payer));
                let it = instructions::close_delegation(&PROGRAM_ID, &channel, &channel, &rent_payer);
                put(it, &[(0, at(call.delegation))])
            }
            Self::ChainChannel(call) => {
                let keys = keys(call.channel, call.vault, call.mint, call.token_program);
                let parties = ChainParties {
                    recipient: person(call.recipient),
                    rent_payer: person(call.rent_payer),
                    sub_service: person(call.sub_service),
                    delegation: call.delegation.map(at),
                };
                let args = instruction::ChainChannel {
                    owed: Amount::new(call.owed),
                    nonce: call.nonce.into(),
                    terms: as_sent(call.terms),
                };
                let it = instructions::chain_channel(&keys, &parties, &args);
                put(it, &[(6, at(call.sub_channel)), (7, at(call.sub_vault)), (10, at(call.instructions))])
            }
            Self::MoveTokens(call) => {
                let mint = book.mint(call.mint);
                let (from, to, owner) = (at(call.from), at(call.to), person(call.owner));
                let amount = call.amount;
                #[allow(deprecated, reason = "wallets that know no decimals use it, and it names no mint")]
                token::transfer(&mint.token_program, &from, &to, &owner, &[], amount)
                    .expect("a token program's instruction")
            }
            Self::SendLamports(call) => {
                let (from, to) = (person(call.from), at(call.to));
                solana_system_interface::instruction::transfer(&from, &to, call.lamports)
            }
        }
    }
}

fn as_sent(terms: Terms) -> rules::Terms {
    rules::Terms {
        unit_price: terms.unit_price,
        rate_limit: terms.rate_limit,
        settle_interval: terms.settle_interval,
        close_grace: terms.close_grace,
        max_chain_depth: terms.max_chain_depth,
    }
}

/// Puts other accounts in the place of those the SDK would name.
fn put(mut it: Instruction, others: &[(usize, Address)]) -> Instruction {
    for (at, address) in others {
        it.accounts[*at].pubkey = *address;
    }
    it
}
