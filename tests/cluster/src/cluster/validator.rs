use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use solana_address::Address;
use solana_commitment_config::CommitmentConfig;
use solana_rpc_client::nonblocking::rpc_client::RpcClient;
use tempfile::TempDir;
use tokio::process::{Child, Command};

const READY: Duration = Duration::from_secs(60);
/// Subscriptions are one above.
const RPC_PORT: u16 = 18_899;
const FAUCET_PORT: u16 = 18_910;

/// A `solana-test-validator` with a ledger in a temporary folder, until it is dropped.
pub(super) struct Validator {
    binary: String,
    process: Child,
    payer: Address,
    ledger: TempDir,
}

impl Validator {
    /// `$AMP_VALIDATOR`, else the one on the PATH, with the arguments of `$AMP_VALIDATOR_ARGS` on top. `payer` has all
    /// lamports there are.
    pub(super) async fn start(payer: &Address) -> anyhow::Result<Self> {
        let binary = std::env::var("AMP_VALIDATOR").unwrap_or_else(|_| "solana-test-validator".to_owned());
        let ledger = tempfile::tempdir()?;
        let process = spawn(&binary, &ledger, payer, true)?;
        let validator = Self { binary, process, payer: *payer, ledger };
        validator.ready().await?;
        Ok(validator)
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{RPC_PORT}")
    }

    pub(super) fn websocket(&self) -> String {
        format!("ws://127.0.0.1:{}", RPC_PORT.saturating_add(1))
    }

    /// Kills it, as a power cut does, and starts it on what is on its disk.
    pub(super) async fn restart(&mut self) -> anyhow::Result<()> {
        self.process.kill().await?;
        self.process = spawn(&self.binary, &self.ledger, &self.payer, false)?;
        self.ready().await
    }

    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        Ok(self.process.kill().await?)
    }

    async fn ready(&self) -> anyhow::Result<()> {
        let rpc = RpcClient::new_with_commitment(self.url(), CommitmentConfig::confirmed());
        let (started, mut first) = (Instant::now(), None);
        loop {
            // blocks are made anew: the slot moves
            match (rpc.get_slot().await, first) {
                (Ok(slot), None) => first = Some(slot),
                (Ok(slot), Some(first)) if slot > first.saturating_add(1) => break,
                _ => {}
            }
            let binary = &self.binary;
            ensure!(started.elapsed() < READY, "{binary} is not ready after {} s", READY.as_secs());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        println!("{} is ready after {} ms", self.binary, started.elapsed().as_millis());
        Ok(())
    }
}

fn spawn(binary: &str, ledger: &TempDir, payer: &Address, anew: bool) -> anyhow::Result<Child> {
    let mut command = Command::new(binary);
    if anew {
        command.arg("--reset").args(["--ticks-per-slot", "16"]).args(["--mint", &payer.to_string()]);
        let more = std::env::var("AMP_VALIDATOR_ARGS").unwrap_or_default();
        command.args(more.split_whitespace());
    }
    command
        .args(["--quiet", "--limit-ledger-size", "10000"])
        .args(["--rpc-port", &RPC_PORT.to_string(), "--faucet-port", &FAUCET_PORT.to_string()])
        .arg("--ledger")
        .arg(ledger.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    command.spawn().with_context(|| {
        format!("can't start {binary}; install the Solana tools, or name a validator in AMP_VALIDATOR")
    })
}
