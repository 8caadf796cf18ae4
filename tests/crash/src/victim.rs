//! The service's process, as its killer sees it.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::service::{READY, Serve};

/// Longest that a start may take.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Victim {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Victim {
    /// Starts a process; it need not serve yet.
    pub(crate) fn start(program: &Path, serve: &Serve) -> Result<Self> {
        let mut command = Command::new(program);
        command.arg("serve").arg("--node").arg(&serve.node).arg("--store").arg(&serve.store);
        command.arg("--recipient").arg(&serve.recipient).arg("--mint").arg(serve.mint.to_string());
        if let Some(schema) = &serve.schema {
            command.arg("--schema").arg(schema);
        }
        if serve.forgetful {
            command.arg("--forgetful");
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().with_context(|| program.display().to_string())?;
        let out = process.stdout.take().context("its output is a pipe")?;
        Ok(Self { process, lines: BufReader::new(out).lines() })
    }

    /// Waits until it serves.
    pub(crate) async fn ready(&mut self) -> Result<SocketAddr> {
        let line =
            timeout(PATIENCE, self.lines.next_line()).await.context("the service does not start")??;
        let Some(line) = line else { bail!("the service ended: {}", self.process.wait().await?) };
        let address = line.strip_prefix(READY).with_context(|| format!("the service said {line}"))?;
        Ok(address.parse()?)
    }

    /// SIGKILL, wherever it is; returns when it is gone.
    pub(crate) async fn kill(mut self) -> Result<()> {
        self.process.kill().await.context("it was running")
    }
}
