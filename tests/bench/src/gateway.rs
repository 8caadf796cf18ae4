//! `amp serve` in front of an API, on the API's own core: what a request through it costs, and whether a million of
//! them leave anything in memory.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use amp_gateway::{Gateway, Overrides, Settings};
use anyhow::{Context, Result};
use clap::Args;
use solana_address::Address;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::task::LocalSet;

use crate::chain::MemoryChain;
use crate::http::{BUSY, EMPTY, Server, saturate, spins_in};
use crate::measure::{Machine, cpu_of, median, pin, resident};
use crate::town::{self, Payer};

/// What the API's handler takes.
const HANDLER: Duration = Duration::from_millis(1);
const CONNECTIONS: usize = 64;
const CHANNELS: usize = 100;
/// The core that gateway and API share, and the load's.
const CORES: (usize, usize) = (0, 1);
/// Requests between two looks at the memory.
const BATCH: usize = 50_000;
const READY: &str = "serving on ";

/// The gateway in front of an API, against the API alone.
#[derive(Args, Clone, Debug)]
pub(crate) struct Measure {
    /// How often both are measured, in turns.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How many requests go through it while its memory is looked at.
    #[arg(long, default_value_t = 1_000_000)]
    requests: usize,
    /// Where its store is.
    #[arg(long, default_value = "target/bench")]
    folder: PathBuf,
}

/// The gateway as a process of its own.
#[derive(Args, Clone, Debug)]
pub(crate) struct Serve {
    #[arg(long)]
    folder: PathBuf,
    #[arg(long)]
    upstream: SocketAddr,
}

impl Serve {
    /// Serves until it is killed.
    pub(crate) fn run(self) -> Result<()> {
        pin(CORES.0)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        runtime.block_on(self.serve())
    }

    async fn serve(self) -> Result<()> {
        let key = self.folder.join("service.json");
        std::fs::write(&key, format!("{:?}", town::recipient().to_bytes()))?;
        let config = self.folder.join("amp.toml");
        // one base unit a call; the watch comes so seldom that it falls into no measurement
        let text = format!(
            "listen = \"127.0.0.1:0\"\noperations = \"127.0.0.1:0\"\n[upstream]\nurl = \"http://{}\"\n[service]\nkeypair = \"service.json\"\nmint = \"{}\"\n[prices]\nprice = \"1\"\n[settlement]\nwatch_interval = 1800\n",
            self.upstream,
            Address::from(town::MINT),
        );
        std::fs::write(&config, text)?;
        let settings = Settings::load(Some(&config), Overrides::default())?;
        let gateway = Gateway::start_on(settings, MemoryChain::with(CHANNELS)).await?;
        println!("{READY}{}", gateway.address());
        gateway.run(std::future::pending()).await?;
        Ok(())
    }
}

struct Subject {
    address: SocketAddr,
    process: u32,
    _child: Child,
}

async fn start(folder: &Path, upstream: SocketAddr) -> Result<Subject> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg("serve-gateway")
        .args(["--folder".as_ref(), folder.as_os_str()])
        .args(["--upstream".to_owned(), upstream.to_string()])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let process = child.id().context("it has just begun")?;
    let out = child.stdout.take().context("its output is piped")?;
    let line =
        BufReader::new(out).lines().next_line().await?.context("the gateway ended before it served")?;
    let address = line.strip_prefix(READY).context("it says where it serves")?.parse()?;
    Ok(Subject { address, process, _child: child })
}

/// Microseconds of CPU time a request.
fn each(before: Duration, after: Duration, requests: usize) -> f64 {
    after.saturating_sub(before).as_secs_f64() * 1e6 / requests as f64
}

impl Measure {
    /// Measures and prints.
    pub(crate) fn run(self) -> Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        let folder = tempfile::tempdir_in(&self.folder)?;
        pin(CORES.1)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        LocalSet::new().block_on(&runtime, self.measure(folder.path()))
    }

    async fn measure(&self, folder: &Path) -> Result<()> {
        let machine = Machine::this()?;
        println!("{}, {} cores; API and gateway on one, the load on the other", machine.cpu, machine.cores);
        let api = Server::free(spins_in(HANDLER)).await?;
        let gateway = start(folder, api.address).await?;
        let mut payer = Payer::new(CHANNELS);
        let first: Vec<_> = (0..CHANNELS).map(|_| payer.request(EMPTY)).collect();
        saturate(gateway.address, CONNECTIONS, &first, Duration::from_secs(60)).await?;
        let time = Duration::from_secs(3);
        let (mut ratios, mut costs, mut by_cpu) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            let plain = vec![town::request("GET", BUSY, &[], ""); 12_000];
            let begun = cpu_of(api.process)?;
            let alone = saturate(api.address, CONNECTIONS, &plain, time).await?;
            let api_alone = each(begun, cpu_of(api.process)?, alone.requests);
            let paid: Vec<_> = (0..12_000).map(|_| payer.request(BUSY)).collect();
            let begun = (cpu_of(api.process)?, cpu_of(gateway.process)?);
            let through = saturate(gateway.address, CONNECTIONS, &paid, time).await?;
            let api_behind = each(begun.0, cpu_of(api.process)?, through.requests);
            let own = each(begun.1, cpu_of(gateway.process)?, through.requests);
            costs.push(own);
            by_cpu.push(api_alone / (api_behind + own));
            ratios.push(through.per_second() / alone.per_second());
            println!(
                "alone {:.0}/s (p99 {:.1} ms), through the gateway {:.0}/s (p99 {:.1} ms): {:.1} %",
                alone.per_second(),
                alone.p99,
                through.per_second(),
                through.p99,
                100.0 * through.per_second() / alone.per_second()
            );
        }
        let (ratio, cost) = (median(ratios), median(costs));
        // on one core that is saturated the two ratios are the same; this one also holds where others use it too
        println!("by CPU time: {:.1} % of the API's own requests/s (target 80)", 100.0 * median(by_cpu));
        println!(
            "middle: {:.1} % of the API's own requests/s (target 80), {cost:.0} us of CPU a request",
            100.0 * ratio
        );
        self.memory(&gateway, payer).await
    }

    async fn memory(&self, gateway: &Subject, mut payer: Payer) -> Result<()> {
        let mut seen = Vec::new();
        let mut sent = 0;
        while sent < self.requests {
            let some: Vec<_> = (0..BATCH.min(self.requests - sent)).map(|_| payer.request(EMPTY)).collect();
            saturate(gateway.address, CONNECTIONS, &some, Duration::from_secs(600)).await?;
            sent += some.len();
            seen.push((sent, resident(gateway.process)?));
        }
        for (sent, bytes) in &seen {
            println!("{sent:>9} requests: {:.1} MiB", *bytes as f64 / f64::from(1 << 20));
        }
        Ok(())
    }
}
