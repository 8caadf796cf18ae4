//! The client's end of a kept connection, with as little work as there can be.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub(crate) struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(server: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(server).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, read: Vec::with_capacity(4_096) })
    }

    /// Sends a request and waits for the whole answer; its status.
    pub(crate) async fn call(&mut self, request: &[u8]) -> Result<u16> {
        self.stream.write_all(request).await?;
        self.read.clear();
        loop {
            ensure!(self.stream.read_buf(&mut self.read).await? > 0, "the server hung up");
            if let Some((status, length)) = head(&self.read)? {
                while self.read.len() < length {
                    ensure!(self.stream.read_buf(&mut self.read).await? > 0, "the server hung up");
                }
                ensure!(self.read.len() == length, "more than was asked for");
                return Ok(status);
            }
        }
    }

    /// The bytes of the last answer, as text.
    pub(crate) fn answer(&self) -> String {
        String::from_utf8_lossy(&self.read).into_owned()
    }

    /// The socket, for those who don't keep to the protocol.
    pub(crate) fn into_stream(self) -> TcpStream {
        self.stream
    }
}

/// Status and whole length, head and body, once the head is there.
fn head(read: &[u8]) -> Result<Option<(u16, usize)>> {
    let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let text = std::str::from_utf8(&read[..end])?;
    let status = text.get(9..12).context("no status")?.parse()?;
    let mut lines = text.split("\r\n");
    let length = lines.find_map(|line| line.strip_prefix("content-length: ")).context("no length")?;
    Ok(Some((status, end + 4 + length.parse::<usize>()?)))
}
