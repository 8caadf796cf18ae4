//! Clients that ask again as soon as they are answered, or at a steady pace.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use futures::future::try_join_all;
use tokio::time::sleep_until;

use super::connection::Connection;
use crate::measure::percentile;

/// What the clients saw.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) requests: usize,
    pub(crate) seconds: f64,
    /// Milliseconds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

impl Seen {
    fn new(mut latencies: Vec<f64>, seconds: f64) -> Self {
        let requests = latencies.len();
        let (p50, p99) = (percentile(&mut latencies, 50.0), percentile(&mut latencies, 99.0));
        Self { requests, seconds, p50, p99 }
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.requests as f64 / self.seconds
    }
}

/// Sends `requests` in order over so many connections, until there are none left or the time is over. Every
/// one must be answered with 200.
pub(crate) async fn saturate(
    server: SocketAddr,
    connections: usize,
    requests: &[Box<[u8]>],
    time: Duration,
) -> Result<Seen> {
    let mut open = Vec::new();
    for _ in 0..connections {
        open.push(Connection::open(server).await?);
    }
    let next = Rc::new(Cell::new(0));
    let begun = Instant::now();
    let clients = open.into_iter().map(|mut connection| {
        let next = next.clone();
        async move {
            let mut latencies = Vec::new();
            while begun.elapsed() < time
                && let Some(request) = requests.get(next.replace(next.get() + 1))
            {
                let sent = Instant::now();
                served(&mut connection, request).await?;
                latencies.push(sent.elapsed().as_secs_f64() * 1e3);
            }
            anyhow::Ok(latencies)
        }
    });
    let latencies = try_join_all(clients).await?.concat();
    Ok(Seen::new(latencies, begun.elapsed().as_secs_f64()))
}

/// Sends `requests` over so many connections, `per_second` of them. Who is late counts from when it should
/// have been sent.
pub(crate) async fn steady(
    server: SocketAddr,
    connections: usize,
    requests: &[Box<[u8]>],
    per_second: f64,
) -> Result<Seen> {
    let mut open = Vec::new();
    for _ in 0..connections {
        open.push(Connection::open(server).await?);
    }
    let begun = Instant::now();
    let clients = open.into_iter().enumerate().map(|(number, mut connection)| async move {
        let mut latencies = Vec::new();
        for (at, request) in requests.iter().enumerate().skip(number).step_by(connections) {
            let due = begun + Duration::from_secs_f64(at as f64 / per_second);
            let waited = Instant::now() < due;
            sleep_until(due.into()).await;
            // the timer's own lateness is not the server's
            let sent = if waited { Instant::now() } else { due };
            served(&mut connection, request).await?;
            latencies.push(sent.elapsed().as_secs_f64() * 1e3);
        }
        anyhow::Ok(latencies)
    });
    let latencies = try_join_all(clients).await?.concat();
    Ok(Seen::new(latencies, begun.elapsed().as_secs_f64()))
}

async fn served(connection: &mut Connection, request: &[u8]) -> Result<()> {
    match connection.call(request).await? {
        200 => Ok(()),
        _ => bail!("not served: {}", connection.answer()),
    }
}
