use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use super::busy::Busy;
use super::places::Place;

/// A client that is gone without a word (its machine, or the way to it) is noticed after 60 s and three probes. Nothing else
/// would on a free WebSocket, on which neither side need ever send.
const GONE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_secs(60))
    .with_interval(Duration::from_secs(15))
    .with_retries(3);

/// Readies an accepted connection.
fn ready_socket(stream: &TcpStream) {
    // a small answer must not wait for the acknowledgement of the one before
    let _ = stream.set_nodelay(true);
    if let Err(error) = SockRef::from(stream).set_tcp_keepalive(&GONE) {
        tracing::debug!(%error, "a connection has no keepalive");
    }
}

/// The connection itself. It breaks off where the client takes nothing of what is sent for too long: nobody waits
/// for ever, with what it holds, for one that has stopped to read. Its place is taken until it is gone, whoever's it
/// has become: a WebSocket's, too.
pub(super) struct Client {
    stream: TcpStream,
    idle: Duration,
    /// Until nothing was taken for too long; none: something was, when it was last asked.
    stalled: Option<Pin<Box<Sleep>>>,
    busy: Arc<Busy>,
    _place: Place,
}

impl Client {
    pub(super) fn new(stream: TcpStream, idle: Duration, busy: Arc<Busy>, place: Place) -> Self {
        ready_socket(&stream);
        Self { stream, idle, stalled: None, busy, _place: place }
    }

    fn written(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            if self.stalled.take().is_some() {
                self.busy.blocked(false);
            }
            return written;
        }
        if self.stalled.is_none() {
            self.busy.blocked(true);
        }
        let idle = self.idle;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(idle)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Client {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.busy.read();
        }
        read
    }
}

impl AsyncWrite for Client {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.written(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::net::TcpListener;

    use super::super::Limits;
    use super::super::places::Places;
    use super::*;

    const IDLE: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn an_accepted_connection_finds_out_that_its_client_is_gone() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (theirs, ours) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (theirs, (ours, peer)) = (theirs.unwrap(), ours.unwrap());
        let places = Places::new(&Limits {
            connections: 1,
            per_address: 1,
            trusted_proxies: Vec::new(),
            head_timeout: IDLE,
            keep_alive: IDLE,
            idle_timeout: IDLE,
        });
        let place = places.seat(None, peer.ip()).unwrap();
        let client = Client::new(ours, IDLE, Arc::default(), place);
        let socket = SockRef::from(&client.stream);
        assert!(socket.keepalive().unwrap() && !SockRef::from(&theirs).keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(60));
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(15));
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), 3);
    }
}
