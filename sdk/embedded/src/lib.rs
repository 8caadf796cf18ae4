//! The SDK's [`Chain`] in process: LiteSVM runs the real `amp.so`, the real token programs and the
//! ed25519 precompile. For tests and the demo; it has no validators, no forks and one writer.

mod changes;
mod clock;
mod faucet;
mod program;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use amp_protocol::account::{ChannelAccount, DelegationAccount};
use amp_sdk::chain::{
    AccountSnapshot, Chain, ChainClock, ChainError, ChannelChanges, Confirmation, MAX_TRANSACTION_BYTES,
    PROGRAM_ID,
};
use async_trait::async_trait;
use futures::{StreamExt as _, future};
use litesvm::LiteSVM;
use solana_address::Address;
use solana_hash::Hash;
use solana_instruction::Instruction;
use solana_keypair::Keypair;
use solana_message::{Message, VersionedMessage};
use solana_signer::Signer;
use solana_transaction::versioned::VersionedTransaction;
use solana_transaction_error::TransactionError;

pub use changes::AccountChange;
pub use clock::ClockMode;
pub use faucet::TestMint;
pub use program::{ProgramMissing, program_path};

/// A transaction that was executed, in order.
#[derive(Clone, Debug)]
pub struct Executed {
    /// What was confirmed.
    pub confirmation: Confirmation,
    /// Its log lines.
    pub logs: Vec<String>,
}

impl Executed {
    /// Names of the AMP instructions in it, as the program logs them.
    pub fn instruction_names(&self) -> Vec<&str> {
        let invoked = format!("Program {PROGRAM_ID} invoke [1]");
        let pairs = self.logs.iter().zip(self.logs.iter().skip(1));
        pairs
            .filter(|(invoke, _)| **invoke == invoked)
            .filter_map(|(_, line)| line.strip_prefix("Program log: Instruction: "))
            .collect()
    }
}

/// An embedded chain. Clones share it.
#[derive(Clone)]
pub struct EmbeddedChain {
    state: Arc<Mutex<State>>,
    /// Offers no subscription.
    polled: Arc<AtomicBool>,
}

struct State {
    svm: LiteSVM,
    bank: Keypair,
    clock: clock::Clock,
    executed: Vec<Executed>,
    mints: u16,
    blockhashes: u64,
    listeners: changes::Listeners,
}

impl EmbeddedChain {
    /// A new chain with the program of [`program_path`].
    pub fn new(mode: ClockMode) -> Result<Self, ProgramMissing> {
        let bytes = program::bytes()?;
        // blockhashes are checked for age by a cluster; here each reader gets one of its own, so
        // that equal transactions differ
        let mut svm = LiteSVM::new().with_blockhash_check(false);
        svm.add_program(PROGRAM_ID, &bytes).map_err(|error| ProgramMissing::unusable(&error))?;
        let bank = Keypair::new();
        svm.airdrop(&bank.pubkey(), 100_000_000_000_000)
            .map_err(|failed| ProgramMissing::unusable(&failed.err))?;
        let clock = clock::Clock::start(mode, &mut svm);
        let (executed, mints, blockhashes, listeners) = Default::default();
        Ok(Self::of(State { svm, bank, clock, executed, mints, blockhashes, listeners }))
    }

    fn of(state: State) -> Self {
        Self { state: Arc::new(Mutex::new(state)), polled: Arc::default() }
    }

    /// Another chain that begins where this one is: what is done with one, the other does not see. Costs
    /// less than a transaction, as accounts are copied only when they change.
    pub fn fork(&self) -> Self {
        let state = self.lock();
        let fork = State {
            svm: state.svm.clone(),
            bank: state.bank.insecure_clone(),
            clock: state.clock.clone(),
            executed: state.executed.clone(),
            mints: state.mints,
            blockhashes: state.blockhashes,
            listeners: changes::Listeners::default(),
        };
        Self::of(fork)
    }

    /// Offers no subscription from now on, or one again: whoever uses the chain has to look for itself.
    pub fn be_polled(&self, polled: bool) {
        self.polled.store(polled, Ordering::SeqCst);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets `seconds` pass, and the slots that go with them.
    pub fn advance_seconds(&self, seconds: u32) {
        let state = &mut *self.lock();
        state.clock.advance(&mut state.svm, seconds);
    }

    /// Lets `slots` pass, and no time.
    pub fn advance_slots(&self, slots: u64) {
        let state = &mut *self.lock();
        state.clock.advance_slots(&mut state.svm, slots);
    }

    /// Sets the time, for clocks no cluster has.
    pub fn set_unix_timestamp(&self, unix_timestamp: i64) {
        let state = &mut *self.lock();
        state.clock.set(&mut state.svm, unix_timestamp);
    }

    /// Executes `instructions` at once, signed by `signers`, the first of whom pays.
    pub fn execute(
        &self,
        instructions: &[Instruction],
        signers: &[&Keypair],
    ) -> Result<Executed, ChainError> {
        self.lock().run(instructions, signers)
    }

    /// A blockhash that no other transaction has.
    pub fn next_blockhash(&self) -> Hash {
        self.lock().next_blockhash()
    }

    /// Executes a transaction that is signed already, and says what the runtime says.
    ///
    /// # Errors
    /// The runtime's own error, and the logs.
    pub fn submit(
        &self,
        transaction: &VersionedTransaction,
    ) -> Result<Executed, (TransactionError, Vec<String>)> {
        let state = &mut *self.lock();
        let executed = state.submit(transaction)?;
        state.executed.push(executed.clone());
        Ok(executed)
    }

    /// Every transaction that succeeded through [`Chain::send`] or [`EmbeddedChain::execute`].
    pub fn executed(&self) -> Vec<Executed> {
        self.lock().executed.clone()
    }

    /// Lamports of an account; zero where there is none.
    pub fn lamports(&self, address: &Address) -> u64 {
        self.lock().svm.get_balance(address).unwrap_or_default()
    }

    /// Lamports of all accounts together: fees burn some, nothing makes any.
    pub fn lamports_in_all(&self) -> u128 {
        use solana_account::ReadableAccount;
        self.lock().svm.accounts_db().inner.values().map(|account| u128::from(account.lamports())).sum()
    }

    /// An account as it is now.
    pub fn snapshot(&self, address: &Address) -> Option<AccountSnapshot> {
        live_snapshot(&self.lock().svm, address)
    }

    /// Overwrites an account: what no transaction could make, to test what the program makes of it.
    pub fn overwrite(&self, address: &Address, account: AccountSnapshot) -> Result<(), ChainError> {
        let account = solana_account::Account {
            lamports: account.lamports,
            data: account.data,
            owner: account.owner,
            executable: false,
            rent_epoch: u64::MAX,
        };
        let written = self.lock().svm.set_account(*address, account);
        written.map_err(|error| ChainError::Compile(error.to_string()))
    }

    /// The clock as programs see it.
    pub fn clock_now(&self) -> ChainClock {
        let state = &mut *self.lock();
        state.clock.now(&mut state.svm)
    }
}

impl EmbeddedChain {
    /// The accounts of a program whose data are `wanted`.
    pub fn program_accounts(
        &self,
        program_id: &Address,
        wanted: impl Fn(&[u8]) -> bool,
    ) -> Vec<(Address, AccountSnapshot)> {
        let owned = self.lock().svm.get_program_accounts(program_id);
        let found = owned.into_iter().filter(|(_, account)| account.lamports > 0 && wanted(&account.data));
        found.map(|(address, account)| (address, snapshot(account))).collect()
    }
}

fn live_snapshot(svm: &LiteSVM, address: &Address) -> Option<AccountSnapshot> {
    let account = svm.get_account(address)?;
    // an account without lamports is gone
    (account.lamports > 0).then(|| snapshot(account))
}

fn snapshot(account: solana_account::Account) -> AccountSnapshot {
    AccountSnapshot { owner: account.owner, lamports: account.lamports, data: account.data }
}

impl State {
    /// A blockhash that no other transaction has.
    fn next_blockhash(&mut self) -> Hash {
        self.blockhashes = self.blockhashes.wrapping_add(1);
        let mut bytes = *b"a hash of the embedded chain    ";
        if let Some(tail) = bytes.last_chunk_mut::<8>() {
            *tail = self.blockhashes.to_be_bytes();
        }
        Hash::new_from_array(bytes)
    }

    fn run(&mut self, instructions: &[Instruction], signers: &[&Keypair]) -> Result<Executed, ChainError> {
        let payer = signers.first().map(|signer| signer.pubkey());
        let message = Message::new_with_blockhash(instructions, payer.as_ref(), &self.next_blockhash());
        let transaction = VersionedTransaction::try_new(VersionedMessage::Legacy(message), signers)
            .map_err(|error| ChainError::Compile(error.to_string()))?;
        self.execute(&transaction)
    }

    fn execute(&mut self, transaction: &VersionedTransaction) -> Result<Executed, ChainError> {
        let bytes = transaction.message.serialize().len();
        let size = transaction.signatures.len().saturating_mul(64).saturating_add(1).saturating_add(bytes);
        // LiteSVM takes any size; a cluster does not
        if size > MAX_TRANSACTION_BYTES {
            return Err(ChainError::TooLarge { size, most: MAX_TRANSACTION_BYTES });
        }
        self.submit(transaction).map_err(|(error, logs)| ChainError::from_transaction(error, logs))
    }

    fn submit(
        &mut self,
        transaction: &VersionedTransaction,
    ) -> Result<Executed, (TransactionError, Vec<String>)> {
        let slot = self.clock.now(&mut self.svm).slot;
        let before = self.before(transaction);
        let done = self.svm.send_transaction(transaction.clone());
        let meta = done.map_err(|failed| (failed.err, failed.meta.logs))?;
        self.tell(before, slot);
        Ok(Executed {
            confirmation: Confirmation {
                signature: meta.signature,
                slot,
                compute_units: Some(meta.compute_units_consumed),
                fee: Some(meta.fee),
            },
            logs: meta.logs,
        })
    }
}

#[async_trait]
impl Chain for EmbeddedChain {
    async fn account(&self, address: &Address) -> Result<Option<AccountSnapshot>, ChainError> {
        Ok(self.snapshot(address))
    }

    /// All as they are at one moment, as a node gives them.
    async fn accounts(
        &self,
        addresses: &[Address],
    ) -> Result<(Vec<Option<AccountSnapshot>>, Option<u64>), ChainError> {
        let state = &mut *self.lock();
        let slot = state.clock.now(&mut state.svm).slot;
        Ok((addresses.iter().map(|address| live_snapshot(&state.svm, address)).collect(), Some(slot)))
    }

    async fn account_at(
        &self,
        address: &Address,
    ) -> Result<(Option<AccountSnapshot>, Option<u64>), ChainError> {
        let state = &mut *self.lock();
        let slot = state.clock.now(&mut state.svm).slot;
        Ok((live_snapshot(&state.svm, address), Some(slot)))
    }

    async fn watch_channels(
        &self,
        program_id: &Address,
        recipient: &Address,
    ) -> Result<Option<ChannelChanges>, ChainError> {
        if self.polled.load(Ordering::SeqCst) {
            return Ok(None);
        }
        let (program_id, recipient) = (*program_id, *recipient);
        let own = move |change: AccountChange| future::ready(change.of_channel(&program_id, &recipient));
        Ok(Some(self.changes().filter_map(own).boxed()))
    }

    async fn delegations(
        &self,
        program_id: &Address,
        channel: &Address,
    ) -> Result<Vec<(Address, AccountSnapshot)>, ChainError> {
        let names_channel = |data: &[u8]| {
            DelegationAccount::decode(data).is_ok_and(|account| account.channel == channel.to_bytes())
        };
        Ok(self.program_accounts(program_id, names_channel))
    }

    async fn channels_funded_by(
        &self,
        program_id: &Address,
        funder: &Address,
    ) -> Result<Vec<(Address, AccountSnapshot)>, ChainError> {
        let names_funder = |data: &[u8]| {
            ChannelAccount::decode(data).is_ok_and(|account| account.funder == funder.to_bytes())
        };
        Ok(self.program_accounts(program_id, names_funder))
    }

    async fn channels_paid_to(
        &self,
        program_id: &Address,
        recipient: &Address,
    ) -> Result<Vec<(Address, AccountSnapshot)>, ChainError> {
        let names_recipient = |data: &[u8]| {
            ChannelAccount::decode(data).is_ok_and(|account| account.recipient == recipient.to_bytes())
        };
        Ok(self.program_accounts(program_id, names_recipient))
    }

    async fn delegations_to(
        &self,
        program_id: &Address,
        delegate: &Address,
    ) -> Result<Vec<(Address, AccountSnapshot)>, ChainError> {
        let names_delegate = |data: &[u8]| {
            DelegationAccount::decode(data).is_ok_and(|account| account.delegate == delegate.to_bytes())
        };
        Ok(self.program_accounts(program_id, names_delegate))
    }

    async fn clock(&self) -> Result<ChainClock, ChainError> {
        Ok(self.clock_now())
    }

    async fn latest_blockhash(&self) -> Result<Hash, ChainError> {
        Ok(self.lock().next_blockhash())
    }

    async fn send(&self, transaction: &VersionedTransaction) -> Result<Confirmation, ChainError> {
        let mut state = self.lock();
        let executed = state.execute(transaction)?;
        let confirmation = executed.confirmation;
        state.executed.push(executed);
        Ok(confirmation)
    }
}
