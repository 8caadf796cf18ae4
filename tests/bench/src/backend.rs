//! The stores that are measured.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use amp_protocol::json::PricingMode;
use amp_protocol::money::Amount;
use amp_protocol::rate::{Per, Rate};
use amp_sdk::server::{AmpService, PostgresStore, ServiceConfig, SqliteStore};
use amp_sdk::signer::KeypairSigner;
use anyhow::{Result, bail};
use solana_address::Address;

use crate::chain::MemoryChain;
use crate::http::{FILE, PER};
use crate::town;

/// Where a service keeps what it must not forget: `sqlite:<file>` or `postgres:<schema>:<database>`.
#[derive(Clone, Debug)]
pub(crate) enum Backend {
    /// The embedded one.
    Sqlite(PathBuf),
    /// One that several processes may share.
    Postgres { schema: String, database: String },
}

impl FromStr for Backend {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.split_once(':') {
            Some(("sqlite", file)) => Ok(Self::Sqlite(file.into())),
            Some(("postgres", rest)) if rest.contains(':') => {
                let (schema, database) = rest.split_once(':').unwrap_or_default();
                Ok(Self::Postgres { schema: schema.to_owned(), database: database.to_owned() })
            }
            _ => bail!("{text} is no store; say sqlite:<file> or postgres:<schema>:<database>"),
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(file) => write!(f, "sqlite:{}", file.display()),
            Self::Postgres { schema, database } => write!(f, "postgres:{schema}:{database}"),
        }
    }
}

impl Backend {
    /// A service on this store and a chain with so many channels, which all requests cost one unit.
    pub(crate) async fn start(&self, chain: Arc<MemoryChain>, config: ServiceConfig) -> Result<AmpService> {
        match self {
            Self::Sqlite(file) => Ok(AmpService::start(config, chain, SqliteStore::open(file)?).await?),
            Self::Postgres { schema, database } => {
                let store = PostgresStore::connect(database, schema).await?;
                Ok(AmpService::start(config, chain, store).await?)
            }
        }
    }
}

/// What is measured: the defaults, but for the watch over all channels, which comes so seldom that it falls
/// into no measurement, and a replay window for as many requests as one channel may have in flight here.
pub(crate) fn config(seq_window: u32) -> ServiceConfig {
    let (recipient, mint) = (Arc::new(KeypairSigner::from(town::recipient())), Address::from(town::MINT));
    ServiceConfig::new(recipient, mint, Amount::new(town::PRICE))
        .seq_window(seq_window)
        .metered_route(
            FILE,
            PricingMode::PerByte,
            Rate { amount: Amount::new(1), per: Per::new(PER).unwrap_or(Per::ONE) },
        )
        .watch_interval(Duration::from_secs(1_800))
}
