use std::time::Duration;

use amp_protocol::json::{
    CredentialBody, SocketBinary, SocketControl, SocketEnd, SocketError, SocketFrame, SocketPaid,
    UnknownControl,
};
use futures::{SinkExt as _, StreamExt as _};
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};
use tokio_tungstenite::tungstenite::{Error, Message as Frame};

use super::account::Account;
use super::open::Socket;
use super::socket::SocketReceipt;
use crate::client::error::ClientError;
use crate::websocket::Message;

/// How often it is looked whether more is to be signed for.
const LOOK: Duration = Duration::from_millis(250);
/// How often the service is asked whether it is there, and how long nothing may come of it.
const PING: Duration = Duration::from_secs(20);
const SILENCE: Duration = Duration::from_secs(60);
/// How long the service may take to say what it cost.
const LAST_WORDS: Duration = Duration::from_secs(30);

/// What carries a socket: the only one that reads, writes and signs.
pub(super) struct Carrying {
    socket: Socket,
    /// None: it is free.
    account: Option<Account>,
    origin: String,
    max_message: usize,
    look: Interval,
    heard: Instant,
    pinged: Instant,
    /// When the end was asked for.
    ending: Option<Instant>,
}

enum Event {
    Leaves(Option<Message>),
    Arrives(Option<Result<Frame, Error>>),
    Look,
}

/// How it ended.
enum End {
    /// With the service's word on what it cost.
    Said(SocketEnd),
    /// With its refusal.
    Refused(SocketError),
    /// Without a word.
    Silent,
}

impl Carrying {
    pub(super) fn new(socket: Socket, account: Option<Account>, origin: String, max_message: usize) -> Self {
        let (now, mut look) = (Instant::now(), interval(LOOK));
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { socket, account, origin, max_message, look, heard: now, pinged: now, ending: None }
    }

    pub(super) async fn run(
        mut self,
        mut leaving: mpsc::Receiver<Message>,
        arriving: mpsc::Sender<Message>,
    ) -> Result<Option<SocketReceipt>, ClientError> {
        let mut why = None;
        let end = loop {
            match self.step(&mut leaving, &arriving).await {
                Ok(None) => {}
                Ok(Some(end)) => break end,
                Err(error) => {
                    // nothing more is signed for: the service is told, and says what it has cost so far
                    why.get_or_insert(error);
                    leaving.close();
                    if self.ask_for_end().await.is_err() {
                        break End::Silent;
                    }
                }
            }
        };
        let receipt = self.ended(end).await;
        why.map_or(receipt, Err)
    }

    /// Whatever happens next.
    async fn step(
        &mut self,
        leaving: &mut mpsc::Receiver<Message>,
        arriving: &mpsc::Sender<Message>,
    ) -> Result<Option<End>, ClientError> {
        let (socket, look, is_ending) = (&mut self.socket, &mut self.look, self.ending.is_some());
        let next = async {
            // an agent that reads slowly holds the service up, unless it has left
            let place = arriving.reserve().await.ok();
            (place, socket.next().await)
        };
        let (event, place) = tokio::select! {
            message = leaving.recv(), if !is_ending => (Event::Leaves(message), None),
            (place, frame) = next => (Event::Arrives(frame), place),
            _ = look.tick() => (Event::Look, None),
        };
        match event {
            Event::Leaves(Some(message)) => self.send(&message).await.map(|()| None),
            Event::Leaves(None) => match self.ask_for_end().await {
                Ok(()) => Ok(None),
                Err(_) => Ok(Some(End::Silent)),
            },
            Event::Arrives(frame) => {
                self.heard = Instant::now();
                let Some(Ok(frame)) = frame else { return Ok(Some(End::Silent)) };
                let (message, end) = self.arrived(frame).await?;
                if let (Some(place), Some(message)) = (place, message) {
                    place.send(message);
                }
                Ok(end)
            }
            Event::Look => {
                if arriving.capacity() == 0 {
                    // nothing is read: that is no fault of the service's
                    self.heard = Instant::now();
                }
                self.look().await
            }
        }
    }

    async fn send(&mut self, message: &Message) -> Result<(), ClientError> {
        let Some(account) = &mut self.account else { return self.write(plain(message)).await };
        let credential = account.send(message).await?;
        let frame = paid(&credential, Some(message));
        if frame.len() > self.max_message {
            return Err(ClientError::TooLarge { url: self.origin.clone(), limit: self.max_message });
        }
        self.write(frame).await
    }

    /// What a frame holds: a message, or the end, or neither.
    async fn arrived(&mut self, frame: Frame) -> Result<(Option<Message>, Option<End>), ClientError> {
        let message = match frame {
            Frame::Text(text) => match SocketControl::parse(&text) {
                Ok(None) => Message::Text(text.as_str().to_owned()),
                Ok(Some(SocketControl::Payload { amp_payload })) => Message::Text(amp_payload),
                Ok(Some(SocketControl::End { amp_end })) => return Ok((None, Some(End::Said(amp_end)))),
                Ok(Some(SocketControl::Refused { amp_error })) => {
                    return Ok((None, Some(End::Refused(amp_error))));
                }
                Ok(Some(SocketControl::Need { amp_need })) => {
                    if let Some(account) = &mut self.account {
                        let credential = account.asked(amp_need.required_seq).await?;
                        self.write(paid(&credential, None)).await?;
                    }
                    return Ok((None, None));
                }
                Ok(Some(SocketControl::Ack(_))) | Err(UnknownControl) => return Ok((None, None)),
            },
            Frame::Binary(bytes) => Message::Binary(bytes.into()),
            Frame::Close(_) => return Ok((None, Some(End::Silent))),
            Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_) => return Ok((None, None)),
        };
        if let Some(account) = &mut self.account {
            account.received(&message);
            self.sign_ahead().await?;
        }
        Ok((Some(message), None))
    }

    async fn look(&mut self) -> Result<Option<End>, ClientError> {
        let late = self.ending.is_some_and(|since| since.elapsed() > LAST_WORDS);
        if late || self.heard.elapsed() > SILENCE {
            return Ok(Some(End::Silent));
        }
        if self.pinged.elapsed() > PING {
            self.pinged = Instant::now();
            self.write(Frame::Ping(Default::default())).await?;
        }
        self.sign_ahead().await?;
        Ok(None)
    }

    async fn sign_ahead(&mut self) -> Result<(), ClientError> {
        // nothing is bought after the end was asked for
        if self.ending.is_some() {
            return Ok(());
        }
        let Some(account) = &mut self.account else { return Ok(()) };
        match account.ahead().await? {
            Some(credential) => self.write(paid(&credential, None)).await,
            None => Ok(()),
        }
    }

    async fn ask_for_end(&mut self) -> Result<(), ClientError> {
        if self.ending.is_some() {
            return Ok(());
        }
        self.ending = Some(Instant::now());
        if self.account.is_none() {
            return self.write(Frame::Close(None)).await;
        }
        self.write(Frame::text(SocketFrame::CLOSE)).await
    }

    async fn write(&mut self, frame: Frame) -> Result<(), ClientError> {
        self.socket.send(frame).await.map_err(|error| self.broken(&error.to_string()))
    }

    fn broken(&self, reason: &str) -> ClientError {
        ClientError::Socket { url: self.origin.clone(), reason: reason.to_owned() }
    }

    /// Books the end.
    async fn ended(mut self, end: End) -> Result<Option<SocketReceipt>, ClientError> {
        let is_free = self.account.is_none();
        match (end, self.account.take()) {
            (End::Said(end), Some(account)) => {
                account.end(&end).await?;
                let SocketEnd { cost, spent, balance, error } = end;
                match error {
                    Some(error) => Err(self.refused(error)),
                    None => Ok(Some(SocketReceipt { cost, spent, balance })),
                }
            }
            (End::Refused(error), account) => {
                if let Some(account) = account {
                    account.broke().await;
                }
                Err(self.refused(error))
            }
            (_, None) if is_free => Ok(None),
            (_, account) => {
                if let Some(account) = account {
                    account.broke().await;
                }
                Err(self.broken("it broke off; what was signed for may have been charged"))
            }
        }
    }

    fn refused(&self, error: SocketError) -> ClientError {
        match error {
            SocketError::Amp(body) => ClientError::Refused { status: body.error.http_status(), body },
            SocketError::Other(_) => self.broken(&error.to_string()),
        }
    }
}

fn plain(message: &Message) -> Frame {
    match message {
        Message::Text(text) => Frame::text(text.clone()),
        Message::Binary(bytes) => Frame::binary(bytes.clone()),
    }
}

/// A message with its credential, or a credential alone.
fn paid(credential: &CredentialBody, message: Option<&Message>) -> Frame {
    let CredentialBody { seq, sig, .. } = *credential;
    let payload = match message {
        Some(Message::Binary(payload)) => {
            return Frame::binary(SocketBinary { seq, sig: sig.0, payload }.to_bytes());
        }
        Some(Message::Text(text)) => Some(text.clone()),
        None => None,
    };
    let frame = SocketPaid { amp_seq: seq, amp_sig: sig, payload };
    // strings alone: nothing of it can fail
    Frame::text(serde_json::to_string(&frame).unwrap_or_default())
}
