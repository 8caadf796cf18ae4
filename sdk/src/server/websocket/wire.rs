use std::future::poll_fn;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use amp_protocol::json::{SocketControl, SocketError, SocketFault};
use axum::extract::ws::{CloseFrame, Message as Frame, WebSocket};
use futures::{SinkExt as _, StreamExt as _};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::server::views::lock;

/// What is unread when a connection is let go makes the kernel reset it, and with it what is on its way to the
/// client: so much time that has.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// A frame's way to the client is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gone;

/// Why no frame comes any more.
#[derive(Debug)]
pub(super) enum NoFrame {
    /// The client has left.
    Left,
    /// It sent what can't be read.
    Bad(SocketError),
}

/// The connection. Tasks read and write it at once; each looks and acts under its lock, so that a message which
/// is counted is handed over, and none that is not.
pub(super) struct Wire {
    socket: Mutex<WebSocket>,
    /// One writer at a time: the connection wakes but one.
    writing: tokio::sync::Mutex<()>,
    /// No message leaves any more.
    closed: watch::Sender<bool>,
    /// Nothing more can be read, though the client is there.
    broken: AtomicBool,
}

impl Wire {
    pub(super) fn new(socket: WebSocket) -> Self {
        Self {
            socket: Mutex::new(socket),
            writing: tokio::sync::Mutex::default(),
            closed: watch::Sender::new(false),
            broken: AtomicBool::new(false),
        }
    }

    /// The next frame. After an error there is none.
    pub(super) async fn next(&self) -> Result<Frame, NoFrame> {
        poll_fn(|context| {
            let mut socket = lock(&self.socket);
            let Poll::Ready(frame) = socket.poll_next_unpin(context) else { return Poll::Pending };
            Poll::Ready(match frame {
                Some(Ok(Frame::Close(_))) | None => Err(NoFrame::Left),
                Some(Ok(frame)) => Ok(frame),
                Some(Err(error)) => Err(reason(error)).inspect_err(|reason| {
                    let is_bad = matches!(reason, NoFrame::Bad(_));
                    self.broken.fetch_or(is_bad, Ordering::Relaxed);
                }),
            })
            .map(|next| {
                if next.is_err() {
                    // under the lock: from here on the connection may take nothing
                    self.closed.send_replace(true);
                }
                next
            })
        })
        .await
    }

    /// Hands a message over when the connection takes one, if `count` says that it may leave then. It may not
    /// have arrived when this returns, but it was counted.
    pub(super) async fn message(&self, frame: Frame, count: impl FnOnce() -> bool) -> Result<bool, Gone> {
        let is_handed_over = tokio::select! {
            biased;
            () = self.closed() => return Err(Gone),
            handed = self.hand_over(frame, count) => handed?,
        };
        Ok(is_handed_over)
    }

    async fn hand_over(&self, frame: Frame, count: impl FnOnce() -> bool) -> Result<bool, Gone> {
        let _turn = self.writing.lock().await;
        // one message at a time: what was handed over has left before the next one is
        self.flush().await?;
        {
            let mut socket = lock(&self.socket);
            if *self.closed.borrow() {
                return Err(Gone);
            }
            if !count() {
                return Ok(false);
            }
            // the buffer was empty and has room for it: what fails now fails as it would on its way
            if let Err(error) = socket.start_send_unpin(frame) {
                tracing::debug!(%error, "a message was lost on its way");
            }
        }
        Ok(true)
    }

    /// Waits until what was handed over has left, or can't any more.
    pub(super) async fn flushed(&self) {
        tokio::select! {
            biased;
            () = self.closed() => {}
            _ = async { let _turn = self.writing.lock().await; self.flush().await } => {}
        }
    }

    /// Sends a frame that is none of the application's.
    pub(super) async fn frame(&self, frame: Frame) -> Result<(), Gone> {
        let _turn = self.writing.lock().await;
        self.flush().await?;
        lock(&self.socket).start_send_unpin(frame).map_err(|_| Gone)?;
        self.flush().await
    }

    pub(super) async fn control(&self, control: &SocketControl) -> Result<(), Gone> {
        self.frame(Frame::Text(control.to_text().into())).await
    }

    /// Lets no message leave from here on.
    pub(super) fn close(&self) {
        let _socket = lock(&self.socket);
        self.closed.send_replace(true);
    }

    pub(super) async fn closed(&self) {
        // it can't fail: the sender is in `self`
        let _ = self.closed.subscribe().wait_for(|closed| *closed).await;
    }

    pub(super) fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }

    /// Says the last things and waits until the client has heard them.
    pub(super) async fn goodbye(&self, last: Option<&SocketControl>, code: u16) {
        self.close();
        if let Some(last) = last
            && self.control(last).await.is_err()
        {
            return;
        }
        let close = CloseFrame { code, reason: "".into() };
        if self.frame(Frame::Close(Some(close))).await.is_err() {
            return;
        }
        // what comes now is for nobody
        while self.next().await.is_ok() {}
        if self.broken.load(Ordering::Relaxed) {
            sleep(LAST_WORDS).await;
        }
    }

    async fn flush(&self) -> Result<(), Gone> {
        poll_fn(|context| lock(&self.socket).poll_flush_unpin(context)).await.map_err(|_| Gone)
    }
}

/// Whose fault it is that nothing can be read.
fn reason(error: axum::Error) -> NoFrame {
    use tungstenite::Error;
    let error = error.into_inner();
    let bad = |fault, message: String| NoFrame::Bad(SocketError::fault(fault, message));
    match error.downcast_ref::<Error>() {
        Some(Error::Capacity(error)) => bad(SocketFault::TooLarge, format!("{error}")),
        Some(Error::Utf8(_)) => bad(SocketFault::Unreadable, "a text frame is UTF-8".to_owned()),
        Some(Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake)) => {
            NoFrame::Left
        }
        Some(Error::Protocol(error)) => bad(SocketFault::Unreadable, format!("{error}")),
        _ => NoFrame::Left,
    }
}
