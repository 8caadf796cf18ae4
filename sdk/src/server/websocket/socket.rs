use std::fmt;
use std::sync::Arc;

use amp_protocol::json::SocketControl;
use axum::extract::ws::Message as Frame;
use tokio::sync::mpsc;

use super::till::Till;
use super::wire::{Gone, Wire};
use crate::server::admission::Payment;
use crate::server::metering::Meter;
use crate::websocket::Message;

/// A handler's end of a socket. Drop it, or return, and the socket ends in good order.
pub struct PaidSocket {
    inbox: mpsc::Receiver<Message>,
    /// Received, and not paid for yet.
    next: Option<Message>,
    sender: PaidSender,
}

/// What a handler sends by; clones are the same.
#[derive(Clone)]
pub struct PaidSender(Arc<Inner>);

struct Inner {
    wire: Arc<Wire>,
    till: Arc<Till>,
    max_message: usize,
}

/// Why a message was not sent. It costs nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SocketClosed {
    /// The socket has ended: the client has left, or nothing more is paid for.
    #[error("the socket has ended")]
    Ended,
    /// It is above [`SocketLimits::max_message`](super::SocketLimits::max_message). The socket goes on.
    #[error("a message has at most {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
}

impl PaidSocket {
    pub(super) fn new(
        inbox: mpsc::Receiver<Message>,
        wire: Arc<Wire>,
        till: Arc<Till>,
        max_message: usize,
    ) -> Self {
        Self { inbox, next: None, sender: PaidSender(Arc::new(Inner { wire, till, max_message })) }
    }

    /// The client's next message, once it is paid for; none after the last. Where it is paid for by the call or by
    /// the byte, it is counted when this returns it, and one that is never taken costs nothing. Dropped before it
    /// returns, nothing is lost.
    pub async fn recv(&mut self) -> Option<Message> {
        if self.next.is_none() {
            self.next = Some(self.inbox.recv().await?);
        }
        loop {
            let till = &self.sender.0.till;
            let count = till.taken(self.next.as_ref()?);
            till.covered(count).await?;
            if till.count(count) {
                return self.next.take();
            }
        }
    }

    /// Sends a message once it is paid for, and the connection takes it: a client that reads slowly, or has to
    /// sign more, holds it up. It has not arrived yet when this returns. What may be dropped before that, is not
    /// sent, or is and was counted.
    pub async fn send(&self, message: impl Into<Message>) -> Result<(), SocketClosed> {
        self.sender.send(message).await
    }

    /// For other tasks than the one that receives.
    pub fn sender(&self) -> PaidSender {
        self.sender.clone()
    }

    /// Who pays; none where it is free.
    pub fn payment(&self) -> Option<Payment> {
        self.meter().map(Meter::payment)
    }

    /// What is counted; none where it is free. What is paid for by the units that a handler reports, it reports
    /// by this: [`Meter::spend`] before it sends what they were for.
    pub fn meter(&self) -> Option<&Meter> {
        self.sender.0.till.meter()
    }
}

impl PaidSender {
    /// See [`PaidSocket::send`].
    pub async fn send(&self, message: impl Into<Message>) -> Result<(), SocketClosed> {
        let Inner { wire, till, max_message } = &*self.0;
        let message = message.into();
        if message.as_bytes().len() > *max_message {
            return Err(SocketClosed::TooLarge { limit: *max_message });
        }
        let count = till.sent(&message);
        let frame = match message {
            Message::Text(text) => Frame::Text(SocketControl::application(text).into()),
            Message::Binary(bytes) => Frame::Binary(bytes.into()),
        };
        loop {
            tokio::select! {
                biased;
                () = wire.closed() => return Err(SocketClosed::Ended),
                covered = till.covered(count) => covered.ok_or(SocketClosed::Ended)?,
            }
            match wire.message(frame.clone(), || till.count(count)).await {
                Ok(true) => break,
                Ok(false) => {}
                Err(Gone) => return Err(SocketClosed::Ended),
            }
        }
        wire.flushed().await;
        Ok(())
    }

    /// Returns when nothing more can be sent.
    pub async fn closed(&self) {
        self.0.wire.closed().await;
    }
}

impl fmt::Debug for PaidSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PaidSocket").field(&self.payment()).finish()
    }
}

impl fmt::Debug for PaidSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PaidSender").field(&self.0.till.meter()).finish()
    }
}
