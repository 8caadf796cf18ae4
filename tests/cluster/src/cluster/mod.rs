//! The cluster that everything runs on.

mod deploy;
mod faulty_node;
mod loader;
mod relay;
mod validator;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use amp_sdk::chain::{
    Chain, ChainError, ComputeBudget, Confirmation, Plan, PriorityFee, RpcChain, TransactionFormat,
};
use amp_sdk::protocol::text::network;
use amp_sdk::signer::{KeypairSigner, Signer};
use anyhow::Context;
use solana_address::Address;
use solana_commitment_config::CommitmentConfig;
use solana_instruction::Instruction;
use solana_rpc_client::nonblocking::rpc_client::RpcClient;

pub(crate) use faulty_node::{Fault, FaultyNode};

use crate::page::Measured;
use validator::Validator;

/// The address of the key in a file, which is made where there is none.
pub(crate) fn program_key(file: &Path) -> anyhow::Result<Address> {
    if !file.exists() {
        solana_keypair::write_keypair_file(&solana_keypair::Keypair::new(), file)
            .map_err(|error| anyhow::anyhow!("can't write {}: {error}", file.display()))?;
    }
    Ok(KeypairSigner::from_file(file)?.public_key())
}

/// A cluster with the program on it, and somebody who pays.
pub(crate) struct Cluster {
    pub(crate) url: String,
    pub(crate) websocket: Option<String>,
    pub(crate) rpc: RpcClient,
    pub(crate) chain: Arc<RpcChain>,
    pub(crate) payer: KeypairSigner,
    pub(crate) program_id: Address,
    pub(crate) network: String,
    /// Ours, where we started it.
    validator: Option<tokio::sync::Mutex<Validator>>,
    measured: Mutex<Measured>,
}

impl Cluster {
    /// The one that `AMP_RPC_URL` names, else one of our own; with the program deployed.
    pub(crate) async fn connect() -> anyhow::Result<Self> {
        let mut cluster = match std::env::var("AMP_RPC_URL") {
            Ok(url) => Self::foreign(url)?,
            Err(_) => Self::own().await?,
        };
        let format = cluster.chain.transaction_format().await;
        println!("{}: the largest transactions it takes are {format:?}", cluster.url);
        match std::env::var("AMP_PROGRAM_ID") {
            Ok(id) => cluster.program_id = id.parse().context("AMP_PROGRAM_ID is no address")?,
            Err(_) => cluster.program_id = deploy::deploy(&cluster).await?,
        }
        Ok(cluster)
    }

    async fn own() -> anyhow::Result<Self> {
        let payer = KeypairSigner::generate();
        let validator = Validator::start(&payer.public_key()).await?;
        let (url, websocket) = (validator.url(), validator.websocket());
        let mut cluster = Self::at(url, Some(websocket), payer, network::LOCALNET.to_owned());
        cluster.validator = Some(validator.into());
        Ok(cluster)
    }

    fn foreign(url: String) -> anyhow::Result<Self> {
        let file = std::env::var("AMP_PAYER")
            .context("AMP_RPC_URL is set; set AMP_PAYER to the keypair file that pays on that cluster")?;
        let payer = KeypairSigner::from_file(file)?;
        let network = std::env::var("AMP_NETWORK").unwrap_or_else(|_| network::DEVNET.to_owned());
        Ok(Self::at(url, std::env::var("AMP_WS_URL").ok(), payer, network))
    }

    fn at(url: String, websocket: Option<String>, payer: KeypairSigner, network: String) -> Self {
        let rpc = RpcClient::new_with_commitment(url.clone(), CommitmentConfig::confirmed());
        let chain = Arc::new(RpcChain::new(url.clone()));
        let program_id = amp_sdk::chain::PROGRAM_ID;
        let measured = Mutex::default();
        Self { url, websocket, rpc, chain, payer, program_id, network, validator: None, measured }
    }

    /// Whether it is ours, to be restarted.
    pub(crate) fn is_own(&self) -> bool {
        self.validator.is_some()
    }

    /// Kills our validator and starts it again on the same ledger.
    pub(crate) async fn restart(&self) -> anyhow::Result<()> {
        let validator = self.validator.as_ref().context("this validator is not ours")?;
        validator.lock().await.restart().await
    }

    /// Stops what we started.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        match self.validator {
            Some(validator) => validator.into_inner().stop().await,
            None => Ok(()),
        }
    }

    /// A node in front of this one that fails when it is told to.
    pub(crate) async fn faulty_node(&self) -> anyhow::Result<FaultyNode> {
        FaultyNode::before(&self.url, self.websocket.as_deref()).await
    }

    /// Sends instructions that the payer and others sign.
    pub(crate) async fn transact(
        &self,
        instructions: Vec<Instruction>,
        others: &[&KeypairSigner],
        budget: ComputeBudget,
    ) -> Result<Confirmation, ChainError> {
        let plan = Plan::new(self.payer.public_key(), budget, PriorityFee::default(), instructions);
        let mut signers: Vec<&dyn Signer> = vec![&self.payer];
        signers.extend(others.iter().map(|signer| *signer as &dyn Signer));
        plan.send(&*self.chain, &signers).await
    }

    /// Lamports of an account.
    pub(crate) async fn lamports(&self, of: &Address) -> anyhow::Result<u64> {
        Ok(self.chain.account(of).await?.map_or(0, |account| account.lamports))
    }

    /// The largest format of transactions it takes.
    pub(crate) async fn format(&self) -> TransactionFormat {
        self.chain.transaction_format().await
    }

    /// Notes a measurement.
    pub(crate) fn note(&self, note: impl FnOnce(&mut Measured)) {
        note(&mut self.measured.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// What was measured so far.
    pub(crate) fn measured(&self) -> Measured {
        self.measured.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
