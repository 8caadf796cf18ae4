use std::time::Duration;

use amp_protocol::json::{Base58, CredentialBody, SocketBinary, SocketError, SocketFrame, SocketFrameError};
use amp_protocol::money::Seq;
use axum::extract::ws::Message as Frame;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::liveness::Liveness;
use super::refusal::of_frame;
use super::till::{Clock, Till};
use super::wire::{NoFrame, Wire};
use crate::server::denial::Denial;
use crate::server::service::AmpService;
use crate::websocket::Message;

/// Why reading has ended the socket.
pub(super) enum ReadingEnded {
    /// The client has ended it, or left, and the handler had its time with what was there.
    Left,
    /// A credential was refused.
    Denied(Denial),
    /// It sent what can't be read.
    Bad(SocketError),
}

/// Takes what the client sends to the handler, and what it signs to the service.
pub(super) struct Reader<'a> {
    pub(super) wire: &'a Wire,
    pub(super) till: &'a Till,
    pub(super) liveness: &'a Liveness,
    pub(super) service: &'a AmpService,
    /// The one that the client has shown last; none where it is free.
    pub(super) credential: Option<CredentialBody>,
    pub(super) linger: Duration,
}

impl Reader<'_> {
    pub(super) async fn run(mut self, inbox: mpsc::Sender<Message>) -> ReadingEnded {
        let ended = self.messages(&inbox).await;
        // the handler takes what is there, and then there is no more
        drop(inbox);
        self.till.set(Clock::Stopped);
        let linger = sleep(self.linger);
        match ended {
            Ok(()) => {
                // it still hears, and may have to sign for what the handler takes
                tokio::select! {
                    () = linger => ReadingEnded::Left,
                    ended = self.signatures() => ended,
                }
            }
            Err(ReadingEnded::Left) => {
                linger.await;
                ReadingEnded::Left
            }
            Err(ended) => ended,
        }
    }

    /// All messages, until the client says that there are no more.
    async fn messages(&mut self, inbox: &mpsc::Sender<Message>) -> Result<(), ReadingEnded> {
        loop {
            // no frame is read that there is no place for: a client that is too fast waits
            let place = match inbox.try_reserve() {
                Ok(place) => Some(place),
                Err(mpsc::error::TrySendError::Full(())) => {
                    self.liveness.deaf();
                    inbox.reserve().await.ok()
                }
                // the handler takes no more: nor does what it did not take cost anything
                Err(mpsc::error::TrySendError::Closed(())) => None,
            };
            let Some(message) = self.frame().await? else { return Ok(()) };
            if let (Some(place), Some(message)) = (place, message) {
                place.send(message);
            }
        }
    }

    /// What is signed for after the last message.
    async fn signatures(&mut self) -> ReadingEnded {
        loop {
            match self.frame().await {
                Ok(_) => {}
                Err(ended) => return ended,
            }
        }
    }

    /// The next frame: what it signs for is on disk, or it was none that can be refused. `None`: the client has
    /// ended; `Some(None)`: it holds no message.
    async fn frame(&mut self) -> Result<Option<Option<Message>>, ReadingEnded> {
        self.liveness.heard();
        let frame = self.wire.next().await;
        self.liveness.heard();
        let frame = frame.map_err(|no_frame| match no_frame {
            NoFrame::Left => ReadingEnded::Left,
            NoFrame::Bad(error) => ReadingEnded::Bad(error),
        })?;
        let is_free = self.credential.is_none();
        match frame {
            Frame::Text(text) if is_free => Ok(Some(Some(Message::Text(text.as_str().to_owned())))),
            Frame::Binary(bytes) if is_free => Ok(Some(Some(Message::Binary(bytes.into())))),
            Frame::Text(text) => match SocketFrame::parse(&text).map_err(unreadable)? {
                SocketFrame::Paid(paid) => {
                    self.shown(paid.amp_seq, paid.amp_sig).await?;
                    Ok(Some(paid.payload.map(Message::Text)))
                }
                SocketFrame::Close => Ok(None),
            },
            Frame::Binary(bytes) => {
                let frame = SocketBinary::parse(&bytes).ok_or(SocketFrameError::NoCredential);
                let SocketBinary { seq, sig, payload } = frame.map_err(unreadable)?;
                let message = Message::Binary(payload.to_vec());
                self.shown(seq, Base58(sig)).await?;
                Ok(Some(Some(message)))
            }
            Frame::Ping(_) | Frame::Pong(_) | Frame::Close(_) => Ok(Some(None)),
        }
    }

    /// Raises the ceiling, unless it is the credential that the client has shown before this: whoever signed that
    /// has signed for more than one message, and is on the same connection.
    async fn shown(&mut self, seq: Seq, sig: Base58<64>) -> Result<(), ReadingEnded> {
        let Some(last) = &mut self.credential else { return Ok(()) };
        let next = CredentialBody { seq, sig, ..*last };
        if next != *last {
            self.service.raise_ceiling(&next).await.map_err(ReadingEnded::Denied)?;
            *last = next;
        }
        Ok(())
    }
}

fn unreadable(error: SocketFrameError) -> ReadingEnded {
    ReadingEnded::Denied(of_frame(error))
}
