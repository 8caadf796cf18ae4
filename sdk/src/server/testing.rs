//! A chain in memory that serves hand-encoded accounts and runs `settle` and `close_channel` by the
//! protocol's rules.

#![allow(clippy::arithmetic_side_effects, reason = "an overflow fails the test, as it should")]

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use amp_protocol::account::ChannelAccount;
use amp_protocol::json::CredentialBody;
use amp_protocol::message::{Credential, Key};
use amp_protocol::money::{Amount, Seq};
use amp_protocol::rules::{self, Books, RateWindow, SignerBooks, Terms};
use amp_protocol::{ed25519_instruction, instruction};
use async_trait::async_trait;
use solana_address::Address;
use solana_hash::Hash;
use solana_transaction::versioned::VersionedTransaction;

use super::channels::lock;
use super::config::ServiceConfig;
use super::ledger::{SignerId, SignerRecord};
use super::service::AmpService;
use super::store::{Incarnation, SqliteStore, Store, StoreError, StoreIdentity, StoredChannel};
use crate::chain::{
    AccountSnapshot, Chain, ChainClock, ChainError, Confirmation, PROGRAM_ID, TOKEN_PROGRAM,
    associated_token_address,
};
use crate::signed;
use crate::signer::{KeypairSigner, Signer};

pub(crate) const CHANNEL: Key = [200; 32];
pub(crate) const MINT: Key = [4; 32];
const OPENED_SLOT: u64 = 9;

/// A channel of 10 000 with unit price 1, no tight limit, opened a minute ago.
pub(crate) fn channel_account() -> ChannelAccount {
    let opened_at = super::clock::unix_now() - 60;
    ChannelAccount {
        bump: 255,
        vault_bump: 255,
        chain_depth: 0,
        funder: [1; 32],
        recipient: [2; 32],
        authorized_signer: [3; 32],
        mint: MINT,
        vault: [5; 32],
        rent_payer: [6; 32],
        parent: [0; 32],
        nonce: 1,
        opened_slot: OPENED_SLOT,
        opened_at,
        closing_at: 0,
        terms: Terms {
            unit_price: 1,
            rate_limit: 10_000,
            settle_interval: 60,
            close_grace: 3_600,
            max_chain_depth: 0,
        },
        books: Books {
            deposited: Amount::new(10_000),
            claimed: Amount::ZERO,
            window: RateWindow { started_at: opened_at, claimed: Amount::ZERO },
            closing: false,
        },
        signer: SignerBooks { claimed: Amount::ZERO, last_settled_at: opened_at },
    }
}

pub(crate) fn signer_id() -> SignerId {
    SignerId::authorized(&channel_account())
}

/// What happens to the next transactions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fate {
    #[default]
    Lands,
    LandsUnseen,
    Lost,
    Panics,
}

#[derive(Default)]
pub(crate) struct FakeChain {
    accounts: Mutex<HashMap<Address, AccountSnapshot>>,
    ahead: Mutex<i64>,
    down: AtomicBool,
    reads: AtomicUsize,
    fate: Mutex<Fate>,
    sent: Mutex<usize>,
    settled: Mutex<Amount>,
}

impl FakeChain {
    pub(crate) fn put(&self, address: Key, account: AccountSnapshot) {
        lock(&self.accounts).insert(Address::from(address), account);
    }

    pub(crate) fn put_channel(&self, address: Key, account: &ChannelAccount) {
        let data = account.encode().to_vec();
        self.put(address, AccountSnapshot { owner: PROGRAM_ID, lamports: 1, data });
    }

    pub(crate) fn snapshot(&self, address: Key) -> AccountSnapshot {
        lock(&self.accounts)[&Address::from(address)].clone()
    }

    pub(crate) fn channel(&self) -> ChannelAccount {
        ChannelAccount::decode(&self.snapshot(CHANNEL).data).unwrap()
    }

    pub(crate) fn change_channel(&self, change: impl FnOnce(&mut ChannelAccount)) {
        let mut account = self.channel();
        change(&mut account);
        self.put_channel(CHANNEL, &account);
    }

    /// The funder has the token account that a close by the recipient refunds to.
    pub(crate) fn put_refund_account(&self) {
        let account = channel_account();
        let (funder, mint) = (Address::from(account.funder), Address::from(account.mint));
        let address = associated_token_address(&funder, &mint, &TOKEN_PROGRAM);
        self.put(
            address.to_bytes(),
            AccountSnapshot { owner: TOKEN_PROGRAM, lamports: 1, data: vec![0; 165] },
        );
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

    pub(crate) fn advance(&self, seconds: i64) {
        *lock(&self.ahead) += seconds;
    }

    pub(crate) fn fate(&self, fate: Fate) {
        *lock(&self.fate) = fate;
    }

    pub(crate) fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }

    pub(crate) fn sent(&self) -> usize {
        *lock(&self.sent)
    }

    fn up(&self) -> Result<(), ChainError> {
        if self.down.load(Ordering::SeqCst) {
            return Err(ChainError::Unreachable("http://secret-key@node".to_owned()));
        }
        Ok(())
    }

    fn now(&self) -> i64 {
        super::clock::unix_now() + *lock(&self.ahead)
    }

    fn execute(&self, transaction: &VersionedTransaction) -> Result<(), ChainError> {
        let keys = transaction.message.static_account_keys();
        let instructions = transaction.message.instructions();
        for (at, instruction) in instructions.iter().enumerate() {
            if keys[usize::from(instruction.program_id_index)] != PROGRAM_ID {
                continue;
            }
            let channel = keys[usize::from(instruction.accounts[1])].to_bytes();
            let (discriminator, arguments) = instruction.data.split_first_chunk::<8>().unwrap();
            match *discriminator {
                instruction::SETTLE => {
                    let owed = u64::from_le_bytes(arguments.try_into().unwrap());
                    self.settle(channel, &instructions[at - 1].data, Amount::new(owed))?;
                }
                instruction::CLOSE_CHANNEL => self.remove(channel),
                _ => panic!("the service sends no other instruction"),
            }
        }
        Ok(())
    }

    fn settle(&self, address: Key, precompile: &[u8], owed: Amount) -> Result<(), ChainError> {
        let signed = ed25519_instruction::parse::<52>(precompile).unwrap();
        let credential = Credential::parse(signed.message).unwrap();
        let mut account = self.channel();
        assert_eq!((credential.channel, credential.epoch), (address, account.opened_slot));
        assert_eq!(*signed.signer, account.authorized_signer);
        let signature = precompile[48..112].try_into().unwrap();
        assert!(signed::verify_strict(signed.signer, signed.message, signature));
        let now = self.now();
        let done = rules::settle(&account.terms, &account.books, &account.signer, credential.seq, owed, now)
            .map_err(ChainError::Rejected)?;
        let settled = &mut *lock(&self.settled);
        *settled = settled.checked_add(done.payout).unwrap();
        account.books.claimed = done.claimed;
        account.books.window = done.window;
        account.signer = SignerBooks { claimed: done.signer_claimed, last_settled_at: now };
        self.put_channel(address, &account);
        Ok(())
    }
}

#[async_trait]
impl Chain for FakeChain {
    async fn account(&self, address: &Address) -> Result<Option<AccountSnapshot>, ChainError> {
        self.up()?;
        self.reads.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        Ok(lock(&self.accounts).get(address).cloned())
    }

    async fn clock(&self) -> Result<ChainClock, ChainError> {
        self.up()?;
        Ok(ChainClock { slot: 1, unix_timestamp: self.now() })
    }

    async fn latest_blockhash(&self) -> Result<Hash, ChainError> {
        self.up().map(|()| Hash::default())
    }

    async fn send(&self, transaction: &VersionedTransaction) -> Result<Confirmation, ChainError> {
        self.up()?;
        *lock(&self.sent) += 1;
        let signature = transaction.signatures[0];
        let unknown = || ChainError::Unconfirmed { signature, reason: "timed out".to_owned() };
        match *lock(&self.fate) {
            Fate::Lost => return Err(unknown()),
            Fate::Panics => panic!("told to"),
            Fate::LandsUnseen => return self.execute(transaction).and(Err(unknown())),
            Fate::Lands => self.execute(transaction)?,
        }
        Ok(Confirmation { signature, slot: 1, compute_units: None, fee: None })
    }
}

/// What happens to the writes of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disk {
    Works,
    /// This many writes more, then it is full.
    FullAfter(usize),
    /// Writes wait.
    Hangs,
}

/// A store whose writes can be made to fail.
pub(crate) struct BreakableStore {
    inner: SqliteStore,
    disk: Arc<Mutex<Disk>>,
}

impl BreakableStore {
    async fn check(&self) -> Result<(), StoreError> {
        while *lock(&self.disk) == Disk::Hangs {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        match &mut *lock(&self.disk) {
            Disk::FullAfter(0) => Err(StoreError("disk full".into())),
            Disk::FullAfter(left) => {
                *left -= 1;
                Ok(())
            }
            Disk::Works | Disk::Hangs => Ok(()),
        }
    }
}

#[async_trait]
impl Store for BreakableStore {
    async fn load(
        &self,
        identity: &StoreIdentity,
        seq_window: u32,
    ) -> Result<Vec<StoredChannel>, StoreError> {
        self.inner.load(identity, seq_window).await
    }

    async fn recall(
        &self,
        incarnation: Incarnation,
        seq_window: u32,
    ) -> Result<Option<StoredChannel>, StoreError> {
        self.inner.recall(incarnation, seq_window).await
    }

    async fn commit(&self, incarnation: Incarnation, record: SignerRecord) -> Result<(), StoreError> {
        self.check().await?;
        self.inner.commit(incarnation, record).await
    }

    async fn stop(&self, incarnation: Incarnation, at: i64) -> Result<(), StoreError> {
        self.check().await?;
        self.inner.stop(incarnation, at).await
    }

    async fn keep_statement(
        &self,
        statement: amp_protocol::json::SignedCloseStatement,
    ) -> Result<(), StoreError> {
        self.check().await?;
        self.inner.keep_statement(statement).await
    }

    async fn book_claimed(&self, incarnation: Incarnation, claimed: Amount) -> Result<(), StoreError> {
        self.check().await?;
        self.inner.book_claimed(incarnation, claimed).await
    }

    async fn end(&self, incarnation: Incarnation) -> Result<(), StoreError> {
        self.check().await?;
        self.inner.end(incarnation).await
    }
}

/// A service, a client's key and a chain with one channel between them.
pub(crate) struct Bench {
    pub(crate) chain: Arc<FakeChain>,
    pub(crate) recipient: KeypairSigner,
    pub(crate) client: KeypairSigner,
    disk: Arc<Mutex<Disk>>,
    folder: tempfile::TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let bench = Self {
            chain: Arc::default(),
            recipient: KeypairSigner::generate(),
            client: KeypairSigner::generate(),
            disk: Arc::new(Mutex::new(Disk::Works)),
            folder: tempfile::tempdir().unwrap(),
        };
        bench.chain.put_channel(CHANNEL, &bench.account());
        bench.chain.put(MINT, AccountSnapshot { owner: TOKEN_PROGRAM, lamports: 1, data: vec![0; 82] });
        bench
    }

    pub(crate) fn account(&self) -> ChannelAccount {
        ChannelAccount {
            recipient: self.recipient.public_key().to_bytes(),
            authorized_signer: self.client.public_key().to_bytes(),
            ..channel_account()
        }
    }

    /// 10 a call, deposits of 10 or more, settlements when asked for.
    pub(crate) fn config(&self) -> ServiceConfig {
        ServiceConfig::new(Arc::new(self.recipient.clone()), Address::from(MINT), Amount::new(10))
    }

    pub(crate) async fn store(&self) -> BreakableStore {
        let path = self.folder.path().join("service.db");
        for _ in 0..100 {
            if let Ok(inner) = SqliteStore::open(&path) {
                return BreakableStore { inner, disk: self.disk.clone() };
            }
            // the one before it ends with its last commit, on its own thread
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("the store is still open");
    }

    pub(crate) async fn service_with(&self, config: ServiceConfig) -> AmpService {
        AmpService::start(config, self.chain.clone(), self.store().await).await.unwrap()
    }

    pub(crate) fn disk(&self, disk: Disk) {
        *lock(&self.disk) = disk;
    }

    /// The client's credential for the channel's first incarnation.
    pub(crate) async fn credential(&self, seq: u64) -> CredentialBody {
        self.credential_in(OPENED_SLOT, seq).await
    }

    pub(crate) async fn credential_in(&self, epoch: u64, seq: u64) -> CredentialBody {
        signed::sign_credential(&self.client, &Address::from(CHANNEL), epoch, Seq::new(seq)).await.unwrap()
    }
}
