//! What honest clients notice of hostile ones.

use std::cell::Cell;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use amp_protocol::json::CredentialBody;
use anyhow::Result;
use futures::future::join_all;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::connection::Connection;
use super::load::{saturate, steady};
use super::server::{EMPTY, READ, Server};
use crate::measure::{cpu_of, median};
use crate::town::{self, Payer};

/// Channels of the honest clients. Those after them are the attacker's.
const HONEST: usize = 100;
const ATTACKERS: usize = 100;
const HONEST_CONNECTIONS: usize = 16;
const HONEST_PER_SECOND: f64 = 1_000.0;
const BAD_SIGNATURES_PER_SECOND: f64 = 10_000.0;
/// Connections that send them, without waiting for an answer.
const BAD_CONNECTIONS: usize = 50;
const SLOW_CONNECTIONS: usize = 400;
const HANGING_UP_PER_SECOND: f64 = 200.0;
/// As large as sockets take at once, and many requests.
const BURST: usize = 20;

/// Who attacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attack {
    Nobody,
    BadSignatures,
    Slow,
    HangUp,
}

impl Attack {
    fn name(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::BadSignatures => "10,000 bad signatures a second, sent without waiting for answers",
            Self::Slow => "400 clients that send a byte a second, half of them of the head, half of the body",
            Self::HangUp => "200 clients a second that hang up in mid-body",
        }
    }
}

/// What honest clients saw beside an attack.
#[derive(Clone, Debug)]
pub(crate) struct Attacked {
    pub(crate) by: &'static str,
    /// Milliseconds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// Of the 99th percentile without one.
    pub(crate) ratio: f64,
    /// How busy the server's core was, in per cent.
    pub(crate) busy: f64,
    /// Pieces of the attack that the server took, a second.
    pub(crate) attacks: f64,
}

/// Measures each, in rounds of some seconds.
pub(crate) async fn run(folder: &Path, rounds: usize, seconds: f64) -> Result<Vec<Attacked>> {
    let folder = folder.join("hostile");
    let server = Server::paid(0, HONEST + ATTACKERS, 64, &folder).await?;
    let mut payer = Payer::new(HONEST);
    let first: Vec<_> = (0..HONEST).map(|_| payer.request(EMPTY)).collect();
    saturate(server.address, HONEST_CONNECTIONS, &first, Duration::from_secs(60)).await?;
    let all = [Attack::Nobody, Attack::BadSignatures, Attack::Slow, Attack::HangUp];
    let mut seen: Vec<Vec<Attacked>> = vec![Vec::new(); all.len()];
    for _ in 0..rounds {
        let mut alone = f64::NAN;
        for (attack, seen) in all.into_iter().zip(&mut seen) {
            let most = (HONEST_PER_SECOND * seconds) as usize;
            let requests: Vec<_> = (0..most).map(|_| payer.request(EMPTY)).collect();
            let taken = Rc::new(Cell::new(0));
            let under_way = begin(attack, server.address, &taken);
            sleep(Duration::from_millis(300)).await;
            let (before, begun) = (cpu_of(server.process)?, Instant::now());
            taken.set(0);
            let found = steady(server.address, HONEST_CONNECTIONS, &requests, HONEST_PER_SECOND).await?;
            let cpu = cpu_of(server.process)?.saturating_sub(before).as_secs_f64();
            let lasted = begun.elapsed().as_secs_f64();
            let attacks = f64::from(taken.get()) / lasted;
            under_way.iter().for_each(JoinHandle::abort);
            join_all(under_way).await;
            if attack == Attack::Nobody {
                alone = found.p99;
            }
            let (p50, p99) = (found.p50, found.p99);
            let busy = 100.0 * cpu / lasted;
            seen.push(Attacked { by: attack.name(), p50, p99, ratio: p99 / alone, busy, attacks });
            // what the attacker left is not the next one's
            sleep(Duration::from_millis(500)).await;
        }
    }
    let middle = |seen: Vec<Attacked>| {
        let of = |figure: fn(&Attacked) -> f64| median(seen.iter().map(figure));
        let (p50, p99, ratio) = (of(|one| one.p50), of(|one| one.p99), of(|one| one.ratio));
        let (busy, attacks) = (of(|one| one.busy), of(|one| one.attacks));
        Attacked { by: seen[0].by, p50, p99, ratio, busy, attacks }
    };
    Ok(seen.into_iter().map(middle).collect())
}

/// Begins an attack, which counts in `taken` and lasts until its tasks are aborted.
fn begin(attack: Attack, server: SocketAddr, taken: &Rc<Cell<u32>>) -> Vec<JoinHandle<()>> {
    let connections = match attack {
        Attack::Nobody => 0,
        Attack::BadSignatures => BAD_CONNECTIONS,
        Attack::Slow => SLOW_CONNECTIONS,
        Attack::HangUp => 1,
    };
    let one = |number: usize| {
        let taken = taken.clone();
        tokio::task::spawn_local(async move {
            // an attacker that is cut off has had its effect
            let _ = match attack {
                Attack::Nobody => Ok(()),
                Attack::BadSignatures => bad_signatures(server, number, &taken).await,
                Attack::Slow => slow(server, number, &taken).await,
                Attack::HangUp => hang_up(server, &taken).await,
            };
        })
    };
    (0..connections).map(one).collect()
}

/// A credential that anybody could make: the channel is public, the signature is not its signer's.
fn bad(number: usize) -> Box<[u8]> {
    let (mut credential, _) = Payer::among(HONEST..HONEST + 1).sign();
    credential = CredentialBody { channel: town::address(number).into(), ..credential };
    // another message's: it takes the whole check to see it
    town::request("GET", EMPTY, &town::headers(&credential), "")
}

async fn bad_signatures(server: SocketAddr, number: usize, taken: &Cell<u32>) -> Result<()> {
    // on the honest clients' own channels
    let requests: Vec<u8> = (0..BURST).flat_map(|n| bad((number + n * 7) % HONEST).into_vec()).collect();
    let mut pace =
        interval(Duration::from_secs_f64((BURST * BAD_CONNECTIONS) as f64 / BAD_SIGNATURES_PER_SECOND));
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    loop {
        let (reader, mut writer) = Connection::open(server).await?.into_stream().into_split();
        let drained = async { drain(&reader, taken).await };
        let offered = async {
            loop {
                pace.tick().await;
                if writer.write_all(&requests).await.is_err() {
                    return;
                }
            }
        };
        tokio::select! { () = drained => {}, () = offered => {} }
    }
}

/// Counts answers.
async fn drain(reader: &tokio::net::tcp::OwnedReadHalf, taken: &Cell<u32>) {
    let mut bytes = [0; 16_384];
    while reader.readable().await.is_ok() {
        match reader.try_read(&mut bytes) {
            Ok(0) => return,
            Ok(read) => {
                let answers = bytes[..read].windows(9).filter(|nine| *nine == b"HTTP/1.1 ").count();
                taken.set(taken.get() + answers as u32);
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

async fn slow(server: SocketAddr, number: usize, taken: &Cell<u32>) -> Result<()> {
    let mut payer = Payer::among(HONEST + number % ATTACKERS..HONEST + number % ATTACKERS + 1);
    let head = ("content-length", "100000".to_owned());
    let headers: Vec<_> = payer.headers().into_iter().chain([head]).collect();
    // a credential that is refused would end it at once: the slow ones of the head never get so far
    let whole = town::request("POST", READ, &headers, "");
    // not all in the same instant, which would measure how long their own core is busy with sending
    sleep(Duration::from_secs_f64(number as f64 / SLOW_CONNECTIONS as f64)).await;
    loop {
        let mut stream: TcpStream = Connection::open(server).await?.into_stream();
        let sent = if number.is_multiple_of(2) { 40 } else { whole.len() };
        stream.write_all(&whole[..sent]).await?;
        let mut pace = interval(Duration::from_secs(1));
        loop {
            pace.tick().await;
            if stream.write_all(b"x").await.is_err() {
                break;
            }
            taken.set(taken.get() + 1);
        }
    }
}

async fn hang_up(server: SocketAddr, taken: &Cell<u32>) -> Result<()> {
    let mut pace = interval(Duration::from_secs_f64(1.0 / HANGING_UP_PER_SECOND));
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut payer = Payer::among(HONEST..HONEST + ATTACKERS);
    loop {
        pace.tick().await;
        let length = ("content-length", "1000".to_owned());
        let headers: Vec<_> = payer.headers().into_iter().chain([length]).collect();
        let half = town::request("POST", READ, &headers, "half of it");
        let mut stream = Connection::open(server).await?.into_stream();
        stream.write_all(&half).await?;
        taken.set(taken.get() + 1);
        // dropped a moment later: the server is in the handler by then
        tokio::task::spawn_local(async move {
            sleep(Duration::from_millis(5)).await;
            drop(stream);
        });
    }
}
