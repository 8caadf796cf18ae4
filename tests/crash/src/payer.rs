//! A client of one channel that keeps exact books; it signs what it likes, and knows no mercy.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use amp_protocol::code::Code;
use amp_protocol::json::{CloseResponse, ErrorBody, SignedCloseStatement};
use amp_protocol::money::Seq;
use amp_protocol::text::{header, path};
use amp_sdk::signed::sign_credential;
use futures::future::join_all;

use crate::book::{Book, Violation};
use crate::market::Channel;

/// What came of a request.
enum Answer {
    Served { spent: Option<u64> },
    Used,
    Lost,
    Refused(String),
}

/// What came of asking for a close.
pub(crate) enum Closed {
    Statement(SignedCloseStatement),
    Lost,
    Refused(String),
}

pub(crate) struct Payer {
    pub(crate) channel: Channel,
    /// Requests under way at once.
    lanes: usize,
    book: Mutex<Book>,
    violations: Mutex<Vec<Violation>>,
    /// Whether what was spent is known to the unit: one request at a time, and one process.
    exact: bool,
    turn: AtomicUsize,
}

/// Where the service is, and whether it is time to stop.
pub(crate) struct Service<'a> {
    pub(crate) http: &'a reqwest::Client,
    /// One for each of its processes.
    pub(crate) processes: &'a [SocketAddr],
    pub(crate) over: &'a AtomicBool,
}

impl Service<'_> {
    pub(crate) fn goes_on(&self) -> bool {
        // one that is killed does not come back; of several there are others
        self.processes.len() > 1 && !self.is_over()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}

/// How far apart the seqs are where several processes serve a channel.
const STEP: u64 = 64 * crate::PRICE;

impl Payer {
    pub(crate) fn new(channel: Channel, lanes: usize, processes: usize) -> Self {
        let (exact, several) = (lanes == 1 && processes == 1, processes > 1);
        let book = if several { Book::with_step(STEP) } else { Book::default() };
        let (book, violations) = (Mutex::new(book), Mutex::default());
        Self { channel, lanes, book, violations, exact, turn: AtomicUsize::new(0) }
    }

    /// One whose lost seqs are not asked for again: what is spent is known within bounds.
    pub(crate) fn inexact(self) -> Self {
        Self { exact: false, ..self }
    }

    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn violations(&self) -> Vec<Violation> {
        self.violations.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn note(&self, outcome: Result<(), Violation>) {
        let mut violations = self.violations.lock().unwrap_or_else(PoisonError::into_inner);
        violations.extend(outcome.err());
    }

    /// What the chain has paid must fit; with one request at a time, to the unit.
    pub(crate) fn hold_against(&self, claimed: u64) {
        self.note(self.book().claimed(claimed));
        if self.exact {
            self.note(self.book().spent_exactly(claimed));
        }
    }

    /// Pays for calls until the service is gone.
    pub(crate) async fn pay(&self, service: &Service<'_>) {
        let lane = async || while self.call(service).await || service.goes_on() {};
        join_all((0..self.lanes).map(|_| lane())).await;
    }

    /// Asks again for all that was lost, so that nothing is left in doubt.
    pub(crate) async fn ask_again(&self, service: &Service<'_>) {
        while self.book().has_lost() && self.call(service).await {}
    }

    /// One call; whether the service is still there.
    pub(crate) async fn call(&self, service: &Service<'_>) -> bool {
        let seq = self.book().take_seq();
        let answer = self.send(service, seq).await;
        let mut book = self.book();
        match answer {
            Answer::Served { spent } => {
                self.note(book.served(seq));
                match spent {
                    Some(spent) if self.exact => self.note(book.spent_exactly(spent)),
                    Some(_) => {}
                    None => self.note(Err(Violation::Refused("an answer without what was spent".to_owned()))),
                }
                true
            }
            Answer::Used => {
                self.note(book.used(seq));
                true
            }
            Answer::Lost => {
                book.lost(seq);
                false
            }
            Answer::Refused(why) => {
                book.lost(seq);
                self.note(Err(Violation::Refused(why)));
                false
            }
        }
    }

    /// Sends the `nth` newest seq that was served once more; whether there is one and it was refused.
    pub(crate) async fn replay(&self, service: &Service<'_>, nth: usize) -> bool {
        let Some(seq) = self.book().served_before(nth) else { return false };
        match self.send(service, seq).await {
            Answer::Used => true,
            Answer::Lost => false,
            Answer::Served { .. } => {
                self.note(Err(Violation::ServedTwice(seq)));
                false
            }
            Answer::Refused(why) => {
                self.note(Err(Violation::Refused(why)));
                false
            }
        }
    }

    /// Asks for the final account: what is signed again is the last seq, for no more than before.
    pub(crate) async fn close(&self, service: &Service<'_>) -> Closed {
        let seq = self.book().last_seq();
        let close = (reqwest::Method::POST, path::CLOSE);
        let request = match signed(service, &self.channel, &self.turn, close, seq).await {
            Ok(request) => request,
            Err(why) => return Closed::Refused(why),
        };
        let Ok(response) = request.send().await else { return Closed::Lost };
        let status = response.status();
        let Ok(body) = response.text().await else { return Closed::Lost };
        match serde_json::from_str::<CloseResponse>(&body) {
            Ok(closed) if status.is_success() => Closed::Statement(closed.close_statement),
            // the store is away: nobody knows more
            _ if status == 503 => Closed::Lost,
            _ => Closed::Refused(body),
        }
    }

    async fn send(&self, service: &Service<'_>, seq: u64) -> Answer {
        let call = (reqwest::Method::GET, "/work");
        let request = match signed(service, &self.channel, &self.turn, call, seq).await {
            Ok(request) => request,
            Err(why) => return Answer::Refused(why),
        };
        let Ok(response) = request.send().await else { return Answer::Lost };
        // the head is what the client sees as served, whether the body follows or not
        if response.status().is_success() {
            let spent = response.headers().get(header::SPENT);
            return Answer::Served { spent: spent.and_then(|text| text.to_str().ok()?.parse().ok()) };
        }
        // the database is away: nobody knows more
        if service.processes.len() > 1 && response.status() == 503 {
            return Answer::Lost;
        }
        let Ok(body) = response.text().await else { return Answer::Lost };
        match serde_json::from_str::<ErrorBody>(&body) {
            Ok(refusal) if refusal.error == Code::InvalidSeq => Answer::Used,
            _ => Answer::Refused(body),
        }
    }
}

/// A request with a credential, to each process in turn.
pub(crate) async fn signed(
    service: &Service<'_>,
    channel: &Channel,
    turn: &AtomicUsize,
    (method, path): (reqwest::Method, &str),
    seq: u64,
) -> Result<reqwest::RequestBuilder, String> {
    let process = service.processes[turn.fetch_add(1, Ordering::Relaxed) % service.processes.len()];
    let Channel { address, epoch, signer } = channel;
    let signed = sign_credential(signer, address, *epoch, Seq::new(seq)).await;
    let credential = signed.map_err(|error| error.to_string())?;
    let request = service.http.request(method, format!("http://{process}{path}"));
    Ok(request
        .header(header::CHANNEL, credential.channel.to_string())
        .header(header::SEQ, credential.seq.to_string())
        .header(header::SIG, credential.sig.to_string()))
}
