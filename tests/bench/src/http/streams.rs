//! A download, unpaid and paid by the byte, in turns.

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, ensure};

use super::connection::Connection;
use super::server::{FILE, Server};
use crate::measure::{median, resident};
use crate::town::{self, Payer};

/// Bytes of the file.
pub(crate) const LENGTH: usize = 10 << 20;
/// Bytes that cost a base unit.
pub(crate) const PER: u64 = 1_000;

/// What a download's client saw.
#[derive(Clone, Debug)]
pub(crate) struct Download {
    /// Bytes a second, in millions.
    pub(crate) unpaid: f64,
    pub(crate) paid: f64,
    /// Of the paid rounds to the unpaid ones beside them, the middle one.
    pub(crate) ratio: f64,
    /// The server's memory after the first download and after the last, in bytes.
    pub(crate) memory: (u64, u64),
    pub(crate) rounds: usize,
}

/// Measures in so many rounds. The whole file is signed for with its request: what is measured is the service.
pub(crate) async fn run(folder: &Path, rounds: usize) -> Result<Download> {
    let free = Server::free(0).await?;
    let server = Server::paid(0, 1, 64, &folder.join("streams")).await?;
    let mut payer = Payer::new(1);
    let (mut unpaid, mut paid) =
        (Connection::open(free.address).await?, Connection::open(server.address).await?);
    let bare = town::request("GET", FILE, &[], "");
    let (mut seen, mut before) = (Vec::new(), 0);
    for round in 0..=rounds {
        payer.skip(LENGTH as u64 / PER + 1);
        let asked = payer.request(FILE);
        let took = (download(&mut unpaid, &bare).await?, download(&mut paid, &asked).await?);
        // the first one looks for the channel, and finds the files' pages cold
        if round == 0 {
            before = resident(server.process)?;
        } else {
            seen.push(took);
        }
    }
    let speed = |seconds: f64| LENGTH as f64 / 1e6 / seconds;
    Ok(Download {
        unpaid: median(seen.iter().map(|(unpaid, _)| speed(*unpaid))),
        paid: median(seen.iter().map(|(_, paid)| speed(*paid))),
        ratio: median(seen.iter().map(|(unpaid, paid)| unpaid / paid)),
        memory: (before, resident(server.process)?),
        rounds,
    })
}

/// Seconds.
async fn download(connection: &mut Connection, request: &[u8]) -> Result<f64> {
    let begun = Instant::now();
    let status = connection.call(request).await?;
    ensure!(status == 200, "{status}: {}", connection.answer());
    Ok(begun.elapsed().as_secs_f64())
}
