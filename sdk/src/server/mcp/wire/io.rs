use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, Stdin, Stdout};

use super::fields::Direction;
use super::lines::Lines;

/// How much is read at once.
const PIECE: usize = 8 * 1024;

/// The process's own pipes, for `serve`.
pub fn stdio() -> (AmpReader<Stdin>, AmpWriter<Stdout>) {
    wire(tokio::io::stdin(), tokio::io::stdout())
}

/// Any two pipes with a message on each line, for `serve`.
pub fn wire<R, W>(read: R, write: W) -> (AmpReader<R>, AmpWriter<W>) {
    (AmpReader::new(read), AmpWriter::new(write))
}

/// Reads messages whose credential may be in `params._amp`.
pub struct AmpReader<R> {
    inner: R,
    lines: Lines,
    /// What was read and edited, from `given` on.
    ready: Vec<u8>,
    given: usize,
    ended: bool,
}

impl<R> AmpReader<R> {
    /// Reads from `inner`.
    pub fn new(inner: R) -> Self {
        Self { inner, lines: Lines::new(Direction::In), ready: Vec::new(), given: 0, ended: false }
    }

    /// Gives out what is ready; whether there was anything.
    fn give(&mut self, to: &mut ReadBuf<'_>) -> bool {
        let rest = self.ready.get(self.given..).unwrap_or_default();
        let (now, later) = rest.split_at(rest.len().min(to.remaining()));
        to.put_slice(now);
        self.given = self.given.saturating_add(now.len());
        let gave = !now.is_empty();
        if later.is_empty() {
            self.ready.clear();
            self.given = 0;
        }
        gave
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for AmpReader<R> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.give(to) || this.ended || to.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            let mut piece = [0; PIECE];
            let mut piece = ReadBuf::new(&mut piece);
            ready!(Pin::new(&mut this.inner).poll_read(context, &mut piece))?;
            if piece.filled().is_empty() {
                this.ended = true;
                this.lines.end(&mut this.ready);
            } else {
                this.lines.push(piece.filled(), &mut this.ready);
            }
        }
    }
}

/// Writes messages whose receipt is in `result._amp` as well.
pub struct AmpWriter<W> {
    inner: W,
    lines: Lines,
    /// What was edited and not written yet, from `written` on.
    edited: Vec<u8>,
    written: usize,
}

impl<W> AmpWriter<W> {
    /// Writes to `inner`.
    pub fn new(inner: W) -> Self {
        Self { inner, lines: Lines::new(Direction::Out), edited: Vec::new(), written: 0 }
    }
}

impl<W: AsyncWrite + Unpin> AmpWriter<W> {
    fn poll_drain(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.edited.get(self.written..).filter(|rest| !rest.is_empty()) {
            let written = ready!(Pin::new(&mut self.inner).poll_write(context, rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written = self.written.saturating_add(written);
        }
        self.edited.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for AmpWriter<W> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        // what was taken before is written before more is taken: a slow reader on the other side is waited
        // for
        ready!(this.poll_drain(context))?;
        this.lines.push(bytes, &mut this.edited);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_drain(context))?;
        Pin::new(&mut this.inner).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.lines.end(&mut this.edited);
        ready!(this.poll_drain(context))?;
        Pin::new(&mut this.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test]
    async fn a_pipe_of_one_byte_carries_messages_both_ways() {
        let (ours, mut theirs) = tokio::io::duplex(1);
        let (read, write) = tokio::io::split(ours);
        let (mut read, mut write) = wire(read, write);
        let serve = async {
            let mut text = String::new();
            read.read_to_string(&mut text).await.unwrap();
            assert_eq!(text, "{\"params\":{\"_meta\":{\"_amp\":7}}}\n{}");
            write.write_all(b"{\"result\":{\"_meta\":{\"amp\":7}}}\n").await.unwrap();
            write.shutdown().await.unwrap();
        };
        let call = async {
            theirs.write_all(b"{\"params\":{\"_amp\":7}}\n{}").await.unwrap();
            theirs.shutdown().await.unwrap();
            let mut text = String::new();
            theirs.read_to_string(&mut text).await.unwrap();
            assert_eq!(text, "{\"result\":{\"_amp\":7,\"_meta\":{\"amp\":7}}}\n");
        };
        tokio::join!(serve, call);
    }
}
