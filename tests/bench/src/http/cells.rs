//! The same route unpaid and paid, in turns.

use std::path::Path;
use std::time::Duration;

use amp_test_postgres::TestPostgres;
use anyhow::Result;

use super::load::saturate;
use super::server::{BUSY, EMPTY, Server, spins_in};
use crate::backend::Backend;
use crate::measure::{cpu_of, median, resident};
use crate::town::{self, Payer};

/// What the busy handler takes.
pub(crate) const HANDLER: Duration = Duration::from_micros(100);
/// With 256 requests in flight on one channel, one may be overtaken by that many and more.
pub(crate) const WIDE_WINDOW: u32 = 512;
const CHANNELS: [usize; 2] = [1, 10_000];

/// One kind of server under one kind of load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    /// Whether the handler works.
    pub(crate) busy: bool,
    pub(crate) connections: usize,
    /// 0: unpaid.
    pub(crate) channels: usize,
    /// Where it is stored.
    pub(crate) store: &'static str,
    pub(crate) per_second: f64,
    /// Milliseconds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// Microseconds of the server's CPU time for a request.
    pub(crate) cpu: f64,
    /// Bytes.
    pub(crate) memory: u64,
    /// Of the unpaid one's: requests a second, and the 99th percentile.
    pub(crate) throughput_ratio: f64,
    pub(crate) p99_ratio: f64,
}

/// How much is measured.
#[derive(Clone, Debug)]
pub(crate) struct Grid {
    pub(crate) rounds: usize,
    /// How long each cell is under load in a round.
    pub(crate) time: Duration,
    pub(crate) connections: Vec<usize>,
    /// Without the shared store.
    pub(crate) embedded: bool,
}

struct Subject {
    channels: usize,
    store: &'static str,
    server: Server,
    payer: Payer,
}

/// The store whose figures have a target.
pub(crate) const EMBEDDED: &str = "SQLite";
const SHARED: &str = "PostgreSQL";

/// Measures every cell, in rounds.
pub(crate) async fn run(folder: &Path, grid: &Grid) -> Result<Vec<Cell>> {
    let spins = spins_in(HANDLER);
    let mut subjects =
        vec![Subject { channels: 0, store: "", server: Server::free(spins).await?, payer: Payer::new(1) }];
    // it says so where there is none
    let database = if grid.embedded { None } else { TestPostgres::start() };
    let stores = [Some(EMBEDDED), database.as_ref().map(|_| SHARED)];
    for (store, channels) in stores.into_iter().flatten().flat_map(|store| CHANNELS.map(|of| (store, of))) {
        let seq_window = if channels == 1 { WIDE_WINDOW } else { 64 };
        let server = match database.as_ref().filter(|_| store == SHARED) {
            None => Server::paid(spins, channels, seq_window, folder).await?,
            Some(database) => {
                let (schema, database) = (TestPostgres::schema(), database.address());
                let backend = Backend::Postgres { schema, database };
                Server::paid_on(&backend, spins, channels, seq_window).await?
            }
        };
        let mut payer = Payer::new(channels);
        // the first request of a channel looks for it on chain and in the store
        let first: Vec<_> = (0..channels).map(|_| payer.request(EMPTY)).collect();
        saturate(server.address, 64, &first, Duration::from_secs(60)).await?;
        subjects.push(Subject { channels, store, server, payer });
    }
    let mut rounds = Vec::new();
    for _ in 0..grid.rounds {
        let mut cells = Vec::new();
        for busy in [true, false] {
            for &connections in &grid.connections {
                for at in 0..subjects.len() {
                    let mut cell = measure(&mut subjects[at], busy, connections, grid.time).await?;
                    let unpaid: Cell = if at == 0 { cell } else { cells[cells.len() - at] };
                    cell.throughput_ratio = cell.per_second / unpaid.per_second;
                    cell.p99_ratio = cell.p99 / unpaid.p99;
                    cells.push(cell);
                }
            }
        }
        rounds.push(cells);
    }
    let cells = 0..rounds[0].len();
    Ok(cells.map(|at| middle(&rounds.iter().map(|cells| cells[at]).collect::<Vec<_>>())).collect())
}

async fn measure(subject: &mut Subject, busy: bool, connections: usize, time: Duration) -> Result<Cell> {
    let path = if busy { BUSY } else { EMPTY };
    // as many as can be answered in the time, and some
    let most = if busy { 11_000.0 } else { 40_000.0 };
    let most = (most * time.as_secs_f64()) as usize;
    let (server, channels) = (&subject.server, subject.channels);
    let requests: Vec<_> = match channels {
        0 => vec![town::request("GET", path, &[], ""); most * 3],
        _ => (0..most).map(|_| subject.payer.request(path)).collect(),
    };
    let before = cpu_of(server.process)?;
    let seen = saturate(server.address, connections, &requests, time).await?;
    let cpu = cpu_of(server.process)?.saturating_sub(before);
    Ok(Cell {
        busy,
        connections,
        channels,
        store: subject.store,
        per_second: seen.per_second(),
        p50: seen.p50,
        p99: seen.p99,
        cpu: cpu.as_secs_f64() * 1e6 / seen.requests as f64,
        memory: resident(server.process)?,
        throughput_ratio: 1.0,
        p99_ratio: 1.0,
    })
}

/// Of each figure the middle one.
fn middle(cells: &[Cell]) -> Cell {
    let of = |figure: fn(&Cell) -> f64| median(cells.iter().map(figure));
    Cell {
        per_second: of(|cell| cell.per_second),
        p50: of(|cell| cell.p50),
        p99: of(|cell| cell.p99),
        cpu: of(|cell| cell.cpu),
        throughput_ratio: of(|cell| cell.throughput_ratio),
        p99_ratio: of(|cell| cell.p99_ratio),
        ..cells[cells.len() - 1]
    }
}
