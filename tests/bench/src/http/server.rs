//! The process that is measured.

use std::hint::black_box;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use amp_sdk::server::AmpLayer;
use anyhow::{Context, Result};
use axum::Router;
use axum::body::Bytes;
use axum::routing::{get, post};
use clap::Args;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

use super::streams::LENGTH;
use crate::backend::{Backend, config};
use crate::chain::MemoryChain;
use crate::measure::{cpu_of_this_thread, median, pin};

/// A route whose handler does nothing.
pub(crate) const EMPTY: &str = "/empty";
/// One whose handler works.
pub(crate) const BUSY: &str = "/busy";
/// One that answers with a file, and is paid for by the byte.
pub(crate) const FILE: &str = "/file";
/// One whose handler reads a body.
pub(crate) const READ: &str = "/read";
/// The core that the server has for itself.
const CORE: usize = 0;
const READY: &str = "serving on ";

/// What it is started with.
#[derive(Args, Clone, Debug)]
pub(crate) struct Serve {
    /// Where it stores what it earns; free of charge without.
    #[arg(long)]
    store: Option<Backend>,
    /// How many channels there are on its chain.
    #[arg(long, default_value_t = 0)]
    channels: usize,
    /// How many seqs it remembers.
    #[arg(long, default_value_t = 64)]
    seq_window: u32,
    /// How much the busy handler works.
    #[arg(long)]
    spins: u64,
}

impl Serve {
    /// Serves until it is killed.
    pub(crate) fn run(self) -> Result<()> {
        pin(CORE)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        runtime.block_on(self.serve())
    }

    async fn serve(self) -> Result<()> {
        let spins = self.spins;
        let file = Bytes::from(vec![7; LENGTH]);
        let routes = Router::new()
            .route(EMPTY, get(|| async { "ok" }))
            .route(FILE, get(move || async move { file }))
            .route(BUSY, get(move || async move { work(spins).to_string() }))
            .route(READ, post(|body: Bytes| async move { body.len().to_string() }));
        let app = match self.store {
            None => routes,
            Some(store) => {
                let chain = MemoryChain::with(self.channels);
                routes.layer(AmpLayer::new(store.start(chain, config(self.seq_window)).await?))
            }
        };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        println!("{READY}{}", listener.local_addr()?);
        axum::serve(listener, app).await.context("it serves until it is killed")
    }
}

/// Arithmetic that nothing can be left out of.
fn work(spins: u64) -> u64 {
    (0..spins).fold(1, |hash: u64, n| black_box((hash ^ n).wrapping_mul(0x0100_0000_01b3)))
}

/// How many spins take so much CPU time.
pub(crate) fn spins_in(time: Duration) -> u64 {
    const TRIED: u64 = 200_000;
    let spins = (0..25).map(|_| {
        let before = cpu_of_this_thread();
        black_box(work(black_box(TRIED)));
        let taken = cpu_of_this_thread().saturating_sub(before);
        TRIED as f64 * time.as_secs_f64() / taken.as_secs_f64()
    });
    median(spins) as u64
}

/// A server that runs until this is dropped.
pub(crate) struct Server {
    pub(crate) address: std::net::SocketAddr,
    pub(crate) process: u32,
    _child: Child,
}

impl Server {
    /// Starts this program once more, as a server.
    pub(crate) async fn start(arguments: &[String]) -> Result<Self> {
        let program = std::env::current_exe()?;
        let mut child = Command::new(program)
            .arg("serve")
            .args(arguments)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let process = child.id().context("it has just begun")?;
        let out = child.stdout.take().context("its output is piped")?;
        let mut lines = BufReader::new(out).lines();
        let line = lines.next_line().await?.context("the server ended before it served")?;
        let address = line.strip_prefix(READY).context("it says where it serves")?.parse()?;
        Ok(Self { address, process, _child: child })
    }

    /// One whose busy handler works so much, free of charge.
    pub(crate) async fn free(spins: u64) -> Result<Self> {
        Self::start(&["--spins".to_owned(), spins.to_string()]).await
    }

    /// One that is paid by so many channels.
    pub(crate) async fn paid(spins: u64, channels: usize, seq_window: u32, folder: &Path) -> Result<Self> {
        let store = Backend::Sqlite(folder.join(format!("http-{channels}.db")));
        Self::paid_on(&store, spins, channels, seq_window).await
    }

    /// The same on any store.
    pub(crate) async fn paid_on(
        store: &Backend,
        spins: u64,
        channels: usize,
        seq_window: u32,
    ) -> Result<Self> {
        let arguments = [
            ("--spins", spins.to_string()),
            ("--channels", channels.to_string()),
            ("--seq-window", seq_window.to_string()),
            ("--store", store.to_string()),
        ];
        let arguments: Vec<String> =
            arguments.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect();
        Self::start(&arguments).await
    }
}
