//! A chain in memory that serves hand-encoded accounts and runs `settle` and `close_channel` by the
//! protocol's rules, a disk that can fail, and a service on both.

#![allow(clippy::arithmetic_side_effects, reason = "an overflow fails the test, as it should")]

mod chain;
mod disk;
mod open_metrics;
mod sent;

use std::sync::{Arc, Mutex};

use amp_protocol::account::{ChannelAccount, DelegationAccount};
use amp_protocol::json::CredentialBody;
use amp_protocol::message::Key;
use amp_protocol::money::{Amount, Seq};
use amp_protocol::rules::{Books, Delegation, RateWindow, SignerBooks, Terms};
use solana_address::Address;

use super::config::ServiceConfig;
use super::ledger::{Authority, Limits, SignerId};
use super::service::AmpService;
use super::store::SqliteStore;
use super::views::lock;
use crate::chain::{AccountSnapshot, TOKEN_PROGRAM};
use crate::signed;
use crate::signer::{KeypairSigner, Signer};

pub(crate) use chain::{FakeChain, Fate};
pub(crate) use disk::{BreakableStore, Disk};
pub(crate) use open_metrics::Exposition;

pub(crate) const CHANNEL: Key = [200; 32];
pub(crate) const MINT: Key = [4; 32];
pub(crate) const OPENED_SLOT: u64 = 9;
/// Those of a service that is not configured otherwise.
pub(crate) const LIMITS: Limits = Limits { seq_window: 64, max_owing: 17 };

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
        delegated_slot: 0,
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

pub(crate) fn authority() -> Authority {
    Authority::channel(&channel_account())
}

/// A delegation of the channel that never expires, made a minute ago.
pub(crate) fn delegation_account(delegate: Key, limit: u64) -> DelegationAccount {
    let made_at = super::clock::unix_now() - 60;
    let delegation = Delegation::begin(Amount::new(limit), 0, made_at).unwrap();
    DelegationAccount {
        bump: 255,
        channel: CHANNEL,
        delegate,
        rent_payer: [6; 32],
        channel_opened_slot: OPENED_SLOT,
        created_slot: OPENED_SLOT + 1,
        delegation,
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
        Self::of(KeypairSigner::generate())
    }

    /// With a client of this key.
    pub(crate) fn of(client: KeypairSigner) -> Self {
        let bench = Self {
            chain: Arc::default(),
            recipient: KeypairSigner::generate(),
            client,
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

    /// Another channel between the same two.
    pub(crate) fn another(&self, address: Key) {
        self.chain.put_channel(address, &self.account());
    }

    /// The client's credential for another channel.
    pub(crate) async fn credential_on(&self, address: Key, seq: u64) -> CredentialBody {
        let channel = Address::from(address);
        signed::sign_credential(&self.client, &channel, OPENED_SLOT, Seq::new(seq)).await.unwrap()
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

    /// The same with the disk as it is now: what a process finds that starts after this one was killed.
    pub(crate) fn after_a_kill(&self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for file in std::fs::read_dir(self.folder.path()).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
        }
        let (recipient, client) = (self.recipient.clone(), self.client.clone());
        Self { chain: self.chain.clone(), recipient, client, disk: Arc::new(Mutex::new(Disk::Works)), folder }
    }

    /// The disk is gone, and a new one is in its place.
    pub(crate) fn lose_store(&self) {
        for file in std::fs::read_dir(self.folder.path()).unwrap() {
            std::fs::remove_file(file.unwrap().path()).unwrap();
        }
    }

    pub(crate) async fn service_with(&self, config: ServiceConfig) -> AmpService {
        AmpService::start(config, self.chain.clone(), self.store().await).await.unwrap()
    }

    pub(crate) fn disk(&self, disk: Disk) {
        *lock(&self.disk) = disk;
    }

    /// A new key that may spend up to `limit`, and where its delegation stands.
    pub(crate) fn delegate(&self, limit: u64) -> (KeypairSigner, Key) {
        let key = KeypairSigner::generate();
        let account = delegation_account(key.public_key().to_bytes(), limit);
        (key, self.chain.put_delegation(&account))
    }

    /// A credential of a delegate that [`Self::delegate`] made.
    pub(crate) async fn delegated(&self, key: &KeypairSigner, seq: u64) -> CredentialBody {
        self.signed_by(key, OPENED_SLOT + 1, seq).await
    }

    pub(crate) async fn signed_by(&self, key: &KeypairSigner, epoch: u64, seq: u64) -> CredentialBody {
        signed::sign_credential(key, &Address::from(CHANNEL), epoch, Seq::new(seq)).await.unwrap()
    }

    /// The client's credential for the channel's first incarnation.
    pub(crate) async fn credential(&self, seq: u64) -> CredentialBody {
        self.credential_in(OPENED_SLOT, seq).await
    }

    pub(crate) async fn credential_in(&self, epoch: u64, seq: u64) -> CredentialBody {
        self.signed_by(&self.client, epoch, seq).await
    }
}
