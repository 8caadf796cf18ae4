use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use amp_protocol::account::{ChannelAccount, DelegationAccount};
use amp_protocol::message::{Credential, Key};
use amp_protocol::money::Amount;
use amp_protocol::rules::{self, SignerBooks};
use amp_protocol::{ed25519_instruction, instruction};
use async_trait::async_trait;
use futures::StreamExt as _;
use futures::channel::mpsc::{UnboundedSender, unbounded};
use solana_address::Address;
use solana_hash::Hash;
use solana_transaction::versioned::VersionedTransaction;
use solana_transaction_error::TransactionError;
use tokio::sync::Notify;

use super::sent::Sent;
use super::{CHANNEL, channel_account};
use crate::chain::{
    AccountSnapshot, Chain, ChainClock, ChainError, ChannelChange, ChannelChanges, Confirmation,
    MAX_ACCOUNTS_AT_ONCE, PROGRAM_ID, TOKEN_PROGRAM, TransactionFormat, associated_token_address,
    delegation_address,
};
use crate::server::clock::unix_now;
use crate::server::views::lock;
use crate::signed;

/// What happens to the next transactions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fate {
    #[default]
    Lands,
    LandsUnseen,
    Lost,
    Panics,
    /// It is lost, and this channel is where it would have opened one.
    LostBeside(Box<ChannelAccount>),
}

/// What happens when an account is read, just before it is.
type Hook = Box<dyn FnOnce(&FakeChain) + Send>;

#[derive(Default)]
pub(crate) struct FakeChain {
    accounts: Mutex<HashMap<Address, AccountSnapshot>>,
    ahead: Mutex<i64>,
    down: AtomicBool,
    /// Accounts that were asked for, answered or not.
    asked: AtomicUsize,
    reads: AtomicUsize,
    calls: AtomicUsize,
    searches: AtomicUsize,
    searches_fail: AtomicBool,
    /// Searches find nothing: their node lags.
    searches_lag: AtomicBool,
    fate: Mutex<Fate>,
    /// All transactions so far, landed or not.
    sent: Mutex<Vec<Sent>>,
    settled: Mutex<Amount>,
    hooks: Mutex<HashMap<Address, Hook>>,
    unreadable: Mutex<HashSet<Address>>,
    on_sending: Mutex<Option<Hook>>,
    /// Whether the next transactions land before their blockhash expires unseen.
    expiring: Mutex<VecDeque<bool>>,
    recent_fees: Mutex<Vec<u64>>,
    format: Mutex<TransactionFormat>,
    blockhashes: AtomicUsize,
    refused: Mutex<HashSet<Address>>,
    /// Whose transactions wait.
    held: Mutex<HashSet<Address>>,
    held_reads: Mutex<HashSet<Address>>,
    released: Notify,
    /// Of which reads are; 0: it does not tell.
    slot: AtomicU64,
    tells: AtomicBool,
    listeners: Mutex<Vec<UnboundedSender<ChannelChange>>>,
    subscriptions: AtomicUsize,
}

impl FakeChain {
    pub(crate) fn put(&self, address: Key, account: AccountSnapshot) {
        lock(&self.accounts).insert(Address::from(address), account);
    }

    pub(crate) fn put_channel(&self, address: Key, account: &ChannelAccount) {
        let data = account.encode().to_vec();
        self.put(address, AccountSnapshot { owner: PROGRAM_ID, lamports: 1, data });
    }

    /// Puts a delegation where the program would, and notes it in its channel; returns its address.
    pub(crate) fn put_delegation(&self, account: &DelegationAccount) -> Key {
        if self.has(account.channel) {
            self.change_channel(|found| {
                found.delegated_slot = found.delegated_slot.max(account.created_slot);
            });
        }
        let (channel, delegate) = (Address::from(account.channel), Address::from(account.delegate));
        let address = delegation_address(&PROGRAM_ID, &channel, &delegate).to_bytes();
        let data = account.encode().to_vec();
        self.put(address, AccountSnapshot { owner: PROGRAM_ID, lamports: 1, data });
        address
    }

    pub(crate) fn delegation(&self, address: Key) -> DelegationAccount {
        DelegationAccount::decode(&self.snapshot(address).data).unwrap()
    }

    pub(crate) fn change_delegation(&self, address: Key, change: impl FnOnce(&mut DelegationAccount)) {
        let mut account = self.delegation(address);
        change(&mut account);
        self.put_delegation(&account);
    }

    pub(crate) fn snapshot(&self, address: Key) -> AccountSnapshot {
        lock(&self.accounts)[&Address::from(address)].clone()
    }

    pub(crate) fn channel(&self) -> ChannelAccount {
        self.channel_at(CHANNEL)
    }

    pub(crate) fn channel_at(&self, address: Key) -> ChannelAccount {
        ChannelAccount::decode(&self.snapshot(address).data).unwrap()
    }

    pub(crate) fn change_channel(&self, change: impl FnOnce(&mut ChannelAccount)) {
        let mut account = self.channel();
        change(&mut account);
        self.put_channel(CHANNEL, &account);
    }

    /// The funder has the token account that a close by the recipient refunds to.
    pub(crate) fn put_refund_account(&self) {
        let account = AccountSnapshot { owner: TOKEN_PROGRAM, lamports: 1, data: vec![0; 165] };
        self.put(Self::refund_account(), account);
    }

    /// Where a close by the recipient refunds to.
    pub(crate) fn refund_account() -> Key {
        let account = channel_account();
        let (funder, mint) = (Address::from(account.funder), Address::from(account.mint));
        associated_token_address(&funder, &mint, &TOKEN_PROGRAM).to_bytes()
    }

    /// Does something just before the next read of an account.
    pub(crate) fn before_reading(&self, address: Key, hook: impl FnOnce(&Self) + Send + 'static) {
        lock(&self.hooks).insert(Address::from(address), Box::new(hook));
    }

    /// The blockhashes of the next transactions expire before they are seen; each of them lands, or not.
    pub(crate) fn expire(&self, landed: impl IntoIterator<Item = bool>) {
        *lock(&self.expiring) = landed.into_iter().collect();
    }

    /// What was paid in the last slots, whatever was written.
    /// The largest format of transactions that is taken from now on.
    pub(crate) fn takes(&self, format: TransactionFormat) {
        *lock(&self.format) = format;
    }

    pub(crate) fn recent_fees(&self, fees: Vec<u64>) {
        *lock(&self.recent_fees) = fees;
    }

    /// All transactions so far, landed or not.
    pub(crate) fn transactions(&self) -> Vec<Sent> {
        lock(&self.sent).clone()
    }

    /// Does something just before the next transaction is executed.
    pub(crate) fn before_sending(&self, hook: impl FnOnce(&Self) + Send + 'static) {
        *lock(&self.on_sending) = Some(Box::new(hook));
    }

    /// Transactions on this channel are refused, whatever the rules say.
    pub(crate) fn refuse(&self, channel: Key, refuse: bool) {
        let (channel, mut refused) = (Address::from(channel), lock(&self.refused));
        if refuse {
            refused.insert(channel)
        } else {
            refused.remove(&channel)
        };
    }

    /// The channels that each transaction was to settle, in the order of sending.
    pub(crate) fn settlements(&self) -> Vec<Vec<Key>> {
        lock(&self.sent).iter().map(|sent| sent.settles.clone()).collect()
    }

    /// Reads of many accounts with this one among them do not end until they are [let go](Self::let_go).
    pub(crate) fn hold_reads(&self, address: Key) {
        lock(&self.held_reads).insert(Address::from(address));
    }

    /// Transactions on this channel do not confirm until they are [let go](Self::let_go).
    pub(crate) fn hold(&self, channel: Key) {
        lock(&self.held).insert(Address::from(channel));
    }

    pub(crate) fn let_go(&self, channel: Key) {
        lock(&self.held).remove(&Address::from(channel));
        lock(&self.held_reads).remove(&Address::from(channel));
        self.released.notify_waiters();
    }

    async fn wait_while(&self, held: &Mutex<HashSet<Address>>, keys: &[Address]) {
        loop {
            let mut released = std::pin::pin!(self.released.notified());
            released.as_mut().enable();
            if !lock(held).iter().any(|held| keys.contains(held)) {
                return;
            }
            released.await;
        }
    }

    pub(crate) fn remove(&self, address: Key) {
        lock(&self.accounts).remove(&Address::from(address));
    }

    /// Paid out by all settlements.
    pub(crate) fn settled(&self) -> Amount {
        *lock(&self.settled)
    }

    pub(crate) fn has(&self, address: Key) -> bool {
        lock(&self.accounts).contains_key(&Address::from(address))
    }

    pub(crate) fn go_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    /// Searches for delegations are answered by a node that has seen none of them yet.
    pub(crate) fn lag_searches(&self) {
        self.searches_lag.store(true, Ordering::SeqCst);
    }

    /// A node without an index of program accounts.
    pub(crate) fn fail_searches(&self, fail: bool) {
        self.searches_fail.store(fail, Ordering::SeqCst);
    }

    /// Offers subscriptions, and tells of which slot its answers are.
    pub(crate) fn offer_subscriptions(&self, slot: u64) {
        self.slot.store(slot, Ordering::SeqCst);
        self.tells.store(true, Ordering::SeqCst);
    }

    /// Tells of a channel as it is, or that it is gone.
    pub(crate) fn tell(&self, address: Key, slot: u64) {
        let address = Address::from(address);
        let account = lock(&self.accounts).get(&address).cloned();
        for listener in &*lock(&self.listeners) {
            let change = ChannelChange { address, account: account.clone(), slot };
            listener.unbounded_send(change).unwrap();
        }
    }

    /// Ends all subscriptions.
    pub(crate) fn cut_subscriptions(&self) {
        lock(&self.listeners).clear();
    }

    /// Begun so far, or tried to.
    pub(crate) fn subscriptions(&self) -> usize {
        self.subscriptions.load(Ordering::SeqCst)
    }

    pub(crate) fn advance(&self, seconds: i64) {
        *lock(&self.ahead) += seconds;
    }

    pub(crate) fn fate(&self, fate: Fate) {
        *lock(&self.fate) = fate;
    }

    /// Accounts that were asked for, answered or not.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    pub(crate) fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }

    /// Reads of accounts, those of many at once counted once.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// Searches for delegations.
    pub(crate) fn searches(&self) -> usize {
        self.searches.load(Ordering::SeqCst)
    }

    pub(crate) fn sent(&self) -> usize {
        lock(&self.sent).len()
    }

    /// Reads of many accounts at once fail where this one is among them.
    pub(crate) fn fail_reads_of(&self, address: Key, fail: bool) {
        let address = Address::from(address);
        let mut unreadable = lock(&self.unreadable);
        if fail {
            unreadable.insert(address)
        } else {
            unreadable.remove(&address)
        };
    }

    fn read(&self, address: &Address) -> Option<AccountSnapshot> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let hook = lock(&self.hooks).remove(address);
        if let Some(hook) = hook {
            hook(self);
        }
        lock(&self.accounts).get(address).cloned()
    }

    fn up(&self) -> Result<(), ChainError> {
        if self.down.load(Ordering::SeqCst) {
            return Err(ChainError::Unreachable("http://secret-key@node".to_owned()));
        }
        Ok(())
    }

    pub(crate) fn now(&self) -> i64 {
        unix_now() + *lock(&self.ahead)
    }

    /// All instructions, or none.
    fn execute(&self, transaction: &VersionedTransaction) -> Result<(), ChainError> {
        let before = (lock(&self.accounts).clone(), self.settled());
        let done = self.run(transaction);
        if done.is_err() {
            (*lock(&self.accounts), *lock(&self.settled)) = before;
        }
        done
    }

    fn run(&self, transaction: &VersionedTransaction) -> Result<(), ChainError> {
        let keys = transaction.message.static_account_keys();
        let instructions = transaction.message.instructions();
        for (at, instruction) in instructions.iter().enumerate() {
            if keys[usize::from(instruction.program_id_index)] != PROGRAM_ID {
                continue;
            }
            let channel = keys[usize::from(instruction.accounts[1])].to_bytes();
            if lock(&self.refused).contains(&Address::from(channel)) {
                return Err(ChainError::Failed { error: TransactionError::AccountInUse, logs: Vec::new() });
            }
            let (discriminator, arguments) = instruction.data.split_first_chunk::<8>().unwrap();
            match *discriminator {
                instruction::SETTLE => {
                    let owed = u64::from_le_bytes(arguments.try_into().unwrap());
                    let delegation = keys[usize::from(instruction.accounts[7])];
                    let delegation = (delegation != PROGRAM_ID).then(|| delegation.to_bytes());
                    self.settle(channel, delegation, &instructions[at - 1].data, Amount::new(owed))?;
                }
                instruction::CLOSE_CHANNEL => self.remove(channel),
                _ => panic!("the service sends no other instruction"),
            }
        }
        Ok(())
    }

    /// Puts a channel where a transaction would have chained one, with the nonce it would have had.
    fn open_beside(&self, transaction: &VersionedTransaction, other: ChannelAccount) {
        let keys = transaction.message.static_account_keys();
        let chain = transaction.message.instructions().iter();
        let chain = chain.last().unwrap();
        let nonce = u64::from_le_bytes(chain.data[16..24].try_into().unwrap());
        let address = keys[usize::from(chain.accounts[6])].to_bytes();
        self.put_channel(address, &ChannelAccount { nonce, ..other });
    }

    fn settle(
        &self,
        address: Key,
        delegation: Option<Key>,
        precompile: &[u8],
        owed: Amount,
    ) -> Result<(), ChainError> {
        let signed = ed25519_instruction::parse::<52>(precompile).unwrap();
        let credential = Credential::parse(signed.message).unwrap();
        let signature = precompile[48..112].try_into().unwrap();
        assert!(signed::verify_strict(signed.signer, signed.message, signature));
        assert_eq!(credential.channel, address);
        let (mut account, now, seq) = (self.channel_at(address), self.now(), credential.seq);
        let delegation = delegation.map(|address| (address, self.delegation(address)));
        let done = match &delegation {
            None => {
                assert_eq!(
                    (credential.epoch, *signed.signer),
                    (account.opened_slot, account.authorized_signer)
                );
                rules::settle(&account.terms, &account.books, &account.signer, seq, owed, now)
            }
            Some((_, found)) => {
                assert_eq!((credential.epoch, *signed.signer), (found.created_slot, found.delegate));
                assert_eq!((found.channel, found.channel_opened_slot), (address, account.opened_slot));
                found.delegation.settle(&account.terms, &account.books, seq, owed, now)
            }
        };
        let done = done.map_err(ChainError::Rejected)?;
        let settled = &mut *lock(&self.settled);
        *settled = settled.checked_add(done.payout).unwrap();
        account.books.claimed = done.claimed;
        account.books.window = done.window;
        let signer = SignerBooks { claimed: done.signer_claimed, last_settled_at: now };
        match delegation {
            None => account.signer = signer,
            Some((address, _)) => self.change_delegation(address, |found| found.delegation.signer = signer),
        }
        self.put_channel(address, &account);
        Ok(())
    }
}

#[async_trait]
impl Chain for FakeChain {
    async fn account(&self, address: &Address) -> Result<Option<AccountSnapshot>, ChainError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.up()?;
        self.calls.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        Ok(self.read(address))
    }

    async fn accounts(
        &self,
        addresses: &[Address],
    ) -> Result<(Vec<Option<AccountSnapshot>>, Option<u64>), ChainError> {
        self.asked.fetch_add(addresses.len(), Ordering::SeqCst);
        self.up()?;
        assert!(addresses.len() <= MAX_ACCOUNTS_AT_ONCE);
        self.calls.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        self.wait_while(&self.held_reads, addresses).await;
        if lock(&self.unreadable).iter().any(|address| addresses.contains(address)) {
            return Err(ChainError::Unreachable("told to".to_owned()));
        }
        let slot = Some(self.slot.load(Ordering::SeqCst)).filter(|slot| *slot != 0);
        Ok((addresses.iter().map(|address| self.read(address)).collect(), slot))
    }

    async fn account_at(
        &self,
        address: &Address,
    ) -> Result<(Option<AccountSnapshot>, Option<u64>), ChainError> {
        let slot = Some(self.slot.load(Ordering::SeqCst)).filter(|slot| *slot != 0);
        Ok((self.account(address).await?, slot))
    }

    async fn watch_channels(
        &self,
        _program_id: &Address,
        _recipient: &Address,
    ) -> Result<Option<ChannelChanges>, ChainError> {
        if !self.tells.load(Ordering::SeqCst) {
            return Ok(None);
        }
        self.subscriptions.fetch_add(1, Ordering::SeqCst);
        self.up()?;
        let (listener, changes) = unbounded();
        lock(&self.listeners).push(listener);
        Ok(Some(changes.boxed()))
    }

    async fn delegations(
        &self,
        _program_id: &Address,
        channel: &Address,
    ) -> Result<Vec<(Address, AccountSnapshot)>, ChainError> {
        self.up()?;
        self.searches.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        if self.searches_fail.load(Ordering::SeqCst) {
            return Err(ChainError::Unreachable("accounts are not indexed here".to_owned()));
        }
        if self.searches_lag.load(Ordering::SeqCst) {
            return Ok(Vec::new());
        }
        // as a careless node might: by the bytes alone, whoever owns the account
        let accounts = lock(&self.accounts);
        let found = accounts.iter().filter(|(_, account)| {
            account.data.len() == DelegationAccount::LEN && account.data[16..48] == channel.to_bytes()
        });
        Ok(found.map(|(address, account)| (*address, account.clone())).collect())
    }

    async fn clock(&self) -> Result<ChainClock, ChainError> {
        self.up()?;
        Ok(ChainClock { slot: 1, unix_timestamp: self.now() })
    }

    async fn latest_blockhash(&self) -> Result<Hash, ChainError> {
        self.up()?;
        let number = self.blockhashes.fetch_add(1, Ordering::SeqCst);
        Ok(Hash::new_from_array([u8::try_from(number % 256).unwrap(); 32]))
    }

    async fn transaction_format(&self) -> TransactionFormat {
        *lock(&self.format)
    }

    async fn recent_priority_fees(&self, written: &[Address]) -> Result<Vec<u64>, ChainError> {
        self.up()?;
        assert!(!written.is_empty());
        Ok(lock(&self.recent_fees).clone())
    }

    async fn send(&self, transaction: &VersionedTransaction) -> Result<Confirmation, ChainError> {
        self.up()?;
        let signature = transaction.signatures[0];
        let unknown = || ChainError::Unconfirmed { signature, reason: "timed out".to_owned() };
        lock(&self.sent).push(Sent::new(transaction));
        self.wait_while(&self.held, transaction.message.static_account_keys()).await;
        let hook = lock(&self.on_sending).take();
        if let Some(hook) = hook {
            hook(self);
        }
        let expires = lock(&self.expiring).pop_front();
        if let Some(lands) = expires {
            let done = if lands { self.execute(transaction) } else { Ok(()) };
            return done.and(Err(ChainError::Expired { signature }));
        }
        let fate = lock(&self.fate).clone();
        match fate {
            Fate::Lost => return Err(unknown()),
            Fate::Panics => panic!("told to"),
            Fate::LandsUnseen => return self.execute(transaction).and(Err(unknown())),
            Fate::LostBeside(other) => {
                self.open_beside(transaction, *other);
                return Err(unknown());
            }
            Fate::Lands => self.execute(transaction)?,
        }
        Ok(Confirmation { signature, slot: 1, compute_units: None, fee: Some(10_000) })
    }
}
