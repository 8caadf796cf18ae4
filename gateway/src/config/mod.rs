//! What a gateway is told: `amp.toml`, and the command line before it.
//!
//! Problems name the file, the line and what would do. What needs the chain (a mint's decimals) is read later, so
//! prices are kept as they were written, with their places, and become base units in [`Settings::priced`].

mod cut;
mod file;
mod overrides;
mod prices;
mod problem;
mod tokens;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use amp_protocol::text::network;
use amp_sdk::token::mint_called;
use http::Uri;
use solana_address::Address;
use toml::Spanned;

pub use overrides::Overrides;
pub use problem::ConfigProblem;
pub(crate) use tokens::tokens;

use file::File;
use problem::{COMMAND_LINE, Source};

use crate::connections::Limits;

const DEFAULT_LISTEN: &str = "127.0.0.1:8402";
const DEFAULT_OPERATIONS: &str = "127.0.0.1:9402";
const DEFAULT_RPC: &str = "http://127.0.0.1:8899";
/// Each takes two files, with that to the API, and some 50 KiB when it is used.
const CONNECTIONS: u32 = 10_000;
/// So that it takes ten to keep all others out, and an office behind one address still has enough.
const CONNECTIONS_PER_ADDRESS: u32 = 1_000;
/// Longer than proxies and clients keep an idle connection (60 to 90 s): one that ends here, just when they send a
/// request on it, is a failure for them.
const KEEP_ALIVE: u32 = 120;

/// A configuration that can be read; whether it can be served, [`Gateway::start`](crate::Gateway::start) finds out.
#[derive(Clone, Debug)]
pub struct Settings {
    pub(crate) listen: SocketAddr,
    pub(crate) operations: SocketAddr,
    pub(crate) operator_token_file: Option<PathBuf>,
    pub(crate) dry: bool,
    pub(crate) upstream: Upstream,
    /// What clients may take.
    pub(crate) limits: Limits,
    pub(crate) rpc: String,
    pub(crate) websocket: Option<String>,
    pub(crate) network: String,
    /// `None`: the one that is recorded for the network.
    pub(crate) program_id: Option<Address>,
    pub(crate) store: StoreAt,
    pub(crate) drain: Duration,
    pub(crate) max_message: usize,
    file: File,
    source: Source,
    overrides: Overrides,
}

/// Where the API is, and how long it may take.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    /// Scheme and authority, and what paths are put after.
    pub(crate) url: Uri,
    /// Whether the API is told the host that the client asked, or its own.
    pub(crate) preserve_host: bool,
    pub(crate) connect_timeout: Duration,
    /// Until the answer's head is there.
    pub(crate) answer_timeout: Duration,
    /// Without a byte of an answer that has begun.
    pub(crate) idle_timeout: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StoreAt {
    Sqlite(PathBuf),
    Postgres { database: String, schema: String },
}

impl Settings {
    /// Reads `path`, if there is one, and what the command line says.
    ///
    /// # Errors
    /// [`ConfigProblem`], with file, line and column.
    pub fn load(path: Option<&Path>, overrides: Overrides) -> Result<Self, ConfigProblem> {
        let text = match path {
            Some(path) => std::fs::read_to_string(path).map_err(|error| ConfigProblem {
                place: path.display().to_string(),
                message: format!("can't be read: {error}"),
            })?,
            None => String::new(),
        };
        Self::parse(Source { path: path.map(Path::to_owned), text }, overrides)
    }

    /// The same with what the file says now.
    pub(crate) fn again(&self) -> Result<Self, ConfigProblem> {
        Self::load(self.source.path.as_deref(), self.overrides.clone())
    }

    /// The same if the file said this, unless that looks like a part of it.
    pub(crate) fn saying(&self, text: String) -> Result<Self, ConfigProblem> {
        let new = Self::parse(Source { path: self.source.path.clone(), text }, self.overrides.clone())?;
        self.looks_cut(&new).map_or(Ok(new), Err)
    }

    /// The file, if there is one, and what it said.
    pub(crate) fn source(&self) -> Option<(&Path, &str)> {
        self.source.path.as_deref().map(|path| (path, self.source.text.as_str()))
    }

    /// The tables of `other` that only a restart would take up, as they differ from these.
    pub(crate) fn needs_restart(&self, other: &Self) -> Vec<String> {
        let (mine, theirs) = (File::fixed(&self.source.text), File::fixed(&other.source.text));
        let names: BTreeMap<&String, ()> = mine.keys().chain(theirs.keys()).map(|name| (name, ())).collect();
        let differ = names.into_keys().filter(|name| mine.get(*name) != theirs.get(*name));
        differ.cloned().collect()
    }

    fn parse(source: Source, overrides: Overrides) -> Result<Self, ConfigProblem> {
        let mut file: File = toml::from_str(&source.text).map_err(|error| source.unreadable(&error))?;
        overrides.clone().apply(&mut file);
        let read = Reader { source: &source };
        let url = file.upstream.url.as_ref().ok_or_else(|| {
            source.missing("where the API is: --upstream http://127.0.0.1:8000, or `url` of [upstream]")
        })?;
        let upstream = Upstream {
            url: read.upstream(url)?,
            preserve_host: file.upstream.preserve_host,
            connect_timeout: read.seconds(&file.upstream.connect_timeout, 5)?,
            answer_timeout: read.seconds(&file.upstream.answer_timeout, 60)?,
            idle_timeout: read.seconds(&file.upstream.idle_timeout, 300)?,
        };
        let trusted = file.trusted_proxies.iter();
        let limits = Limits {
            connections: read.count(&file.clients.connections, CONNECTIONS)?,
            per_address: read.count(&file.clients.connections_per_address, CONNECTIONS_PER_ADDRESS)?,
            trusted_proxies: trusted
                .map(|at| read.value(at, "an IP address").map(|address: IpAddr| address.to_canonical()))
                .collect::<Result<_, _>>()?,
            head_timeout: read.seconds(&file.clients.head_timeout, 30)?,
            keep_alive: read.seconds(&file.clients.keep_alive, KEEP_ALIVE)?,
            idle_timeout: read.seconds(&file.clients.idle_timeout, 300)?,
        };
        let text = |value: &Option<Spanned<String>>, default: &str| {
            value.as_ref().map_or(default.to_owned(), |value| value.get_ref().clone())
        };
        let settings = Self {
            listen: read.parsed(
                &file.listen,
                DEFAULT_LISTEN,
                "an address to listen at, like 0.0.0.0:8402",
            )?,
            operations: read.parsed(
                &file.operations,
                DEFAULT_OPERATIONS,
                "an address for the operator's tools, like 127.0.0.1:9402",
            )?,
            operator_token_file: file.operator_token_file.as_ref().map(|at| read.path(at)),
            dry: file.dry,
            upstream,
            limits,
            rpc: text(&file.chain.rpc, DEFAULT_RPC),
            websocket: file.chain.websocket.as_ref().map(|at| at.get_ref().clone()),
            network: read.network(&file.chain.network)?,
            program_id: file
                .chain
                .program
                .as_ref()
                .map(|at| read.value(at, "a program's address"))
                .transpose()?,
            store: read.store(&file)?,
            drain: read.seconds(&file.settlement.drain, 30)?,
            max_message: file.service.max_message.as_ref().map_or(64 * 1024, |at| *at.get_ref()),
            file,
            source,
            overrides,
        };
        settings.check_prices()?;
        Ok(settings)
    }

    /// Where the history is: beside the store.
    pub(crate) fn history(&self) -> PathBuf {
        match &self.store {
            StoreAt::Sqlite(path) => path.with_extension("history.db"),
            StoreAt::Postgres { .. } => {
                // where systemd says that state belongs: the configuration's folder may be read-only
                let folder = std::env::var_os("STATE_DIRECTORY").map(PathBuf::from);
                folder.unwrap_or_else(|| self.source.folder().to_owned()).join("amp.history.db")
            }
        }
    }

    /// The keypair file of the service.
    pub(crate) fn keypair(&self) -> Result<PathBuf, ConfigProblem> {
        let said = self.file.service.keypair.as_ref();
        let missing =
            "the key that is paid: --keypair FILE, or `keypair` of [service]; `amp keygen FILE` makes one";
        Ok(Reader { source: &self.source }.path(said.ok_or_else(|| self.source.missing(missing))?))
    }

    /// The accepted mint.
    pub(crate) fn mint(&self) -> Result<Address, ConfigProblem> {
        let missing = "the token that is taken: --mint ADDRESS (or USDC), or `mint` of [service]";
        let said = self.file.service.mint.as_ref().ok_or_else(|| self.source.missing(missing))?;
        if said.get_ref() == "USDC" {
            let unknown =
                || self.source.problem(&said.span(), format!("no USDC is known on {}", self.network));
            return mint_called("USDC", &self.network).ok_or_else(unknown);
        }
        Reader { source: &self.source }.value(said, "a mint's address, or USDC")
    }
}

/// Reads values that TOML takes for text or numbers.
struct Reader<'a> {
    source: &'a Source,
}

impl Reader<'_> {
    fn value<T: FromStr>(&self, at: &Spanned<String>, what: &str) -> Result<T, ConfigProblem> {
        let text = at.get_ref();
        text.parse().map_err(|_| self.source.problem(&at.span(), format!("{text:?} is not {what}")))
    }

    fn parsed<T: FromStr>(
        &self,
        at: &Option<Spanned<String>>,
        default: &str,
        what: &str,
    ) -> Result<T, ConfigProblem> {
        match at {
            Some(at) => self.value(at, what),
            None => self.value(&Spanned::new(COMMAND_LINE, default.to_owned()), what),
        }
    }

    fn seconds(&self, at: &Option<Spanned<u32>>, default: u32) -> Result<Duration, ConfigProblem> {
        match at {
            Some(at) if *at.get_ref() == 0 => {
                Err(self.source.problem(&at.span(), "must be at least 1 (seconds)"))
            }
            Some(at) => Ok(Duration::from_secs((*at.get_ref()).into())),
            None => Ok(Duration::from_secs(default.into())),
        }
    }

    fn count(&self, at: &Option<Spanned<u32>>, default: u32) -> Result<usize, ConfigProblem> {
        match at {
            Some(at) if *at.get_ref() == 0 => Err(self.source.problem(&at.span(), "must be at least 1")),
            at => Ok(at.as_ref().map_or(default, |at| *at.get_ref()).try_into().unwrap_or(usize::MAX)),
        }
    }

    /// A path; what stands in a file is relative to the file.
    fn path(&self, at: &Spanned<String>) -> PathBuf {
        if at.span() == COMMAND_LINE { at.get_ref().into() } else { self.source.folder().join(at.get_ref()) }
    }

    fn upstream(&self, at: &Spanned<String>) -> Result<Uri, ConfigProblem> {
        let bad = |why: &str| {
            let message = format!("{:?} {why}; write it like http://127.0.0.1:8000", at.get_ref());
            self.source.problem(&at.span(), message)
        };
        let url: Uri = at.get_ref().parse().map_err(|_| bad("is no URL"))?;
        if !matches!(url.scheme_str(), Some("http" | "https")) || url.authority().is_none() {
            return Err(bad("must begin with http:// or https://"));
        }
        if url.query().is_some() {
            return Err(bad("must not have a query"));
        }
        Ok(url)
    }

    fn network(&self, at: &Option<Spanned<String>>) -> Result<String, ConfigProblem> {
        let Some(at) = at else { return Ok(network::LOCALNET.to_owned()) };
        let known = [network::MAINNET_BETA, network::DEVNET, network::TESTNET, network::LOCALNET];
        let name = at.get_ref();
        let short = |full: &&str| *full == name || full.strip_prefix("solana:") == Some(name);
        known.into_iter().find(short).map(str::to_owned).ok_or_else(|| {
            self.source.problem(&at.span(), format!("{name:?} is no network; one of {}", known.join(", ")))
        })
    }

    fn store(&self, file: &File) -> Result<StoreAt, ConfigProblem> {
        let table = &file.store;
        match (&table.sqlite, &table.postgres) {
            (Some(_), Some(postgres)) => {
                let message = "both `sqlite` and `postgres` are set; one process keeps its books in a file, several share a database";
                Err(self.source.problem(&postgres.span(), message))
            }
            (_, Some(postgres)) => {
                let schema = table.schema.as_ref().map_or("amp".to_owned(), |at| at.get_ref().clone());
                Ok(StoreAt::Postgres { database: postgres.get_ref().clone(), schema })
            }
            (Some(sqlite), None) => Ok(StoreAt::Sqlite(self.path(sqlite))),
            (None, None) => Ok(StoreAt::Sqlite(self.source.folder().join("amp-service.db"))),
        }
    }
}

#[cfg(test)]
mod tests;
