//! Starts a validator with the program in it, in a temporary folder.

use std::process::Stdio;
use std::time::{Duration, Instant};

use amp_sdk::chain::PROGRAM_ID;
use anyhow::{Context, ensure};
use solana_commitment_config::CommitmentConfig;
use solana_rpc_client::nonblocking::rpc_client::RpcClient;
use tempfile::TempDir;
use tokio::process::{Child, Command};

const READY: Duration = Duration::from_secs(60);
const RPC_PORT: u16 = 18_899;

pub(crate) struct Validator {
    /// `None`: somebody else's.
    process: Option<Child>,
    pub(crate) url: String,
    pub(crate) rpc: RpcClient,
    _ledger: Option<TempDir>,
}

impl Validator {
    /// The one at `$AMP_RPC_URL`, which has the program; else `$AMP_VALIDATOR`, else `solana-test-validator` on the
    /// PATH is started.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        if let Ok(url) = std::env::var("AMP_RPC_URL") {
            let rpc = RpcClient::new_with_commitment(url.clone(), CommitmentConfig::confirmed());
            return Ok(Self { process: None, url, rpc, _ledger: None });
        }
        let binary = std::env::var("AMP_VALIDATOR").unwrap_or_else(|_| "solana-test-validator".to_owned());
        let ledger = tempfile::tempdir()?;
        let program = amp_embedded::program_path();
        ensure!(program.exists(), "no program at {}; build it with `make program`", program.display());
        let mut command = Command::new(&binary);
        command
            .args(["--reset", "--quiet", "--ticks-per-slot", "16", "--limit-ledger-size", "10000"])
            .args(["--rpc-port", &RPC_PORT.to_string(), "--faucet-port", "18900"])
            .arg("--ledger")
            .arg(ledger.path())
            .args(["--bpf-program", &PROGRAM_ID.to_string()])
            .arg(&program)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let process = command.spawn().with_context(|| {
            format!("can't start {binary}; install the Solana tools, or name a validator in AMP_VALIDATOR")
        })?;
        let url = format!("http://127.0.0.1:{RPC_PORT}");
        let rpc = RpcClient::new_with_commitment(url.clone(), CommitmentConfig::confirmed());
        let started = Instant::now();
        while rpc.get_slot().await.map_or(true, |slot| slot < 2) {
            ensure!(started.elapsed() < READY, "{binary} is not ready after {} s", READY.as_secs());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        println!("{binary} is ready after {} ms", started.elapsed().as_millis());
        Ok(Self { process: Some(process), url, rpc, _ledger: Some(ledger) })
    }

    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        match &mut self.process {
            Some(process) => Ok(process.kill().await?),
            None => Ok(()),
        }
    }
}
