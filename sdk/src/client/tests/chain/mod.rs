//! A chain in memory that runs the program's rules on the client's instructions.

mod delegations;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

use amp_protocol::account::{ChannelAccount, TokenHolding};
use amp_protocol::instruction as data;
use amp_protocol::message::CloseStatement;
use amp_protocol::money::Amount;
use amp_protocol::rejection::Rejection;
use amp_protocol::rules::{self, Books, Closer, RateWindow, SignerBooks, Terms};
use amp_protocol::{ed25519_instruction, message::Key};
use async_trait::async_trait;
use solana_address::Address;
use solana_hash::Hash;
use solana_instruction::error::InstructionError;
use solana_message::compiled_instruction::CompiledInstruction;
use solana_transaction::versioned::VersionedTransaction;
use solana_transaction_error::TransactionError;

use super::MINT;
use crate::chain::{
    AccountSnapshot, Chain, ChainClock, ChainError, ChannelAddress, Confirmation, PROGRAM_ID, TOKEN_PROGRAM,
    associated_token_address,
};
use crate::signed::verify_strict;

/// What the next transaction meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weather {
    /// It lands, and its sender hears nothing of it.
    Unheard,
    /// It lands when [`FakeChain::land`] is called, and its sender hears nothing of it.
    Late,
    /// It is never seen again.
    Dropped,
    /// It fails, and its sender is told.
    Refused,
}

pub(super) struct State {
    pub(super) slot: u64,
    pub(super) time: i64,
    pub(super) weather: Option<Weather>,
    /// Names of the AMP instructions that took effect.
    pub(super) done: Vec<&'static str>,
    /// Changes what an opening writes: a node that lies, or a program that is not AMP.
    pub(super) tamper: Option<fn(&mut ChannelAccount)>,
    /// The service's token account takes nothing: it has another owner, or is frozen.
    pub(super) payout_fails: bool,
    /// So many reads of channels are at a node that has not seen them.
    pub(super) lagging: u32,
    /// Reads are at a node of another cluster.
    pub(super) elsewhere: bool,
    /// Once this instruction has taken effect, nothing can be read any more.
    pub(super) gone_after: Option<&'static str>,
    /// It answers searches for delegations.
    pub(super) searchable: bool,
    /// Who paid the fees of the transactions that were sent.
    pub(super) payers: Vec<Address>,
    accounts: HashMap<Address, AccountSnapshot>,
    late: Vec<VersionedTransaction>,
}

pub(super) struct FakeChain(Mutex<State>);

impl FakeChain {
    pub(super) fn new() -> Self {
        let mint = AccountSnapshot { owner: TOKEN_PROGRAM, lamports: 1, data: vec![6; 82] };
        let program = AccountSnapshot { owner: MINT, lamports: 1, data: Vec::new() };
        Self(Mutex::new(State {
            slot: 1,
            time: 1_000_000,
            weather: None,
            done: Vec::new(),
            tamper: None,
            payout_fails: false,
            lagging: 0,
            elsewhere: false,
            gone_after: None,
            searchable: false,
            payers: Vec::new(),
            accounts: [(MINT, mint), (PROGRAM_ID, program)].into(),
            late: Vec::new(),
        }))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub(super) fn give(&self, owner: &Address, amount: u64) {
        self.state().add(associated_token_address(owner, &MINT, &TOKEN_PROGRAM), owner, amount);
    }

    pub(super) fn tokens(&self, owner: &Address) -> u64 {
        self.state().tokens(&associated_token_address(owner, &MINT, &TOKEN_PROGRAM))
    }

    pub(super) fn has_token_account(&self, owner: &Address) -> bool {
        let account = associated_token_address(owner, &MINT, &TOKEN_PROGRAM);
        self.state().accounts.contains_key(&account)
    }

    pub(super) fn count(&self, name: &str) -> usize {
        self.state().done.iter().filter(|done| **done == name).count()
    }

    pub(super) fn channel(&self, address: &Address) -> Option<ChannelAccount> {
        let state = self.state();
        state.accounts.get(address).and_then(|account| ChannelAccount::decode(&account.data).ok())
    }

    /// It is another chain, which has the program and not the mint.
    pub(super) fn lose_all_tokens(&self) -> impl FnOnce() + '_ {
        let is_program = |address: &Address| *address == PROGRAM_ID;
        let before = {
            let mut state = self.state();
            let left = state.accounts.iter().filter(|(address, _)| is_program(address));
            let left = left.map(|(address, account)| (*address, account.clone())).collect();
            std::mem::replace(&mut state.accounts, left)
        };
        move || self.state().accounts = before
    }

    /// The recipient closes on its own: the whole vault goes back.
    pub(super) fn remove(&self, address: &Address) {
        self.state().accounts.remove(address);
    }

    pub(super) fn edit(&self, address: &Address, change: impl FnOnce(&mut ChannelAccount)) {
        let mut state = self.state();
        let mut channel = state.read(address);
        change(&mut channel);
        state.write(*address, &channel);
    }

    pub(super) fn land(&self) {
        let mut state = self.state();
        for transaction in std::mem::take(&mut state.late) {
            state.run(&transaction).unwrap();
        }
    }
}

impl State {
    fn reachable(&self) -> Result<(), ChainError> {
        match self.gone_after {
            Some(name) if self.done.contains(&name) => Err(ChainError::Unreachable("told to".to_owned())),
            _ => Ok(()),
        }
    }

    fn tokens(&self, account: &Address) -> u64 {
        self.accounts
            .get(account)
            .map_or(0, |account| TokenHolding::parse(&account.data).unwrap().amount.get())
    }

    fn add(&mut self, account: Address, owner: &Address, amount: u64) {
        let amount = self.tokens(&account) + amount;
        let mut bytes = vec![0; 165];
        bytes[..32].copy_from_slice(MINT.as_ref());
        bytes[32..64].copy_from_slice(owner.as_ref());
        bytes[64..72].copy_from_slice(&amount.to_le_bytes());
        self.accounts.insert(account, AccountSnapshot { owner: TOKEN_PROGRAM, lamports: 1, data: bytes });
    }

    fn take(&mut self, account: &Address, amount: u64) {
        let left = self.tokens(account).checked_sub(amount).expect("enough tokens");
        let data = &mut self.accounts.get_mut(account).unwrap().data;
        data[64..72].copy_from_slice(&left.to_le_bytes());
    }

    fn write(&mut self, address: Address, channel: &ChannelAccount) {
        let account = AccountSnapshot { owner: PROGRAM_ID, lamports: 1, data: channel.encode().to_vec() };
        self.accounts.insert(address, account);
    }

    fn read(&self, address: &Address) -> ChannelAccount {
        ChannelAccount::decode(&self.accounts.get(address).expect("the channel").data).unwrap()
    }

    fn run(&mut self, transaction: &VersionedTransaction) -> Result<(), ChainError> {
        let (keys, bytes) = (transaction.message.static_account_keys(), transaction.message.serialize());
        for (key, signature) in keys.iter().zip(&transaction.signatures) {
            assert!(
                verify_strict(&key.to_bytes(), &bytes, &<[u8; 64]>::from(*signature)),
                "bad signature of {key}"
            );
        }
        let mut before: Option<&CompiledInstruction> = None;
        for instruction in transaction.message.instructions() {
            let account = |at: usize| keys[usize::from(instruction.accounts[at])];
            if keys[usize::from(instruction.program_id_index)] == PROGRAM_ID {
                let all: Vec<Address> = (0..instruction.accounts.len()).map(account).collect();
                self.amp(&instruction.data, &all, before)?;
            } else if instruction.data == [1] && instruction.accounts.len() == 6 {
                self.add(account(1), &account(2), 0);
            }
            before = Some(instruction);
        }
        Ok(())
    }

    fn amp(
        &mut self,
        bytes: &[u8],
        all: &[Address],
        before: Option<&CompiledInstruction>,
    ) -> Result<(), ChainError> {
        let (discriminator, arguments) = bytes.split_first_chunk::<8>().unwrap();
        let name = match *discriminator {
            data::OPEN_CHANNEL if self.accounts.contains_key(&all[5]) => {
                // the system program: the address is in use
                let error = TransactionError::InstructionError(1, InstructionError::Custom(0));
                return Err(ChainError::from_transaction(error, Vec::new()));
            }
            data::OPEN_CHANNEL => self.open(arguments, all),
            data::TOP_UP => {
                let amount = u64::from_le_bytes(arguments.try_into().unwrap());
                let mut channel = self.read(&all[1]);
                self.take(&all[4], amount);
                self.add(all[2], &all[1], amount);
                channel.books.deposited = Amount::new(channel.books.deposited.get() + amount);
                self.write(all[1], &channel);
                "top_up"
            }
            data::REQUEST_CLOSE => {
                let mut channel = self.read(&all[1]);
                assert_eq!(channel.funder, all[0].to_bytes());
                channel.closing_at = self.time;
                self.write(all[1], &channel);
                "request_close"
            }
            data::CLOSE_CHANNEL => self.close(all, before).map_err(ChainError::Rejected)?,
            data::SET_DELEGATE => self.set_delegate(arguments, all).map_err(ChainError::Rejected)?,
            data::REVOKE_DELEGATE => self.revoke_delegate(all).map_err(ChainError::Rejected)?,
            data::CLOSE_DELEGATION => self.close_delegation(all).map_err(ChainError::Rejected)?,
            other => panic!("unknown instruction {other:?}"),
        };
        self.done.push(name);
        Ok(())
    }

    fn open(&mut self, arguments: &[u8], all: &[Address]) -> &'static str {
        let word = |at: usize| u64::from_le_bytes(arguments[at..at + 8].try_into().unwrap());
        let half = |at: usize| u32::from_le_bytes(arguments[at..at + 4].try_into().unwrap());
        let at = ChannelAddress::derive(&PROGRAM_ID, &all[0], &all[2], word(0));
        assert_eq!((at.channel, at.vault), (all[5], all[6]));
        let window = RateWindow { started_at: self.time, claimed: Amount::ZERO };
        let mut channel = ChannelAccount {
            bump: at.bump,
            vault_bump: at.vault_bump,
            chain_depth: 0,
            funder: all[0].to_bytes(),
            recipient: all[2].to_bytes(),
            authorized_signer: all[3].to_bytes(),
            mint: all[4].to_bytes(),
            vault: all[6].to_bytes(),
            rent_payer: all[1].to_bytes(),
            parent: [0; 32],
            nonce: word(0),
            opened_slot: self.slot,
            delegated_slot: 0,
            opened_at: self.time,
            closing_at: 0,
            terms: Terms {
                unit_price: word(16),
                rate_limit: word(24),
                settle_interval: half(32),
                close_grace: half(36),
                max_chain_depth: arguments[40],
            },
            books: Books { deposited: Amount::new(word(8)), claimed: Amount::ZERO, window, closing: false },
            signer: SignerBooks { claimed: Amount::ZERO, last_settled_at: self.time },
        };
        channel.terms.check().unwrap();
        self.take(&all[7], word(8));
        self.add(all[6], &all[5], word(8));
        if let Some(tamper) = self.tamper {
            tamper(&mut channel);
        }
        self.write(all[5], &channel);
        "open_channel"
    }

    fn close(
        &mut self,
        all: &[Address],
        before: Option<&CompiledInstruction>,
    ) -> Result<&'static str, Rejection> {
        let channel = self.read(&all[1]);
        if self.slot <= channel.opened_slot {
            // time passes between two tries
            self.slot += 1;
            return Err(Rejection::ClosedInOpeningSlot);
        }
        if self.slot <= channel.delegated_slot {
            self.slot += 1;
            return Err(Rejection::ClosedInDelegationSlot);
        }
        let closer = if all[7] == PROGRAM_ID {
            Closer::AfterGrace
        } else {
            let signed = ed25519_instruction::parse::<{ CloseStatement::LEN }>(&before.unwrap().data)?;
            let statement = CloseStatement::parse(signed.message).unwrap();
            assert_eq!((*signed.signer, statement.channel), (channel.recipient, all[1].to_bytes()));
            Closer::FunderWithStatement(statement.owed_total)
        };
        let (deposited, claimed) = (channel.books.deposited, channel.books.claimed);
        let grace = channel.terms.close_grace;
        let done = rules::close(closer, deposited, claimed, channel.closing_at, grace, self.time)?;
        let owner = |key: Key| Address::from(key);
        if !done.payout.is_zero() {
            if self.payout_fails {
                return Err(Rejection::WrongPayoutOwner);
            }
            self.add(all[7], &owner(channel.recipient), done.payout.get());
        }
        let refund = deposited.get() - done.claimed.get();
        self.add(all[4], &owner(channel.funder), refund);
        self.accounts.remove(&all[1]);
        self.accounts.remove(&all[2]);
        Ok("close_channel")
    }
}

#[async_trait]
impl Chain for FakeChain {
    async fn account(&self, address: &Address) -> Result<Option<AccountSnapshot>, ChainError> {
        let mut state = self.state();
        state.reachable()?;
        let account = state.accounts.get(address).filter(|_| !state.elsewhere).cloned();
        if state.lagging > 0 && account.as_ref().is_some_and(|account| account.owner == PROGRAM_ID) {
            state.lagging -= 1;
            return Ok(None);
        }
        Ok(account)
    }

    async fn delegations(
        &self,
        program_id: &Address,
        channel: &Address,
    ) -> Result<Vec<(Address, AccountSnapshot)>, ChainError> {
        assert_eq!(*program_id, PROGRAM_ID);
        self.state().search(channel)
    }

    async fn clock(&self) -> Result<ChainClock, ChainError> {
        let state = self.state();
        state.reachable()?;
        Ok(ChainClock { slot: state.slot, unix_timestamp: state.time })
    }

    async fn latest_blockhash(&self) -> Result<Hash, ChainError> {
        Ok(Hash::default())
    }

    async fn send(&self, transaction: &VersionedTransaction) -> Result<Confirmation, ChainError> {
        // long enough for parallel callers to meet
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        let mut state = self.state();
        let signature = transaction.signatures[0];
        state.payers.push(transaction.message.static_account_keys()[0]);
        let unheard = || ChainError::Unconfirmed { signature, reason: "told to".to_owned() };
        match state.weather.take() {
            Some(Weather::Dropped) => return Err(unheard()),
            Some(Weather::Refused) => {
                return Err(ChainError::from_transaction(TransactionError::BlockhashNotFound, Vec::new()));
            }
            Some(Weather::Late) => {
                state.late.push(transaction.clone());
                return Err(unheard());
            }
            Some(Weather::Unheard) => {
                state.run(transaction)?;
                return Err(unheard());
            }
            None => state.run(transaction)?,
        }
        state.slot += 1;
        Ok(Confirmation { signature, slot: state.slot, compute_units: None, fee: None })
    }
}
