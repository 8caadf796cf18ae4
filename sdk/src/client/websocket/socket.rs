use amp_protocol::money::Amount;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::account::Account;
use super::open::Socket;
use super::task::Carrying;
use crate::client::error::ClientError;
use crate::client::response::Payment;
use crate::websocket::Message;

/// Messages that wait in each direction; of more, the agent or the service is held up.
const QUEUE: usize = 16;

/// An agent's end of a socket. Dropped, it ends in good order all the same; [`close`](Self::close) says what it
/// cost.
pub struct PaidSocket {
    outbox: mpsc::Sender<Message>,
    inbox: mpsc::Receiver<Message>,
    carrying: Option<JoinHandle<Result<Option<SocketReceipt>, ClientError>>>,
    receipt: Option<SocketReceipt>,
    payment: Option<Payment>,
    max_message: usize,
    origin: String,
}

/// What a socket has cost, as the service says and what was seen bears out. Amounts are base units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketReceipt {
    /// This socket.
    pub cost: Amount,
    /// All calls on the channel so far.
    pub spent: Amount,
    /// What is left of the deposit.
    pub balance: Amount,
}

impl PaidSocket {
    pub(super) fn begin(
        socket: Socket,
        account: Option<Account>,
        origin: String,
        max_message: usize,
    ) -> Self {
        let (outbox, leaving) = mpsc::channel(QUEUE);
        let (arriving, inbox) = mpsc::channel(QUEUE);
        let carrying = Carrying::new(socket, account, origin.clone(), max_message);
        let carrying = Some(tokio::spawn(carrying.run(leaving, arriving)));
        Self { outbox, inbox, carrying, receipt: None, payment: None, max_message, origin }
    }

    pub(super) fn paid(self, payment: Payment) -> Self {
        Self { payment: Some(payment), ..self }
    }

    /// What pays: the channel, and the seq that opened the socket; none where it is free.
    pub fn payment(&self) -> Option<&Payment> {
        self.payment.as_ref()
    }

    /// Sends a message, and signs for it. It is on its way when this returns: why it did not arrive,
    /// [`recv`](Self::recv) or [`close`](Self::close) says.
    pub async fn send(&self, message: impl Into<Message>) -> Result<(), ClientError> {
        let message = message.into();
        if message.as_bytes().len() > self.max_message {
            return Err(ClientError::TooLarge { url: self.origin.clone(), limit: self.max_message });
        }
        self.outbox.send(message).await.map_err(|_| ClientError::Socket {
            url: self.origin.clone(),
            reason: "the socket has ended".to_owned(),
        })
    }

    /// The next message; none after the service has ended the socket in good order. Dropped before it returns,
    /// nothing is lost.
    ///
    /// # Errors
    /// Once, why it has ended otherwise: [`ClientError::Refused`] with the service's reason,
    /// [`ClientError::Overcharged`], or what made it impossible to sign for more.
    pub async fn recv(&mut self) -> Result<Option<Message>, ClientError> {
        if let Some(message) = self.inbox.recv().await {
            return Ok(Some(message));
        }
        self.outcome().await.map(|_| None)
    }

    /// Ends the socket and returns what it has cost; none where it was free. The service takes what was sent before;
    /// what still comes is thrown away.
    ///
    /// # Errors
    /// Those of [`recv`](Self::recv).
    pub async fn close(mut self) -> Result<Option<SocketReceipt>, ClientError> {
        let (closed, _) = mpsc::channel(1);
        drop(std::mem::replace(&mut self.outbox, closed));
        while self.inbox.recv().await.is_some() {}
        self.outcome().await
    }

    /// What became of it. The error is told once.
    async fn outcome(&mut self) -> Result<Option<SocketReceipt>, ClientError> {
        if let Some(carrying) = &mut self.carrying {
            let outcome = carrying.await;
            self.carrying = None;
            // a task that was ended with its runtime has nothing to say
            self.receipt = outcome.unwrap_or(Ok(None))?;
        }
        Ok(self.receipt)
    }
}

impl std::fmt::Debug for PaidSocket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PaidSocket({}, {:?})", self.origin, self.payment)
    }
}
