//! Kills, and the reckoning.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use amp_protocol::code::Code;
use amp_sdk::chain::Chain;
use amp_sdk::signer::{KeypairSigner, Signer as _};
use amp_test_node::Node;
use amp_test_postgres::TestPostgres;
use anyhow::{Context, Result};
use futures::future::{join_all, try_join_all};
use proptest::prelude::RngExt as _;
use proptest::test_runner::{RngAlgorithm, TestRng};

use crate::market::Market;
use crate::mortal::Mortal;
use crate::payer::{Payer, Service};
use crate::service::{self, Serve};
use crate::streamer::Streamer;
use crate::victim::Victim;

/// Requests under way at once, on each channel.
const LANES: [usize; 6] = [1, 1, 1, 3, 8, 16];
/// The same, where a delegate pays.
const DELEGATED: [usize; 1] = [2];
/// Clients that close their channels all the time.
const MORTALS: usize = 2;
/// Clients that read streams.
const STREAMERS: usize = 2;
/// Milliseconds that a service may live.
const LIFE: u64 = 250;
/// Longest that a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// One of so many is killed before it serves.
const EARLY: u64 = 6;
/// In one of so many rounds the database crashes.
const CRASHES: u64 = 12;
/// How long the processes that live are paid after one was killed.
const AFTERWARDS: Duration = Duration::from_millis(50);

/// Those who pay, and where.
struct Crowd {
    market: Market,
    payers: Vec<Payer>,
    mortals: Vec<Mortal>,
    streamers: Vec<Streamer>,
}

/// How it is done.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The program that has the service in it: `amp-crash`.
    pub program: PathBuf,
    /// How often the service is killed.
    pub rounds: u64,
    /// Decides the instants.
    pub seed: u64,
    /// What the service keeps its books in.
    pub books: Books,
}

/// What a service keeps its books in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Books {
    /// A file of its own.
    Sqlite,
    /// A store that answers too early.
    Forgetful,
    /// A database that two processes share; it crashes now and then, too.
    Postgres,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Kills.
    pub kills: u64,
    /// Of those, before it served.
    pub early_kills: u64,
    /// Crashes of the database.
    pub crashes: u64,
    /// Calls that were answered with success.
    pub served: u64,
    /// Calls whose answer was lost and that had been accepted.
    pub used: u64,
    /// Used seqs that were sent again and refused.
    pub replays_refused: u64,
    /// Streams that began.
    pub streams: u64,
    /// Of those, the ones that came to their end.
    pub whole_streams: u64,
    /// Base units that the bytes cost which have come of them.
    pub streamed: u64,
    /// Channels closed by their clients.
    pub closed: u64,
    /// Settlements on chain, those of the end included.
    pub settlements: u64,
    /// Base units that were claimed.
    pub claimed: u64,
    /// Broken promises, with the channel they were made to.
    pub violations: Vec<String>,
    /// How long it took.
    pub time: Duration,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} kills ({} while it started), {} crashes of the database, in {} s",
            self.kills,
            self.early_kills,
            self.crashes,
            self.time.as_secs()
        )?;
        writeln!(f, "{} calls served, {} accepted whose answer was lost", self.served, self.used)?;
        writeln!(f, "{} replays refused", self.replays_refused)?;
        let (streams, whole) = (self.streams, self.whole_streams);
        writeln!(f, "{streams} streams, {whole} of them whole, for {} base units", self.streamed)?;
        writeln!(f, "{} channels closed by their clients", self.closed)?;
        writeln!(f, "{} settlements, {} base units claimed", self.settlements, self.claimed)?;
        write!(f, "{} broken promises", self.violations.len())?;
        self.violations.iter().take(20).try_for_each(|violation| write!(f, "\n  {violation}"))
    }
}

impl Trial {
    /// Runs it in a folder, which must be empty.
    ///
    /// # Errors
    /// What keeps it from being run: a broken promise is no error, and stands in the report.
    pub async fn run(&self, folder: &Path, progress: impl Fn(u64)) -> Result<Report> {
        let begun = Instant::now();
        let keypair = folder.join("recipient.json");
        let recipient = new_keypair(&keypair)?;
        let market = Market::open(recipient.public_key())?;
        let node = Node::start(market.chain.clone()).await;
        let database = match self.books {
            Books::Postgres => Some(TestPostgres::start().context("there is no PostgreSQL here")?),
            Books::Sqlite | Books::Forgetful => None,
        };
        let processes = if database.is_some() { 2 } else { 1 };
        let mut payers = Vec::new();
        for lanes in LANES {
            payers.push(Payer::new(market.channel().await?, lanes, processes));
        }
        for lanes in DELEGATED {
            payers.push(Payer::new(market.delegated().await?, lanes, processes));
        }
        let mut mortals = Vec::new();
        for _ in 0..MORTALS {
            mortals.push(Mortal::new(&market, 1, processes).await?);
        }
        let mut streamers = Vec::new();
        for _ in 0..STREAMERS {
            streamers.push(Streamer::new(market.channel().await?));
        }
        let crowd = Crowd { market, payers, mortals, streamers };
        let file = folder.join("service.db").display().to_string();
        let serve = Serve {
            node: node.url(),
            store: database.as_ref().map_or(file, TestPostgres::address),
            schema: database.as_ref().map(|_| "amp".to_owned()),
            recipient: keypair,
            mint: crowd.market.mint.address,
            forgetful: self.books == Books::Forgetful,
        };
        let mut random = TestRng::from_seed(RngAlgorithm::ChaCha, &seed_bytes(self.seed));
        let mut report = Report::default();
        let mut others: Vec<(Victim, SocketAddr)> = Vec::new();
        for round in 1..=self.rounds {
            let mut victim = Victim::start(&self.program, &serve)?;
            if random.random_range(0..EARLY) == 0 {
                tokio::time::sleep(Duration::from_millis(random.random_range(0..60))).await;
                report.early_kills += 1;
                victim.kill().await?;
            } else {
                let address = victim.ready().await?;
                others.push((victim, address));
                if others.len() < processes {
                    continue;
                }
                let killed = others.swap_remove(random.random_range(0..others.len()));
                let crashes = database.as_ref().filter(|_| random.random_range(0..CRASHES) == 0);
                report.crashes += crashes.map_or(0, |_| 1);
                self.live(killed, &others, crashes, &crowd, &mut random, &mut report).await?;
            }
            report.kills = round;
            progress(round);
        }
        for (other, _) in others {
            other.kill().await?;
        }
        self.reckon(&serve, &crowd, &mut report).await?;
        report.time = begun.elapsed();
        Ok(report)
    }

    /// Clients pay all processes, until one of them is killed.
    async fn live(
        &self,
        (victim, address): (Victim, SocketAddr),
        others: &[(Victim, SocketAddr)],
        crashes: Option<&TestPostgres>,
        Crowd { market, payers, mortals, streamers }: &Crowd,
        random: &mut TestRng,
        report: &mut Report,
    ) -> Result<()> {
        let life = Duration::from_micros(random.random_range(0..LIFE * 1_000));
        let (http, over) = (http()?, AtomicBool::new(false));
        let processes: Vec<_> = others.iter().map(|(_, other)| *other).chain([address]).collect();
        let service = Service { http: &http, processes: &processes, over: &over };
        let nths = payers.iter().map(|_| random.random_range(0..40)).collect::<Vec<_>>();
        let replays = payers.iter().zip(nths).map(|(payer, nth)| payer.replay(&service, nth));
        let work = async {
            report.replays_refused += refused(join_all(replays).await);
            let payers = join_all(payers.iter().map(|payer| payer.pay(&service)));
            let mortals = try_join_all(mortals.iter().map(|mortal| mortal.pay(market, &service)));
            let streamers = join_all(streamers.iter().map(|streamer| streamer.pay(&service)));
            tokio::join!(payers, mortals, streamers).1
        };
        let killed = async {
            tokio::time::sleep(life).await;
            if let Some(database) = crashes {
                tokio::task::block_in_place(|| database.crash());
            }
            let killed = victim.kill().await;
            // the others are paid a little longer
            tokio::time::sleep(life.min(AFTERWARDS)).await;
            over.store(true, Ordering::Relaxed);
            killed
        };
        let (worked, killed) = tokio::join!(work, killed);
        worked.and(killed)
    }

    /// Leaves nothing in doubt, settles everything, and holds the chain against the clients' books.
    async fn reckon(&self, serve: &Serve, crowd: &Crowd, report: &mut Report) -> Result<()> {
        let Crowd { market, payers, mortals, streamers } = crowd;
        let mut last = Victim::start(&self.program, serve)?;
        let (address, http) = (last.ready().await?, http()?);
        let (over, processes) = (AtomicBool::new(false), [address]);
        let service = Service { http: &http, processes: &processes, over: &over };
        for payer in payers {
            payer.ask_again(&service).await;
        }
        for mortal in mortals {
            mortal.close(market, &service).await?;
        }
        let replays = payers.iter().map(|payer| payer.replay(&service, 0));
        report.replays_refused += refused(join_all(replays).await);
        last.kill().await?;

        let config = service::config(KeypairSigner::from_file(&serve.recipient)?, serve.mint);
        let chain: Arc<dyn Chain> = Arc::new(market.chain.clone());
        let service = serve.service(config, chain).await?;
        market.chain.advance_seconds(2);
        for (channel, outcome) in service.settle_all().await {
            match outcome {
                // its client has closed it
                Err(denial) if denial.code() == Some(Code::Closed) => {}
                outcome => {
                    outcome.map_err(|denial| anyhow::anyhow!("{channel} was not settled: {denial}"))?;
                }
            }
        }
        service.shutdown().await;

        for payer in payers {
            let address = &payer.channel.address;
            let claimed = market.claimed(address).await?;
            payer.hold_against(claimed);
            let (served, used) = payer.book().counts();
            report.claimed += claimed;
            report.served += served;
            report.used += used;
            report.violations.extend(payer.violations().iter().map(|found| format!("{address}: {found}")));
        }
        for streamer in streamers {
            let address = &streamer.channel.address;
            let claimed = market.claimed(address).await?;
            streamer.hold_against(claimed);
            let account = *streamer.account();
            report.claimed += claimed;
            report.streams += account.streams;
            report.whole_streams += account.whole;
            report.streamed += account.received;
            report
                .violations
                .extend(streamer.violations().iter().map(|found| format!("streams of {address}: {found}")));
        }
        for mortal in mortals {
            let past = mortal.reckon(market).await?;
            report.closed += past.closed;
            report.claimed += past.claimed;
            report.served += past.served;
            report.used += past.used;
            report.violations.extend(past.violations.iter().map(|found| format!("closing: {found}")));
        }
        if report.claimed != market.earned() {
            report.violations.push(format!("the service holds {} base units", market.earned()));
        }
        let settled = |done: &amp_embedded::Executed| done.instruction_names().contains(&"Settle");
        let settlements = market.chain.executed().iter().filter(|done| settled(done)).count();
        report.settlements = u64::try_from(settlements)?;
        Ok(())
    }
}

/// A client of its own for each life of the service: the connections of the last one are gone. A request that
/// is cut off between the pool and its connection would wait for ever.
fn http() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder().timeout(PATIENCE).build()
}

fn refused(replays: Vec<bool>) -> u64 {
    replays.into_iter().map(u64::from).sum()
}

fn new_keypair(path: &Path) -> Result<KeypairSigner> {
    let keypair = solana_keypair::Keypair::new();
    solana_keypair::write_keypair_file(&keypair, path)
        .map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
    KeypairSigner::from_file(path).context("it was just written")
}

fn seed_bytes(seed: u64) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes
}
