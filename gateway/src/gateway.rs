use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use amp_protocol::json::PricingMode;
use amp_sdk::chain::{self, Chain, ChainError, RpcChain};
use amp_sdk::server::{
    AmpLayer, AmpMiddleware, AmpService, ConfigError, PostgresStore, PriceList, SqliteStore, StartError,
    StoreError, is_plain,
};
use amp_sdk::signer::{KeypairSigner, Signer, SignerError};
use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use http::{Method, StatusCode};
use solana_address::Address;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tower::{Layer as _, ServiceExt as _};

use crate::config::{ConfigProblem, Settings, StoreAt, tokens};
use crate::connections;
use crate::dry::{self, WouldCharge};
use crate::operator::{self, History, Operator, Token, gather, sample};
use crate::proxy::{Proxy, is_websocket, plain, upgrade_to};
use crate::reload;
use crate::socket::Sockets;
use crate::stop::Ended;

/// Decimals that prices are read with where no mint is looked at.
const DRY_DECIMALS: u8 = 6;

/// A gateway that listens, and serves once it is [run](Self::run).
pub struct Gateway {
    running: Arc<Running>,
    clients: TcpListener,
    operator: TcpListener,
    at: (SocketAddr, SocketAddr),
}

/// What its tasks share.
pub(crate) struct Running {
    settings: RwLock<Settings>,
    recipient: Arc<dyn Signer>,
    mint: Address,
    decimals: u8,
    proxy: Proxy,
    mode: Mode,
}

enum Mode {
    Paid(Box<Paid>),
    Dry { prices: RwLock<Arc<PriceList>>, tally: Arc<WouldCharge> },
}

struct Paid {
    service: AmpService,
    operator: Operator,
    http: AmpMiddleware<Proxy>,
    sockets: Sockets,
}

/// Why a gateway can't start.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The configuration is wrong, at a place that is named.
    #[error(transparent)]
    Config(#[from] ConfigProblem),
    /// The key can't be read.
    #[error(transparent)]
    Key(#[from] SignerError),
    /// The chain does not answer, or the mint is not there.
    #[error("{rpc}: {error}")]
    Chain {
        /// The node.
        rpc: String,
        /// What it answered.
        error: ChainError,
    },
    /// The store can't be opened.
    #[error("the store can't be opened: {0}")]
    Store(StoreError),
    /// The engine does not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// An address can't be listened at.
    #[error("can't listen at {address}: {error}; choose another with --listen or --operations")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// The history can't be opened.
    #[error("the history {path} can't be opened: {error}")]
    History {
        /// The file.
        path: PathBuf,
        /// Why.
        error: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The operator's token can't be read.
    #[error("the operator's token can't be read from {path}: {error}")]
    Token {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Connections to the API can't be made.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Gateway {
    /// Takes up a configuration: reads the key and the mint, opens the store, listens. On the chain that the
    /// configuration names.
    pub async fn start(settings: Settings) -> Result<Self, GatewayError> {
        let chain: Arc<dyn Chain> = match &settings.websocket {
            Some(websocket) => Arc::new(RpcChain::with_websocket(settings.rpc.clone(), websocket.clone())),
            None => Arc::new(RpcChain::new(settings.rpc.clone())),
        };
        Self::start_on(settings, chain).await
    }

    /// The same on a chain that is given.
    pub async fn start_on(settings: Settings, chain: Arc<dyn Chain>) -> Result<Self, GatewayError> {
        let proxy = Proxy::new(settings.upstream.clone(), settings.limits.trusted_proxies.clone())?;
        let (clients, operator) = (listen(settings.listen).await?, listen(settings.operations).await?);
        let at = (clients.local_addr()?, operator.local_addr()?);
        let running = if settings.dry {
            Running::dry(settings, proxy)?
        } else {
            Running::paid(settings, proxy, chain).await?
        };
        Ok(Self { running: Arc::new(running), clients, operator, at })
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.at.0
    }

    /// Where the operator's tools connect.
    pub fn operations_address(&self) -> SocketAddr {
        self.at.1
    }

    /// The operator's page, where there is an engine to look at; with the token that it asks for, if that was made up.
    /// One from a file is known to whom it concerns, and what is printed is kept in journals.
    pub fn operator_url(&self) -> Option<String> {
        let is_known = self.running.settings().operator_token_file.is_some();
        let page = format!("http://{}/", self.at.1);
        self.operator_token().map(|token| if is_known { page } else { format!("{page}#{token}") })
    }

    /// The operator's token; none in dry mode.
    pub fn operator_token(&self) -> Option<&str> {
        match &self.running.mode {
            Mode::Paid(paid) => Some(paid.operator.token()),
            Mode::Dry { .. } => None,
        }
    }

    /// The engine; none in dry mode.
    pub fn service(&self) -> Option<&AmpService> {
        self.running.service()
    }

    /// What would have been charged; none unless in dry mode.
    pub fn would_charge(&self) -> Option<Arc<WouldCharge>> {
        match &self.running.mode {
            Mode::Dry { tally, .. } => Some(tally.clone()),
            Mode::Paid(_) => None,
        }
    }

    /// What is told at the start: the price of a call where nothing else is said, in tokens.
    pub fn default_price(&self) -> String {
        let pricing = self.running.prices().table().default.clone();
        let price = tokens(pricing.rate, self.running.decimals);
        match pricing.mode {
            PricingMode::PerCall => format!("{price} a call"),
            mode => format!("{price} for {} ({mode:?})", pricing.per),
        }
    }

    /// Serves until `stop` is done; then finishes what is under way, and settles.
    pub async fn run(self, stop: impl Future<Output = ()> + Send + 'static) -> Result<Ended, GatewayError> {
        let Self { running, clients, operator, .. } = self;
        let drain = running.settings().drain;
        let (stopping, stopped) = oneshot::channel();
        let until_stopped = async move {
            // an error says that the sender is gone: then there is nothing to wait for either
            let _ = stopped.await;
        };
        let app = Router::new().fallback(serve).with_state(running.clone());
        let serving = connections::serve(clients, app, running.settings().limits, until_stopped);
        let mut serving = tokio::spawn(serving);
        let operations = axum::serve(operator, running.operations());
        let operations = tokio::spawn(operations.into_future());
        let watching = tokio::spawn(reload::watch(Arc::downgrade(&running)));
        let sampling = running.operator().map(|operator| tokio::spawn(sample(operator.downgrade())));
        #[cfg(unix)]
        let hangups = tokio::spawn(reload::on_hangup(Arc::downgrade(&running)));
        tokio::select! {
            () = stop => {}
            // it ends before that only where it fails
            _ = &mut serving => {}
        }
        tracing::info!("stopping: what is under way is finished, then all is settled");
        let _ = stopping.send(());
        if !serving.is_finished() && timeout(drain, &mut serving).await.is_err() {
            tracing::warn!(seconds = drain.as_secs(), "some answers are not finished; they end here");
            if let Some(service) = running.service() {
                service.cut_off();
            }
            serving.abort();
            // its connections end with it, before what is owed is settled
            let _ = serving.await;
        }
        watching.abort();
        if let Some(sampling) = sampling {
            sampling.abort();
        }
        #[cfg(unix)]
        hangups.abort();
        let ended = match running.service() {
            Some(service) => Ended::settle(service, running.decimals).await,
            None => Ended::default(),
        };
        operations.abort();
        Ok(ended)
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, GatewayError> {
    TcpListener::bind(address).await.map_err(|error| GatewayError::Listen { address, error })
}

impl Running {
    async fn paid(settings: Settings, proxy: Proxy, chain: Arc<dyn Chain>) -> Result<Self, GatewayError> {
        let recipient: Arc<dyn Signer> = Arc::new(KeypairSigner::from_file(settings.keypair()?)?);
        let mint = settings.mint()?;
        let unreachable = |error| GatewayError::Chain { rpc: settings.rpc.clone(), error };
        let decimals = chain::mint(&*chain, &mint).await.map_err(unreachable)?.decimals;
        let history_at = settings.history();
        let no_history =
            |error: rusqlite::Error| GatewayError::History { path: history_at.clone(), error: error.into() };
        let history = History::open(&history_at).map_err(no_history)?;
        let token = match &settings.operator_token_file {
            Some(path) => {
                Token::read(path).map_err(|error| GatewayError::Token { path: path.clone(), error })?
            }
            None => Token::made_up()?,
        };
        let observer = history.clone();
        let config = settings.service(recipient.clone(), mint, decimals)?;
        let config = config.observe(move |event| observer.note(event));
        let store = |error: Box<dyn std::error::Error + Send + Sync>| GatewayError::Store(StoreError(error));
        let service = match &settings.store {
            StoreAt::Sqlite(path) => {
                let opened = SqliteStore::open(path).map_err(|error| store(Box::new(error)))?;
                AmpService::start(config, chain, opened).await?
            }
            StoreAt::Postgres { database, schema } => {
                let opened = PostgresStore::connect(database, schema).await.map_err(GatewayError::Store)?;
                AmpService::start(config, chain, opened).await?
            }
        };
        gather(&service, &history).map_err(no_history)?;
        let operator = Operator::new(operator::Inner {
            service: service.clone(),
            history,
            token,
            recipient: recipient.public_key(),
            mint,
            decimals,
            rpc: settings.rpc.clone(),
        });
        let peers = proxy.clone();
        let layer = AmpLayer::new(service.clone())
            .peer(move |headers, connected| Some(peers.peer(headers, connected?)));
        let sockets = Sockets::new(service.clone(), proxy.clone(), settings.max_message)?;
        let paid = Paid { service, operator, http: layer.layer(proxy.clone()), sockets };
        let (settings, mode) = (RwLock::new(settings), Mode::Paid(Box::new(paid)));
        Ok(Self { settings, recipient, mint, decimals, proxy, mode })
    }

    fn dry(settings: Settings, proxy: Proxy) -> Result<Self, GatewayError> {
        // nobody is paid
        let recipient: Arc<dyn Signer> = Arc::new(KeypairSigner::generate());
        let (mint, decimals) = (Address::default(), DRY_DECIMALS);
        let config = settings.service(recipient.clone(), mint, decimals)?;
        let mode =
            Mode::Dry { prices: RwLock::new(Arc::new(config.price_list().clone())), tally: Arc::default() };
        Ok(Self { settings: RwLock::new(settings), recipient, mint, decimals, proxy, mode })
    }

    pub(crate) fn settings(&self) -> Settings {
        self.settings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn service(&self) -> Option<&AmpService> {
        match &self.mode {
            Mode::Paid(paid) => Some(&paid.service),
            Mode::Dry { .. } => None,
        }
    }

    fn operator(&self) -> Option<&Operator> {
        match &self.mode {
            Mode::Paid(paid) => Some(&paid.operator),
            Mode::Dry { .. } => None,
        }
    }

    fn prices(&self) -> Arc<PriceList> {
        match &self.mode {
            Mode::Paid(paid) => paid.service.prices(),
            Mode::Dry { prices, .. } => prices.read().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    /// Charges what these say from the next request on; all of it, or nothing.
    pub(crate) fn take_up(&self, settings: Settings) -> Result<(), ConfigProblem> {
        let config = settings.service(self.recipient.clone(), self.mint, self.decimals)?;
        match &self.mode {
            Mode::Paid(paid) => {
                let refused = |error: ConfigError| ConfigProblem {
                    place: "the new configuration".to_owned(),
                    message: error.to_string(),
                };
                paid.service.reprice(&config).map_err(refused)?;
            }
            Mode::Dry { prices, .. } => {
                let list = Arc::new(config.price_list().clone());
                *prices.write().unwrap_or_else(PoisonError::into_inner) = list;
            }
        }
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = settings;
        Ok(())
    }

    fn operations(&self) -> Router {
        match &self.mode {
            Mode::Paid(paid) => paid.operator.router(),
            Mode::Dry { .. } => Router::new()
                .route("/health/live", axum::routing::get(|| async { "dry" }))
                .route("/health/ready", axum::routing::get(|| async { "dry" })),
        }
    }
}

async fn serve(State(running): State<Arc<Running>>, request: Request) -> Response {
    if request.method() == Method::CONNECT {
        // a tunnel to wherever is no request to the API
        return plain(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", "this is no forward proxy");
    }
    if !is_plain(request.uri().path()) {
        return ambiguous();
    }
    match &running.mode {
        Mode::Paid(paid) => paid.serve(request).await,
        Mode::Dry { tally, .. } => {
            let path = request.uri().path().to_owned();
            let Some(terms) = running.prices().for_request(&path) else { return ambiguous() };
            let answer = forwarded(running.proxy.clone().oneshot(request).await);
            dry::watch(tally, path, terms, answer)
        }
    }
}

impl Paid {
    async fn serve(&self, request: Request) -> Response {
        if upgrade_to(request.headers()).is_some_and(|to| is_websocket(&to)) {
            let (prices, path) = (self.service.prices(), request.uri().path());
            let Some(terms) = prices.for_request(path) else { return ambiguous() };
            if !terms.pricing.rate.is_zero() {
                // a socket is priced by the path as it is: another spelling of a dearer one has none
                if terms.pricing != prices.table().for_route(path) {
                    return ambiguous();
                }
                let (parts, _) = request.into_parts();
                return self.sockets.open(parts, terms.pricing.mode).await;
            }
        }
        forwarded(self.http.clone().oneshot(request).await)
    }
}

fn forwarded(answered: Result<Response, crate::proxy::NotCharged>) -> Response {
    answered.unwrap_or_else(|crate::proxy::NotCharged(answer)| *answer)
}

fn ambiguous() -> Response {
    let message =
        "this path can be read in several ways, which are priced differently; send it in its plain form";
    plain(StatusCode::BAD_REQUEST, "AMBIGUOUS_PATH", message)
}
