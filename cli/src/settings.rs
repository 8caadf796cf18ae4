//! The options that every command has, and what they come to.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use amp_sdk::chain::{self, Chain as _, ChainError, PROGRAM_ID, PriorityFee, RpcChain};
use amp_sdk::client::{Client, ClientBuilder};
use amp_sdk::protocol::text::network;
use amp_sdk::signer::{KeypairSigner, Signer as _};
use anyhow::Context;
use clap::Args;
use solana_address::Address;
use tokio::sync::OnceCell;

use crate::cluster;
use crate::exit::{Exit, failure};
use crate::moment::now;
use crate::solana_config::SolanaConfig;

/// Who acts, and on which cluster.
#[derive(Args, Clone)]
#[command(next_help_heading = "Cluster and key")]
pub(crate) struct Common {
    /// RPC address, or mainnet-beta, devnet, testnet, localhost. Default: the Solana CLI's.
    #[arg(long, short = 'u', env = "AMP_RPC_URL", value_name = "URL", global = true)]
    pub(crate) rpc: Option<String>,
    /// The cluster's name, which the service must name too. Default: told by the RPC node.
    #[arg(long, env = "AMP_NETWORK", value_name = "NAME", global = true)]
    pub(crate) network: Option<String>,
    /// The keypair file that signs and pays. Default: the Solana CLI's.
    #[arg(long, short = 'k', env = "AMP_KEYPAIR", value_name = "FILE", global = true)]
    pub(crate) keypair: Option<PathBuf>,
    /// A key of its own for the credentials of the funder's channels, so that the funder's signs transactions alone.
    #[arg(long, env = "AMP_HOT_KEY", value_name = "FILE", global = true)]
    hot_key: Option<PathBuf>,
    /// The AMP program that is trusted. Default: the one recorded for the cluster; where there is none it must be given.
    #[arg(long, env = "AMP_PROGRAM_ID", value_name = "ADDRESS", global = true)]
    pub(crate) program_id: Option<Address>,
    /// The file that remembers channels and what was signed. Default: in the user's data folder.
    #[arg(long, env = "AMP_STORE", value_name = "FILE", global = true)]
    pub(crate) store: Option<PathBuf>,
    /// Micro-lamports per compute unit, on top of the base fee.
    #[arg(long, env = "AMP_PRIORITY_FEE", value_name = "N", default_value_t = 0, global = true)]
    priority_fee: u64,
    /// The Solana CLI's configuration file. Default: ~/.config/solana/cli/config.yml.
    #[arg(long, short = 'C', value_name = "FILE", global = true)]
    solana_config: Option<PathBuf>,
    /// Print JSON.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Don't ask before money moves.
    #[arg(long, short = 'y', global = true)]
    pub(crate) yes: bool,
}

/// The options with the Solana CLI's configuration behind them.
pub(crate) struct Settings {
    pub(crate) common: Common,
    pub(crate) file: SolanaConfig,
    pub(crate) chain: Arc<RpcChain>,
    pub(crate) rpc_url: String,
    key: OnceLock<Arc<KeypairSigner>>,
    /// The first block's hash, which tells clusters apart. A node is asked once.
    genesis: OnceCell<String>,
}

impl Settings {
    pub(crate) fn read(common: Common) -> anyhow::Result<Self> {
        let file = SolanaConfig::read(common.solana_config.as_deref())?;
        let named = common.rpc.clone().or_else(|| file.json_rpc_url.clone());
        let rpc_url = named.map_or_else(|| cluster::LOCAL.to_owned(), |text| cluster::rpc_url(&text));
        let is_url =
            rpc_url.parse::<reqwest::Url>().is_ok_and(|url| ["http", "https"].contains(&url.scheme()));
        if !is_url {
            let text = format!(
                "{rpc_url:?} is no RPC address; give --rpc a URL, or mainnet-beta, devnet, testnet, localhost"
            );
            return Err(failure(Exit::Usage, text));
        }
        let chain = Arc::new(RpcChain::new(rpc_url.clone()));
        let (key, genesis) = Default::default();
        Ok(Self { common, file, chain, rpc_url, key, genesis })
    }

    /// The cluster's name: given, told by the address, or asked of the node.
    pub(crate) async fn network(&self) -> anyhow::Result<String> {
        if let Some(name) = &self.common.network {
            let name = cluster::network_name(name);
            // a node of one's own may be of any cluster; a public one is of its own
            let other =
                cluster::network_of_url(&self.rpc_url).filter(|of| *of != network::LOCALNET && *of != name);
            if let Some(other) = other {
                let text = format!(
                    "{} is a node of {other}, not of {name}; check --rpc and --network",
                    self.rpc_url
                );
                return Err(failure(Exit::Usage, text));
            }
            return Ok(name);
        }
        if let Some(name) = cluster::network_of_url(&self.rpc_url) {
            return Ok(name.to_owned());
        }
        let genesis = self.genesis().await?;
        let known = cluster::network_of_genesis(genesis).map(str::to_owned);
        known.ok_or_else(|| {
            let text = format!(
                "{} is of no public cluster (first block {genesis}); say by --network which it is",
                self.rpc_url
            );
            failure(Exit::Usage, text)
        })
    }

    /// The hash of the cluster's first block.
    pub(crate) async fn genesis(&self) -> Result<&str, ChainError> {
        let ask = async || Ok::<_, ChainError>(self.chain.genesis_hash().await?.to_string());
        Ok(self.genesis.get_or_try_init(ask).await?.as_str())
    }

    /// The cluster's time, in Unix seconds; this machine's where no node tells it: what was done is told all the same.
    pub(crate) async fn about_now(&self) -> i64 {
        self.chain.clock().await.map_or_else(|_| now(), |clock| clock.unix_timestamp)
    }

    /// The AMP program that is trusted: given, or recorded for the cluster.
    pub(crate) async fn program_id(&self) -> anyhow::Result<Address> {
        if let Some(given) = self.common.program_id {
            return Ok(given);
        }
        let network = self.network().await?;
        chain::program_id(&network).ok_or_else(|| {
            let text = format!(
                "no AMP program is recorded for {network}; give the one that you trust by --program-id, and never take it from a service's word"
            );
            failure(Exit::Usage, text)
        })
    }

    /// The same where no node is asked of which cluster it is: to read with, and to sign nothing.
    pub(crate) fn program_at_hand(&self) -> Address {
        let network = self.common.network.as_deref().map(cluster::network_name);
        let named = network.or_else(|| cluster::network_of_url(&self.rpc_url).map(str::to_owned));
        let recorded = named.and_then(|network| chain::program_id(&network));
        self.common.program_id.or(recorded).unwrap_or(PROGRAM_ID)
    }

    /// Where the key is.
    pub(crate) fn keypair_path(&self) -> anyhow::Result<PathBuf> {
        if let Some(path) = &self.common.keypair {
            return Ok(path.clone());
        }
        if let Some(path) = &self.file.keypair_path {
            if path.contains("://") || path.starts_with("prompt:") || path == "ASK" {
                let text = format!(
                    "the Solana CLI's key is {path}, which needs a hand at every signature; give a keypair file by --keypair"
                );
                return Err(failure(Exit::Failed, text));
            }
            return Ok(PathBuf::from(path));
        }
        let home = directories::BaseDirs::new().context("there is no home folder; give --keypair")?;
        Ok(home.home_dir().join(".config/solana/id.json"))
    }

    /// The key. Its file is read once.
    pub(crate) fn keypair(&self) -> anyhow::Result<Arc<KeypairSigner>> {
        if let Some(key) = self.key.get() {
            return Ok(key.clone());
        }
        let key = Arc::new(KeypairSigner::from_file(self.keypair_path()?)?);
        Ok(self.key.get_or_init(|| key).clone())
    }

    /// The key's address.
    pub(crate) fn own_address(&self) -> anyhow::Result<Address> {
        Ok(self.keypair()?.public_key())
    }

    pub(crate) fn priority_fee(&self) -> PriorityFee {
        PriorityFee(self.common.priority_fee)
    }

    /// The beginnings of a funder's client: it may spend nothing yet.
    pub(crate) async fn funders_builder(&self) -> anyhow::Result<ClientBuilder> {
        self.of_funder(self.builder().await?)
    }

    fn of_funder(&self, builder: ClientBuilder) -> anyhow::Result<ClientBuilder> {
        let builder = builder.funder_arc(self.keypair()?);
        Ok(match &self.common.hot_key {
            Some(hot_key) => builder.authorized_signer(KeypairSigner::from_file(hot_key)?),
            None => builder,
        })
    }

    /// The same of a delegate's.
    pub(crate) async fn delegates_builder(&self) -> anyhow::Result<ClientBuilder> {
        Ok(self.builder().await?.delegate_arc(self.keypair()?))
    }

    /// The funder's client that looks into its store alone, also where no node answers.
    pub(crate) async fn bookkeeper(&self) -> anyhow::Result<Client> {
        let builder = self.of_funder(self.unnamed_builder(self.program_at_hand()))?;
        Ok(builder.build().await?)
    }

    async fn builder(&self) -> anyhow::Result<ClientBuilder> {
        let (network, program_id) = (self.network().await?, self.program_id().await?);
        Ok(self.unnamed_builder(program_id).network(network))
    }

    /// On no cluster in particular.
    fn unnamed_builder(&self, program_id: Address) -> ClientBuilder {
        let builder = Client::builder()
            .chain(self.chain.clone())
            .program_id(program_id)
            .priority_fee(self.priority_fee());
        match &self.common.store {
            Some(store) => builder.store(store),
            None => builder,
        }
    }

    /// The funder's client, which pays for nothing: it looks at channels, and closes them.
    pub(crate) async fn keeper(&self) -> anyhow::Result<Client> {
        Ok(self.funders_builder().await?.build().await?)
    }
}
