use std::fmt;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use amp_protocol::account::ChannelAccount;
use amp_protocol::code::Code;
use amp_protocol::json::{CredentialBody, DiscoveryDocument};
use amp_protocol::message::Key;
use amp_protocol::money::Amount;
use amp_protocol::text::AMP_VERSION;
use solana_address::Address;
use tracing::Instrument as _;

use super::admission::{Admission, Receipt};
use super::bookkeeping::finish_streams;
use super::books::{Book, Books};
use super::caretaker;
use super::channels::{ChannelSource, Channels};
use super::clock::ChainTime;
use super::config::{ConfigError, ServiceConfig};
use super::delegates::{Delegates, DelegationSource};
use super::denial::Denial;
use super::health::Vitals;
use super::ledger::{Remedy, Request};
use super::metrics::{MeteredChain, Metrics, Observed};
use super::outage::Outage;
use super::peers::Peers;
use super::policy;
use super::prices::CurrentPrices;
use super::settlement::{Chained, ChainingError, Settled, SubChannel, Why, WorkerHandle};
use super::store::{AnswerKey, DEAD_AFTER, Incarnation, Store, StoreError, StoreIdentity};
use super::subscription::Following;
use super::taken_format::TakenFormat;
use super::verification::{Age, Policy, Shown, Verified};
use crate::chain::{self, Chain, ChainError};

/// A service that is paid by payment channels, whatever transport its requests come by. Clones share
/// it. [`AmpLayer`](super::AmpLayer) puts it in front of an axum router.
#[derive(Clone)]
pub struct AmpService {
    pub(crate) core: Arc<Core>,
    pub(crate) worker: WorkerHandle,
    following: Arc<Following>,
    /// Where requests come from.
    peer: Option<IpAddr>,
}

/// What requests and the settlement worker share.
pub(crate) struct Core {
    pub(crate) config: ServiceConfig,
    pub(crate) program_id: Address,
    pub(crate) prices: CurrentPrices,
    pub(crate) recipient: Address,
    pub(crate) token_program: Address,
    pub(crate) chain: Arc<dyn Chain>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) channels: Channels,
    pub(crate) delegates: Delegates,
    pub(crate) books: Books,
    pub(crate) time: Arc<ChainTime>,
    /// Where the store is shared: this process looks after all channels.
    leads: AtomicBool,
    retired: AtomicBool,
    /// The server ends what is under way.
    cuts_off: AtomicBool,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) vitals: Vitals,
    pub(crate) outage: Arc<Outage>,
    pub(crate) peers: Peers,
    pub(crate) format: TakenFormat,
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
    /// What the chain says now may change it.
    pub(crate) fn by_chain(denial: Denial) -> Self {
        Self { denial, remedy: Remedy::Look }
    }

    /// Neither the authorized signer's key verifies, nor a delegate's: the channel may have been
    /// reopened since, or a delegation made.
    pub(crate) fn nobodys(channel: Key) -> Self {
        Self { denial: Denial::invalid_sig(channel), remedy: Remedy::LookForSigner }
    }

    /// Nothing that can be done now changes it.
    pub(crate) fn for_now(denial: Denial) -> Self {
        Self { denial, remedy: Remedy::None }
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
        let program_id = config.program()?;
        if store.shared().is_some() {
            config.check_grace(Duration::from_secs(DEAD_AFTER))?;
        }
        let metrics = Metrics::begin();
        let chain = MeteredChain::around(chain, &metrics);
        let recipient = config.recipient.public_key();
        let token_program = chain::mint(&*chain, &config.mint()).await?.token_program;
        let outage = Outage::new(config.outage_exposure, config.oldest_view());
        let time = Arc::new(ChainTime::noting(outage.clone()));
        time.sync(&*chain).await?;
        let vitals = Vitals::begin(chain.account(&recipient).await?.map_or(0, |account| account.lamports));
        if vitals.lamports() == 0 {
            tracing::warn!(%recipient, "the recipient has no lamports: it can't pay for settlements");
        }
        let identity = StoreIdentity {
            recipient: recipient.to_bytes(),
            program_id: program_id.to_bytes(),
            network: config.network.clone(),
        };
        let stored = store.load(&identity, config.seq_window).await?;
        tracing::info!(%recipient, channels = stored.len(), "serving");
        let max_age = config.channel_max_age;
        let peers = Peers::new(config.peer_lookups.0, config.peer_lookups.1);
        let channels = ChannelSource::views(chain.clone(), program_id, max_age, outage.clone());
        let most = config.max_delegates;
        let delegates = DelegationSource::views(chain.clone(), program_id, max_age, most, time.clone());
        let (books, store) = (Books::restore(stored), Arc::new(store));
        let (leads, retired, cuts_off, format): (_, _, _, TakenFormat) = Default::default();
        format.look(&*chain).await;
        let prices = CurrentPrices::begin(config.price_list().clone());
        let core = Arc::new(Core {
            config,
            program_id,
            prices,
            recipient,
            token_program,
            chain,
            store,
            channels,
            delegates,
            books,
            time,
            leads,
            retired,
            cuts_off,
            metrics,
            vitals,
            outage,
            peers,
            format,
        });
        tokio::spawn(caretaker::run(Arc::downgrade(&core)));
        let worker = WorkerHandle::spawn(core.clone());
        let following = Arc::new(Following::spawn(&core, &worker.noticing()));
        Ok(Self { core, worker, following, peer: None })
    }

    /// The same service for requests from `peer`, so that what strangers make it look up is held against
    /// [`ServiceConfig::peer_lookups`]; [`AmpLayer`](super::AmpLayer) does it for HTTP. An IPv6 peer stands for
    /// its network of 64 bits.
    #[must_use]
    pub fn for_peer(&self, peer: IpAddr) -> Self {
        Self { peer: Some(peer), ..self.clone() }
    }

    /// Admits a request that costs at most `price` base units. Drop the admission, and the price is
    /// free again; [`charge`](Admission::charge) it, and what it returned for is on disk.
    ///
    /// # Errors
    /// [`Denial::Refused`] with the code and what to do; [`Denial::Unavailable`] where the chain does
    /// not answer.
    pub async fn authorize(&self, credential: &CredentialBody, price: Amount) -> Result<Admission, Denial> {
        let asked = Asked { price, key: None, metered: false };
        self.admit(credential, asked).await
    }

    /// The same for a request that is charged while it is served: `least` is set aside.
    pub(crate) async fn admit_metered(
        &self,
        credential: &CredentialBody,
        least: Amount,
    ) -> Result<Admission, Denial> {
        let asked = Asked { price: least, key: None, metered: true };
        self.admit(credential, asked).await
    }

    async fn admit(&self, credential: &CredentialBody, asked: Asked) -> Result<Admission, Denial> {
        let admit = |verified: Verified| self.core.admit(credential, asked, verified);
        // pinned here: a future this large is not handed around
        let admitted = pin!(self.core.look(self.shown(credential), admit));
        let observed = Observed::begin(&self.core.metrics, credential, asked.price);
        let admitted = observed.admit(admitted).await;
        self.wake_worker(credential, &admitted);
        admitted
    }

    /// A credential that is for a request.
    pub(crate) fn shown<'a>(&self, credential: &'a CredentialBody) -> Shown<'a> {
        let (policy, peer): (Policy, _) = (policy::check, self.peer);
        Shown { credential, policy, peer, old_view_will_do: true }
    }

    /// Lets the worker look where a settlement would help.
    pub(crate) fn wake_worker<T>(&self, credential: &CredentialBody, admitted: &Result<T, Denial>) {
        let refused = admitted.as_ref().err().and_then(Denial::code);
        let why = match refused {
            // settled before the window ends, this one's claims don't weigh on the next
            Some(Code::RateExceeded) => Some(Why::Full),
            // what is owed must be collected within the grace
            Some(Code::Closed) => Some(Why::Closing),
            _ => None,
        };
        if let Some(why) = why {
            self.worker.poke(credential.channel.0, why);
        }
    }

    /// Accepts a higher credential without a request. It is on disk when this returns.
    pub async fn raise_ceiling(&self, credential: &CredentialBody) -> Result<Receipt, Denial> {
        self.authorize(credential, Amount::ZERO).await?.charge(Amount::ZERO).await
    }

    /// Settles a channel as soon as the program allows, whether or not it is due.
    ///
    /// # Errors
    /// `AMP_SETTLE_EARLY` and `AMP_RATE_EXCEEDED` with `retry_after`; [`Denial::Unavailable`] where
    /// the settlement was not confirmed. Nothing owed is no error.
    pub async fn settle(&self, channel: Address) -> Result<Settled, Denial> {
        // what other processes have served too
        self.core.catch_up().await.map_err(|error| Denial::store(&error))?;
        self.worker.settle(channel.to_bytes()).await
    }

    /// Settles every channel that owes something; one outcome each.
    pub async fn settle_all(&self) -> Vec<(Address, Result<Settled, Denial>)> {
        if let Err(error) = self.core.catch_up().await {
            tracing::error!(%error, "only what this process has served is settled");
        }
        self.worker.settle_all().await
    }

    /// Puts part of what `upstream` owes at a supplier's disposal: a new channel that this service's
    /// recipient key signs for, and whose rest goes to the upstream funder. The recipient pays its rent
    /// (about 0.006 SOL) and gets it back at the close. For the signer whose credential is used it counts as a
    /// settlement: the next one waits for the settle interval.
    ///
    /// Note the channel that is returned: the service does not store it.
    ///
    /// # Errors
    /// [`ChainingError`]: what is not owed, what the program would refuse, or what became of the sending.
    pub async fn chain(&self, upstream: &Address, asked: SubChannel) -> Result<Chained, ChainingError> {
        self.worker.chain(upstream.to_bytes(), asked).await
    }

    /// The discovery document.
    pub fn discovery(&self) -> DiscoveryDocument {
        let config = &self.core.config;
        DiscoveryDocument {
            amp_version: AMP_VERSION.to_owned(),
            recipient: self.core.recipient.to_bytes().into(),
            program_id: self.core.program_id.to_bytes().into(),
            network: config.network.clone(),
            pricing: self.prices().table().clone(),
            unit_price: config.unit_price,
            seq_window: config.seq_window,
            min_close_grace: config.min_close_grace,
        }
    }

    /// The channel and the signer of a credential that is not for a request. A delegation that has ended
    /// will do.
    pub(crate) async fn identify(&self, credential: &CredentialBody) -> Result<Verified, Denial> {
        let (policy, peer): (Policy, _) = (policy::check_payee, self.peer);
        let shown = Shown { credential, policy, peer, old_view_will_do: false };
        self.core.look(shown, async |verified| Ok(verified)).await
    }

    /// The server itself breaks off what is under way: whatever is dropped from here on costs nothing, as no client
    /// is to pay for that ([`ChargeOn::Always`](super::ChargeOn::Always) charges for what its client hangs up on).
    pub fn cut_off(&self) {
        self.core.cuts_off.store(true, Ordering::Release);
    }

    /// Ends the settlement worker: what is under way is finished, nothing new is begun. Requests are
    /// still answered until the last clone is dropped.
    pub async fn shutdown(&self) {
        self.core.vitals.stop();
        // what has left is charged while this process still can
        for book in self.core.books.all() {
            finish_streams(&book).await;
        }
        self.following.end_subscription();
        self.core.retire().await;
        self.worker.shutdown().await;
    }
}

impl fmt::Debug for AmpService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AmpService({})", self.core.recipient)
    }
}

/// What a request is admitted for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    /// The most that it costs; of a metered one the least.
    pub(crate) price: Amount,
    pub(crate) key: Option<AnswerKey>,
    pub(crate) metered: bool,
}

impl Core {
    /// Admits a request of a verified signer.
    pub(crate) async fn admit(
        self: &Arc<Self>,
        credential: &CredentialBody,
        asked: Asked,
        verified: Verified,
    ) -> Result<Admission, Refused> {
        let Asked { price, key, metered } = asked;
        let channel = credential.channel.0;
        let Verified { account, signer, authority, age } = &verified;
        let may_be_closed = self.may_be_closed_by_accident(incarnation(channel, account)).await;
        if may_be_closed.map_err(|error| Refused::for_now(Denial::store(&error)))? {
            let soon = "a close of the channel's last incarnation is under way; try again in three minutes";
            return Err(Refused { denial: Denial::unavailable(soon), remedy: Remedy::None });
        }
        policy::check_authority(&self.config, channel, authority).map_err(Refused::by_chain)?;
        let exposed = match age {
            Age::Fresh => None,
            Age::Old if metered => {
                return Err(Refused::for_now(Denial::no_stream_yet()));
            }
            Age::Old => {
                let full = "the service can't reach the chain, and serves no more until it can";
                let full = || Refused::for_now(Denial::unavailable(full));
                Some(self.outage.admit(channel, price).ok_or_else(full)?)
            }
        };
        let book = self.book(channel, account);
        let (seq, sig) = (credential.seq, credential.sig.0);
        let request = Request { signer: *signer, authority: *authority, seq, sig, price, key, metered };
        let admitted = self.reserve(&book, account, request);
        let admitted = admitted.instrument(tracing::trace_span!("amp.admit")).await;
        let admitted = admitted.map_err(|error| Refused::for_now(Denial::store(&error)))?;
        let reservation = admitted.map_err(|refusal| Refused {
            denial: Denial::from_refusal(&refusal, channel),
            remedy: refusal.remedy(),
        })?;
        Ok(Admission::new(self.clone(), book, verified, reservation, exposed))
    }

    /// Whether this process is the one that looks after all channels: of those that share a store, one is.
    pub(crate) fn is_leading(&self) -> bool {
        self.store.shared().is_none() || self.leads.load(Ordering::Relaxed)
    }

    /// Leaves the looking after all channels to other processes, if there are any.
    async fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
        if let Some(shared) = self.store.shared()
            && let Err(error) = shared.stay_alive(false).await
        {
            tracing::warn!(%error, "another process takes over in half a minute");
        }
    }

    pub(crate) fn cuts_off(&self) -> bool {
        self.cuts_off.load(Ordering::Acquire)
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Relaxed)
    }

    pub(crate) fn set_leading(&self, leads: bool) {
        if self.leads.swap(leads, Ordering::Relaxed) != leads {
            tracing::info!(leads, "who looks after all channels has changed");
        }
    }

    /// The book of a channel as it is on chain now.
    pub(crate) fn book(&self, channel: Key, account: &ChannelAccount) -> Arc<Book> {
        self.books.open(incarnation(channel, account))
    }
}

pub(crate) fn incarnation(channel: Key, account: &ChannelAccount) -> Incarnation {
    Incarnation { channel, opened_slot: account.opened_slot }
}

pub(crate) fn signer_failed(error: &crate::signer::SignerError) -> Denial {
    tracing::error!(%error, "the recipient's signer failed");
    Denial::unavailable("the service can't sign")
}
