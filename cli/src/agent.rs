//! The options that make a client.

use std::path::PathBuf;
use std::sync::Arc;

use amp_sdk::chain::{PriorityFee, RpcChain};
use amp_sdk::client::Client;
use amp_sdk::protocol::money::Amount;
use amp_sdk::protocol::text::network;
use amp_sdk::signer::KeypairSigner;
use anyhow::Context;
use clap::Args;
use solana_address::Address;

/// Who pays, on which cluster, and within which limits.
#[derive(Args, Clone)]
pub(crate) struct AgentOptions {
    /// The cluster's RPC address.
    #[arg(long, env = "AMP_RPC_URL", default_value = "http://127.0.0.1:8899")]
    rpc: String,
    /// The cluster's name; it must be the one the service names.
    #[arg(long, env = "AMP_NETWORK", default_value = network::LOCALNET)]
    network: String,
    /// The AMP program that is trusted. Default: the one recorded for the network; where there is none it must be
    /// given.
    #[arg(long, env = "AMP_PROGRAM_ID")]
    program_id: Option<Address>,
    /// The funder's keypair file.
    #[arg(long, env = "AMP_KEYPAIR", value_name = "FILE")]
    keypair: PathBuf,
    /// A mint that may be paid with. May be given several times.
    #[arg(long = "mint", env = "AMP_MINT", value_name = "ADDRESS", value_delimiter = ',', required = true)]
    mints: Vec<Address>,
    /// Most base units that one call may cost.
    #[arg(long, env = "AMP_MAX_PRICE", default_value_t = Amount::new(100_000))]
    max_price: Amount,
    /// Most base units that one channel may hold.
    #[arg(long, env = "AMP_MAX_DEPOSIT", default_value_t = Amount::new(1_000_000))]
    max_deposit: Amount,
    /// Most base units that all channels together may take, ever.
    #[arg(long, env = "AMP_BUDGET", default_value_t = Amount::new(10_000_000))]
    budget: Amount,
    /// Base units that a new channel, and each top-up, deposits. Default: a thousand calls.
    #[arg(long, env = "AMP_DEPOSIT")]
    deposit: Option<Amount>,
    /// Micro-lamports per compute unit, on top of the base fee.
    #[arg(long, env = "AMP_PRIORITY_FEE", default_value_t = 0)]
    priority_fee: u64,
    /// Pay services without TLS that are not on this machine.
    #[arg(long)]
    allow_insecure: bool,
    /// The file that remembers channels and seqs. Default: in the user's data folder.
    #[arg(long, env = "AMP_STORE", value_name = "FILE")]
    store: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

impl AgentOptions {
    /// Makes the client. Channels of earlier runs with the same store go on.
    pub(crate) async fn client(&self) -> anyhow::Result<Client> {
        let funder = KeypairSigner::from_file(&self.keypair)?;
        let mut builder = Client::builder()
            .funder(funder)
            .chain(Arc::new(RpcChain::new(self.rpc.clone())))
            .network(self.network.clone())
            .max_price_per_call(self.max_price)
            .max_deposit(self.max_deposit)
            .total_budget(Some(self.budget))
            .priority_fee(PriorityFee(self.priority_fee))
            .allow_insecure(self.allow_insecure);
        if let Some(program_id) = self.program_id {
            builder = builder.program_id(program_id);
        }
        for mint in &self.mints {
            builder = builder.allow_mint(*mint);
        }
        if let Some(deposit) = self.deposit {
            builder = builder.deposit(deposit);
        }
        if let Some(store) = &self.store {
            builder = builder.store(store);
        }
        builder.build().await.context("the client can't start")
    }
}
