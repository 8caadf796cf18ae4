//! What channels cost that nobody uses: memory, and the time until a service serves.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use amp_protocol::money::{Amount, Seq};
use amp_protocol::text::network;
use amp_sdk::chain::PROGRAM_ID;
use amp_sdk::server::{Incarnation, ReplayWindow, SignerRecord, SqliteStore, Store as _, StoreIdentity};
use anyhow::{Context, Result};
use clap::Args;
use futures::future::try_join_all;

use crate::backend::{Backend, config};
use crate::chain::MemoryChain;
use crate::measure::resident;
use crate::town;

const SEQ_WINDOW: u32 = 64;

/// A process that starts a service on a store and says what it took.
#[derive(Args, Clone, Debug)]
pub(crate) struct Idle {
    /// The store's file.
    #[arg(long)]
    store: PathBuf,
    /// How many channels are in it.
    #[arg(long)]
    channels: usize,
}

/// What many idle channels take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Idling {
    pub(crate) channels: usize,
    /// Seconds from opening the store to serving.
    pub(crate) start: f64,
    /// Bytes of resident memory for each channel, when it serves.
    pub(crate) memory: f64,
    /// The same once the worker has looked at each of them.
    pub(crate) looked_at: f64,
}

impl Idle {
    /// Prints three figures.
    pub(crate) fn run(self) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let chain = MemoryChain::with(self.channels);
        let memory = || resident(std::process::id());
        let before = memory()?;
        let begun = Instant::now();
        let service = runtime.block_on(Backend::Sqlite(self.store).start(chain, config(SEQ_WINDOW)))?;
        let start = begun.elapsed().as_secs_f64();
        let each = |now: u64| now.saturating_sub(before) as f64 / self.channels as f64;
        let serving = each(memory()?);
        std::thread::sleep(Duration::from_secs(2));
        println!("{start} {serving} {}", each(memory()?));
        drop(service);
        Ok(())
    }
}

/// Fills a store with so many channels, each with one signer that has used all of its window, and has
/// another process start a service on it.
pub(crate) async fn run(folder: &Path, channels: usize) -> Result<Idling> {
    let store = folder.join("idle.db");
    fill(&store, channels).await?;
    let store = store.to_str().context("the folder's name is text")?.to_owned();
    let arguments = ["idle", "--channels", &channels.to_string(), "--store", &store];
    let mut printed = String::new();
    for _ in 0..50 {
        // the store that was filled ends with its last commit, on its own thread
        let output = tokio::process::Command::new(std::env::current_exe()?).args(arguments).output().await?;
        if output.status.success() {
            printed = String::from_utf8(output.stdout)?;
            break;
        }
        printed = String::from_utf8_lossy(&output.stderr).into_owned();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let figures: Vec<f64> = printed.split_whitespace().filter_map(|figure| figure.parse().ok()).collect();
    let [start, memory, looked_at] = figures[..] else { anyhow::bail!("no figures: {printed}") };
    Ok(Idling { channels, start, memory, looked_at })
}

async fn fill(file: &Path, channels: usize) -> Result<()> {
    let store = Arc::new(SqliteStore::open(file)?);
    let identity = StoreIdentity {
        recipient: solana_keypair::Signer::pubkey(&town::recipient()).to_bytes(),
        program_id: PROGRAM_ID.to_bytes(),
        network: network::LOCALNET.to_owned(),
    };
    store.load(&identity, SEQ_WINDOW).await?;
    const AT_ONCE: usize = 512;
    for from in (0..channels).step_by(AT_ONCE) {
        let some = from..channels.min(from + AT_ONCE);
        try_join_all(some.map(|number| {
            let incarnation = Incarnation { channel: town::address(number), opened_slot: town::OPENED_SLOT };
            store.commit(incarnation, record(number), None)
        }))
        .await?;
    }
    Ok(())
}

fn record(number: usize) -> SignerRecord {
    let calls = 1_000 + u64::from(SEQ_WINDOW);
    let mut replay = ReplayWindow::new(SEQ_WINDOW, Seq::new(1_000));
    (1_001..=calls).for_each(|seq| replay.accept(Seq::new(seq)));
    SignerRecord {
        signer: town::signer(number).verifying_key().to_bytes(),
        epoch: town::OPENED_SLOT,
        revision: calls,
        seq: Seq::new(calls),
        sig: [9; 64],
        seq_start: Seq::new(1),
        spent: Amount::new(calls),
        calls,
        period_start: 1_700_000_000,
        period_end: 1_700_000_999,
        replay,
    }
}
