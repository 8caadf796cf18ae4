use std::fmt;
use std::sync::Arc;

use amp_protocol::account::ChannelAccount;
use amp_protocol::code::Code;
use amp_protocol::json::{ChannelStatus, CredentialBody, DiscoveryDocument, Pricing};
use amp_protocol::message::Key;
use amp_protocol::money::{Amount, Seq};
use solana_address::Address;
use tokio::time::Instant;

use super::admission::{Admission, Receipt};
use super::books::{Book, Books};
use super::channels::{Channels, Freshness};
use super::clock::ChainTime;
use super::config::{ConfigError, ServiceConfig};
use super::denial::Denial;
use super::ledger::{Remedy, Request, SignerId};
use super::policy;
use super::settlement::{Settled, WorkerHandle};
use super::store::{Incarnation, Store, StoreError, StoreIdentity};
use crate::chain::{self, Chain, ChainError};
use crate::signed;

/// A service that is paid by payment channels, whatever transport its requests come by. Clones share
/// it. [`AmpLayer`](super::AmpLayer) puts it in front of an axum router.
#[derive(Clone)]
pub struct AmpService {
    pub(crate) core: Arc<Core>,
    pub(crate) worker: WorkerHandle,
}

/// What requests and the settlement worker share.
pub(crate) struct Core {
    pub(crate) config: ServiceConfig,
    pub(crate) recipient: Address,
    pub(crate) token_program: Address,
    pub(crate) chain: Arc<dyn Chain>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) channels: Channels,
    pub(crate) books: Books,
    pub(crate) time: ChainTime,
}

/// Why a service can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration can't be served.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The chain does not answer, or the accepted mint is not there.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The store can't be read, or belongs to another service.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A refusal, and what may change it.
pub(crate) struct Refused {
    pub(crate) denial: Denial,
    pub(crate) remedy: Remedy,
}

impl Refused {
    fn by_chain(denial: Denial) -> Self {
        Self { denial, remedy: Remedy::Look }
    }
}

impl AmpService {
    /// Checks the configuration, reads mint and clock from the chain, loads the store, and starts the
    /// settlement worker.
    pub async fn start(
        config: ServiceConfig,
        chain: Arc<dyn Chain>,
        store: impl Store,
    ) -> Result<Self, StartError> {
        config.check()?;
        let recipient = config.recipient.public_key();
        let token_program = chain::mint(&*chain, &config.mint()).await?.token_program;
        let time = ChainTime::default();
        time.sync(&*chain).await?;
        if chain.account(&recipient).await?.is_none_or(|account| account.lamports == 0) {
            tracing::warn!(%recipient, "the recipient has no lamports: it can't pay for settlements");
        }
        let identity = StoreIdentity {
            recipient: recipient.to_bytes(),
            program_id: config.program_id.to_bytes(),
            network: config.network.clone(),
        };
        let stored = store.load(&identity, config.seq_window).await?;
        tracing::info!(%recipient, channels = stored.len(), "serving");
        let channels = Channels::new(chain.clone(), config.program_id, config.channel_max_age);
        let (books, store) = (Books::restore(stored), Arc::new(store));
        let core = Arc::new(Core { config, recipient, token_program, chain, store, channels, books, time });
        let worker = WorkerHandle::spawn(core.clone());
        Ok(Self { core, worker })
    }

    /// Admits a request that costs at most `price` base units. Drop the admission, and the price is
    /// free again; [`charge`](Admission::charge) it, and what it returned for is on disk.
    ///
    /// # Errors
    /// [`Denial::Refused`] with the code and what to do; [`Denial::Unavailable`] where the chain does
    /// not answer.
    pub async fn authorize(&self, credential: &CredentialBody, price: Amount) -> Result<Admission, Denial> {
        let admitted =
            self.core.look(credential, |account| self.core.admit(credential, price, account)).await;
        if matches!(&admitted, Err(denial) if denial.code() == Some(Code::RateExceeded)) {
            // settled before the window ends, this one's claims don't weigh on the next
            self.worker.poke(credential.channel.0);
        }
        admitted
    }

    /// Accepts a higher credential without a request. It is on disk when this returns.
    pub async fn raise_ceiling(&self, credential: &CredentialBody) -> Result<Receipt, Denial> {
        self.authorize(credential, Amount::ZERO).await?.charge(Amount::ZERO).await
    }

    /// What a client that lost its state needs to go on. Any seq will do, 0 too: only the signature
    /// counts, and nothing of the credential is kept.
    pub async fn channel_status(&self, credential: &CredentialBody) -> Result<ChannelStatus, Denial> {
        let (account, id) = self.core.identify(credential).await?;
        let channel = credential.channel.0;
        let book = self.core.books.find(&incarnation(channel, &account));
        let (spent_total, last_seq, record) = {
            let ledger = book.as_ref().map(|book| book.ledger());
            let signer = ledger.as_ref().and_then(|ledger| ledger.signer(&id));
            let last = signer.map(|signer| signer.live.replay.last());
            let record = signer.and_then(|signer| signer.committed.clone());
            (ledger.as_ref().and_then(|ledger| ledger.spent_total()), last, record)
        };
        let proof = match record.as_ref().and_then(|record| record.metering_proof(channel)) {
            Some(proof) => {
                let signed = signed::sign_metering_proof(&*self.core.config.recipient, &proof).await;
                Some(signed.map_err(|error| signer_failed(&error))?)
            }
            None => None,
        };
        let claimed = account.signer.claimed;
        let used = spent_total.unwrap_or(Amount::ZERO).max(account.books.claimed);
        // a service that lost its store goes on from what the chain has paid: see SignerRecord::new
        let floor = account.terms.unit_price().map_or(Seq::ZERO, |price| price.seq_covering(claimed));
        Ok(ChannelStatus {
            channel: credential.channel,
            spent: record.map_or(claimed, |record| record.spent),
            balance: account.books.deposited.checked_sub(used).unwrap_or(Amount::ZERO),
            last_seq: last_seq.unwrap_or(floor),
            metering_proof: proof,
        })
    }

    /// Settles a channel as soon as the program allows, whether or not it is due.
    ///
    /// # Errors
    /// `AMP_SETTLE_EARLY` and `AMP_RATE_EXCEEDED` with `retry_after`; [`Denial::Unavailable`] where
    /// the settlement was not confirmed. Nothing owed is no error.
    pub async fn settle(&self, channel: Address) -> Result<Settled, Denial> {
        self.worker.settle(channel.to_bytes()).await
    }

    /// Settles every channel that owes something; one outcome each.
    pub async fn settle_all(&self) -> Vec<(Address, Result<Settled, Denial>)> {
        self.worker.settle_all().await
    }

    /// The discovery document.
    pub fn discovery(&self) -> DiscoveryDocument {
        self.core.config.discovery()
    }

    /// What applies to a path.
    pub fn pricing(&self, path: &str) -> Pricing {
        self.core.config.pricing.for_route(path)
    }

    /// Ends the settlement worker: what is under way is finished, nothing new is begun. Requests are
    /// still answered until the last clone is dropped.
    pub async fn shutdown(&self) {
        self.worker.shutdown().await;
    }
}

impl fmt::Debug for AmpService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AmpService({})", self.core.recipient)
    }
}

impl Core {
    /// Tries with the channel as it is known; where that refuses what may have changed since, once
    /// more with what the chain says now: a top-up may have landed, a channel may have been reopened.
    pub(crate) async fn look<T>(
        &self,
        credential: &CredentialBody,
        attempt: impl Fn(&Arc<ChannelAccount>) -> Result<T, Refused>,
    ) -> Result<T, Denial> {
        let (channel, arrived) = (credential.channel.0, Instant::now());
        let view = async |freshness| {
            self.channels.get(channel, freshness).await.map_err(|error| Denial::chain(&error))
        };
        let seen = view(Freshness::Cached).await?;
        let Some(account) = &seen else {
            let newer = view(Freshness::Since(arrived)).await?.ok_or_else(|| self.unknown(credential))?;
            self.remember(credential, &newer).await?;
            return attempt(&newer).map_err(|refused| refused.denial);
        };
        self.remember(credential, account).await?;
        let refused = match attempt(account) {
            Ok(done) => return Ok(done),
            Err(refused) => refused,
        };
        match refused.remedy {
            Remedy::None => Err(refused.denial),
            Remedy::Time => {
                self.time.sync_soon(&*self.chain).await.map_err(|error| Denial::chain(&error))?;
                attempt(account).map_err(|refused| refused.denial)
            }
            Remedy::Look => match view(Freshness::Since(arrived)).await? {
                Some(same) if Arc::ptr_eq(&same, account) => Err(refused.denial),
                Some(newer) => {
                    self.remember(credential, &newer).await?;
                    attempt(&newer).map_err(|refused| refused.denial)
                }
                None => Err(self.unknown(credential)),
            },
        }
    }

    /// Takes up the books of a channel that was served before, was taken for closed and forgotten, and
    /// is on chain after all: new books would serve its used seqs again. Who does not hold the
    /// signer's key makes no work for the store.
    async fn remember(&self, credential: &CredentialBody, account: &ChannelAccount) -> Result<(), Denial> {
        let channel = credential.channel.0;
        let incarnation = incarnation(channel, account);
        if self.books.find(&incarnation).is_some()
            || policy::check_payee(&self.config, channel, account).is_err()
            || verify(credential, account).is_err()
        {
            return Ok(());
        }
        let stored = self.store.recall(incarnation, self.config.seq_window).await;
        if let Some(stored) = stored.map_err(|error| Denial::store(&error))? {
            self.books.recall(stored);
        }
        Ok(())
    }

    /// There is no channel at the address; its last signer is told that it was closed.
    fn unknown(&self, credential: &CredentialBody) -> Denial {
        let channel = credential.channel.0;
        let verifies = |key: &Key, epoch| signed::verify_credential(credential, epoch, key);
        if self.books.of(channel).iter().any(|book| book.ledger().any_signer(verifies)) {
            return Denial::closed(channel);
        }
        Denial::no_channel(channel)
    }

    /// Policy, then the signature, then the ledger: nothing of the ledger is shown to or changed by
    /// whoever does not hold the signer's key.
    fn admit(
        self: &Arc<Self>,
        credential: &CredentialBody,
        price: Amount,
        account: &Arc<ChannelAccount>,
    ) -> Result<Admission, Refused> {
        let channel = credential.channel.0;
        policy::check(&self.config, channel, account).map_err(Refused::by_chain)?;
        let signer = verify(credential, account)?;
        let book = self.books.open(incarnation(channel, account));
        let request = Request { signer, seq: credential.seq, sig: credential.sig.0, price };
        let admitted = book.ledger().admit(account, &request, self.config.seq_window, self.time.now());
        let reservation = admitted.map_err(|refusal| Refused {
            denial: Denial::from_refusal(&refusal, channel),
            remedy: refusal.remedy(),
        })?;
        Ok(Admission::new(self.clone(), book, account.clone(), reservation))
    }

    /// The channel and the signer of a credential that is not for a request.
    pub(crate) async fn identify(
        &self,
        credential: &CredentialBody,
    ) -> Result<(Arc<ChannelAccount>, SignerId), Denial> {
        let attempt = |account: &Arc<ChannelAccount>| {
            policy::check_payee(&self.config, credential.channel.0, account).map_err(Refused::by_chain)?;
            Ok((account.clone(), verify(credential, account)?))
        };
        self.look(credential, attempt).await
    }

    /// The book of a channel as it is on chain now.
    pub(crate) fn book(&self, channel: Key, account: &ChannelAccount) -> Arc<Book> {
        self.books.open(incarnation(channel, account))
    }
}

/// Who signed a credential: the only key that may is the channel's authorized signer. A failure may
/// mean that the channel was reopened since it was looked at.
fn verify(credential: &CredentialBody, account: &ChannelAccount) -> Result<SignerId, Refused> {
    let id = SignerId::authorized(account);
    if signed::verify_credential(credential, id.epoch, &id.key) {
        return Ok(id);
    }
    Err(Refused::by_chain(Denial::invalid_sig(credential.channel.0)))
}

pub(crate) fn incarnation(channel: Key, account: &ChannelAccount) -> Incarnation {
    Incarnation { channel, opened_slot: account.opened_slot }
}

pub(crate) fn signer_failed(error: &crate::signer::SignerError) -> Denial {
    tracing::error!(%error, "the recipient's signer failed");
    Denial::unavailable("the service can't sign")
}
