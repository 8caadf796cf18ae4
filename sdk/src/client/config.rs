use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use amp_protocol::money::{Amount, UnitPrice};
use amp_protocol::text::network;
use solana_address::Address;

use super::policy::Policy;
use super::store::{Owner, Role, Store};
use super::{Client, ClientError};
use crate::chain::{self, Chain, PriorityFee};
use crate::signer::Signer;

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(10);

/// Everything a client is made with.
pub(super) struct Settings {
    pub(super) payer: Payer,
    pub(super) chain: Arc<dyn Chain>,
    /// The AMP program that is pinned.
    pub(super) program_id: Address,
    pub(super) options: Options,
}

/// Whose client it is.
pub(super) enum Payer {
    /// Its own channels'.
    Funder(Funding),
    /// A key that a funder lets spend from a channel: it signs credentials and nothing else.
    Delegate(Arc<dyn Signer>),
}

/// A funder's keys.
pub(super) struct Funding {
    pub(super) funder: Arc<dyn Signer>,
    pub(super) authorized: Arc<dyn Signer>,
    pub(super) rent_payer: Arc<dyn Signer>,
}

impl Settings {
    /// Who signs the credentials.
    pub(super) fn signer(&self) -> &dyn Signer {
        match &self.payer {
            Payer::Funder(funding) => &*funding.authorized,
            Payer::Delegate(delegate) => &**delegate,
        }
    }

    /// The funder's keys, or why there are none `to` do something with.
    pub(super) fn funding(&self, to: &'static str) -> Result<&Funding, ClientError> {
        match &self.payer {
            Payer::Funder(funding) => Ok(funding),
            Payer::Delegate(_) => Err(ClientError::NotFunder { to }),
        }
    }

    /// The delegate's key, where this client is a delegate's.
    pub(super) fn delegate(&self) -> Option<Address> {
        match &self.payer {
            Payer::Funder(_) => None,
            Payer::Delegate(delegate) => Some(delegate.public_key()),
        }
    }

    fn owner(&self) -> Owner {
        let role = match &self.payer {
            Payer::Funder(funding) => Role::Funder {
                funder: funding.funder.public_key(),
                authorized_signer: funding.authorized.public_key(),
            },
            Payer::Delegate(delegate) => Role::Delegate(delegate.public_key()),
        };
        Owner { program_id: self.program_id, role }
    }
}

/// The settings that have defaults.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) network: String,
    pub(super) policy: Policy,
    pub(super) unit_price: UnitPrice,
    pub(super) deposit: Option<Amount>,
    pub(super) rate_limit: Option<Amount>,
    pub(super) settle_interval: Option<u32>,
    pub(super) close_grace: Option<u32>,
    pub(super) max_chain_depth: u8,
    pub(super) metered_budget: Option<Amount>,
    pub(super) auto_open: bool,
    pub(super) auto_top_up: bool,
    pub(super) priority_fee: PriorityFee,
    pub(super) store: Option<PathBuf>,
    pub(super) timeout: Duration,
    pub(super) max_wait: Duration,
    pub(super) discovery_max_age: Duration,
    pub(super) in_flight_limit: u32,
    /// In PEM.
    pub(super) trusted: Vec<Vec<u8>>,
    #[cfg(feature = "ws")]
    pub(super) max_socket_message: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            network: network::LOCALNET.to_owned(),
            policy: Policy::default(),
            unit_price: UnitPrice::ONE,
            deposit: None,
            rate_limit: None,
            settle_interval: None,
            close_grace: None,
            max_chain_depth: 0,
            metered_budget: None,
            auto_open: true,
            auto_top_up: true,
            priority_fee: PriorityFee::default(),
            store: None,
            timeout: Duration::from_secs(60),
            max_wait: Duration::ZERO,
            discovery_max_age: Duration::from_secs(300),
            in_flight_limit: 32,
            trusted: Vec::new(),
            #[cfg(feature = "ws")]
            max_socket_message: crate::websocket::MAX_MESSAGE,
        }
    }
}

/// Makes a [`Client`]: a funder or a delegate, and a chain are needed, and a mint to pay with; the rest has
/// defaults. A client that allows no mint pays nothing, and can look at channels and close them.
#[must_use = "a builder does nothing until `build`"]
#[derive(Default)]
pub struct ClientBuilder {
    funder: Option<Arc<dyn Signer>>,
    delegate: Option<Arc<dyn Signer>>,
    authorized: Option<Arc<dyn Signer>>,
    rent_payer: Option<Arc<dyn Signer>>,
    chain: Option<Arc<dyn Chain>>,
    program_id: Option<Address>,
    options: Options,
}

macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident($value:ident: $type:ty) => $($place:ident).+ = $converted:expr;)*) => {
        $($(#[$doc])*
        pub fn $name(mut self, $value: $type) -> Self {
            self.$($place).+ = $converted;
            self
        })*
    };
}

impl ClientBuilder {
    setters! {
        /// Whose tokens are deposited; refunds go to it. Signs openings, top-ups and closes.
        funder(signer: impl Signer) => funder = Some(Arc::new(signer));
        /// The same, for a signer that is shared.
        funder_arc(signer: Arc<dyn Signer>) => funder = Some(signer);
        /// In a funder's place: a key that a funder lets spend from its channels. The client signs
        /// credentials with it, and needs neither tokens nor lamports; [`Client::use_channel`] names the
        /// channel of each service. Of the limits, those on deposits and graces are the funder's alone;
        /// `total_budget` bounds what this key signs for in all.
        delegate(signer: impl Signer) => delegate = Some(Arc::new(signer));
        /// The same, for a signer that is shared.
        delegate_arc(signer: Arc<dyn Signer>) => delegate = Some(signer);
        /// The key that signs the credentials. Default: the funder; a hot key of its own keeps the
        /// funder's off the request path.
        authorized_signer(signer: impl Signer) => authorized = Some(Arc::new(signer));
        /// Pays rent and fees in lamports. Default: the funder.
        rent_payer(signer: impl Signer) => rent_payer = Some(Arc::new(signer));
        /// The cluster.
        chain(chain: Arc<dyn Chain>) => chain = Some(chain);
        /// The AMP program. What a service names is compared with it, never taken from it. Default: the one that
        /// is [recorded](chain::program_id) for the network; where none is, it must be given.
        program_id(id: Address) => program_id = Some(id);
        /// The cluster's name, one of [`network`]. Default: [`network::LOCALNET`], so that real money
        /// is never spent by default.
        network(name: impl Into<String>) => options.network = name.into();
        /// All limits at once, in place of what was set before.
        policy(policy: Policy) => options.policy = policy;
        /// Most base units that one call may cost.
        max_price_per_call(amount: Amount) => options.policy.max_price_per_call = amount;
        /// Most base units that one channel may hold.
        max_deposit(amount: Amount) => options.policy.max_deposit = amount;
        /// Most base units that all channels together may take, ever. `None`: unlimited.
        total_budget(amount: Option<Amount>) => options.policy.total_budget = amount;
        /// Pays services without TLS that are not on this machine.
        allow_insecure(allow: bool) => options.policy.allow_insecure = allow;
        /// Pays the rent of a service's token account where a close needs one. Default: yes.
        pay_recipient_rent(allow: bool) => options.policy.pay_recipient_rent = allow;
        /// Base units that a step of seq authorizes. Default: 1, which makes seq a cumulative amount.
        unit_price(price: UnitPrice) => options.unit_price = price;
        /// Base units of an opening, and of each top-up. Default: a thousand calls, at least what the
        /// service asks for and at most what the policy allows.
        deposit(amount: Amount) => options.deposit = Some(amount);
        /// Most base units that may be settled in one settle interval; fixed when a channel opens. A
        /// service stops serving at it until the next interval. Default: the policy's `max_deposit`.
        rate_limit(amount: Amount) => options.rate_limit = Some(amount);
        /// Seconds between settlements. Default: what the service asks for.
        settle_interval(seconds: u32) => options.settle_interval = Some(seconds);
        /// Seconds that a service has to settle after a close request. Default: the shortest it serves.
        close_grace(seconds: u32) => options.close_grace = Some(seconds);
        /// How many levels of channels a service may chain below its own to pay its suppliers, at most 3.
        /// Default: 0, none. What is chained and not earned comes back to the funder
        /// ([`Client::reclaim`]), each level after its own close grace.
        max_chain_depth(levels: u8) => options.max_chain_depth = levels;
        /// Most base units that one call may cost where the price depends on seconds, bytes or work.
        /// Default: the policy's `max_price_per_call`.
        metered_budget(amount: Amount) => options.metered_budget = Some(amount);
        /// Whether a call opens a channel where there is none, or none any more. Default: yes. Without it
        /// [`Client::prepare`] opens, and calls fail with [`ClientError::NotOpened`]: for those who ask somebody
        /// before each deposit.
        auto_open(on: bool) => options.auto_open = on;
        /// Whether a used up channel is topped up within the policy. Default: yes.
        auto_top_up(on: bool) => options.auto_top_up = on;
        /// On top of the base fee.
        priority_fee(fee: PriorityFee) => options.priority_fee = fee;
        /// The database file. Default: `amp/client.db` in the user's data folder.
        store(path: impl Into<PathBuf>) => options.store = Some(path.into());
        /// How long an answer may take to begin. Default: 60 s.
        timeout(duration: Duration) => options.timeout = duration;
        /// The longest `Retry-After` that is waited for instead of returned. Default: none.
        max_wait(duration: Duration) => options.max_wait = duration;
        /// How long a discovery document is good for. Default: 5 minutes.
        discovery_max_age(duration: Duration) => options.discovery_max_age = duration;
        /// Most paid calls to one service at a time. Default: 32, and never more than the service
        /// remembers seqs for.
        in_flight_limit(limit: u32) => options.in_flight_limit = limit.max(1);
    }

    /// The largest message of a socket either way, in bytes, with its credential. Default: 64 KiB.
    #[cfg(feature = "ws")]
    pub fn max_socket_message(mut self, bytes: usize) -> Self {
        self.options.max_socket_message = bytes;
        self
    }

    /// Trusts services whose certificates one of these (PEM, one or several) has signed, beside those that the public
    /// authorities have: for services behind an authority of your own. Holds for `https` and `wss`; over gRPC the
    /// channel that you give has its own.
    pub fn trust_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.options.trusted.push(pem.into());
        self
    }

    /// Allows paying with a mint. Without one nothing is paid.
    pub fn allow_mint(mut self, mint: Address) -> Self {
        self.options.policy.allowed_mints.insert(mint);
        self
    }

    /// Allows a host. As soon as one is named, no other is paid.
    pub fn allow_host(mut self, host: impl Into<String>) -> Self {
        self.options.policy.allowed_hosts.insert(host.into());
        self
    }

    /// Opens the store and makes the client. Channels of earlier runs go on where they were.
    pub async fn build(self) -> Result<Client, ClientError> {
        let payer = self.payer()?;
        let cluster = self.chain.ok_or(ClientError::Incomplete("a `chain`, for example an RpcChain"))?;
        let network = &self.options.network;
        let program_id = self.program_id.or_else(|| chain::program_id(network));
        let program_id = program_id.ok_or_else(|| ClientError::NothingPinned { network: network.clone() })?;
        let settings = Settings { payer, chain: cluster, program_id, options: self.options };
        let path = settings.options.store.clone().or_else(default_store);
        let path = path.ok_or(ClientError::Incomplete("a `store` path, as there is no data folder"))?;
        // twice the timeout: a call is not forgotten while it is still waited for
        let store = Store::open(
            &path,
            settings.owner(),
            &settings.options.network,
            settings.options.timeout.saturating_mul(2),
        )?;
        // a redirect would carry the credential, which is money, to whoever it names
        let redirect = reqwest::redirect::Policy::none();
        let mut http = reqwest::Client::builder().redirect(redirect).connect_timeout(CONNECT);
        for pem in &settings.options.trusted {
            let certificates = reqwest::Certificate::from_pem_bundle(pem)?;
            if certificates.is_empty() {
                return Err(ClientError::Incomplete("certificates in PEM for `trust_certificates`"));
            }
            http = certificates.into_iter().fold(http, reqwest::ClientBuilder::add_root_certificate);
        }
        let http = http.build()?;
        Client::assemble(settings, store, http).await
    }

    fn payer(&self) -> Result<Payer, ClientError> {
        match (&self.funder, &self.delegate) {
            (Some(funder), None) => {
                let own = |key: &Option<Arc<dyn Signer>>| key.as_ref().unwrap_or(funder).clone();
                let (authorized, rent_payer) = (own(&self.authorized), own(&self.rent_payer));
                Ok(Payer::Funder(Funding { funder: funder.clone(), authorized, rent_payer }))
            }
            (None, Some(delegate)) => {
                self.check_delegates_options()?;
                Ok(Payer::Delegate(delegate.clone()))
            }
            (None, None) => Err(ClientError::Incomplete(
                "a `funder`: who pays; or a `delegate`, who spends from a funder's channel",
            )),
            (Some(_), Some(_)) => Err(ClientError::Incomplete(
                "either a `funder` or a `delegate`, not both: make a client for each",
            )),
        }
    }

    /// What a delegate's client would have no use for was meant for another one.
    fn check_delegates_options(&self) -> Result<(), ClientError> {
        if self.authorized.is_some() || self.rent_payer.is_some() {
            return Err(ClientError::Incomplete(
                "no `authorized_signer` and no `rent_payer` beside a `delegate`, which signs for itself and sends no transactions",
            ));
        }
        let Options { deposit, rate_limit, settle_interval, close_grace, max_chain_depth, .. } =
            &self.options;
        let terms = deposit.or(*rate_limit).is_some() || settle_interval.or(*close_grace).is_some();
        if terms || *max_chain_depth != 0 {
            return Err(ClientError::Incomplete(
                "no `deposit`, `rate_limit`, `settle_interval`, `close_grace` or `max_chain_depth` beside a `delegate`: its funder opens the channel",
            ));
        }
        Ok(())
    }
}

fn default_store() -> Option<PathBuf> {
    directories::ProjectDirs::from("", "", "amp").map(|folders| folders.data_dir().join("client.db"))
}
