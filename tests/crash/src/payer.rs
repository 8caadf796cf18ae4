//! A client of one channel that keeps exact books; it signs what it likes, and knows no mercy.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use amp_protocol::code::Code;
use amp_protocol::json::ErrorBody;
use amp_protocol::money::Seq;
use amp_protocol::text::header;
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

pub(crate) struct Payer {
    pub(crate) channel: Channel,
    /// Requests under way at once.
    lanes: usize,
    book: Mutex<Book>,
    violations: Mutex<Vec<Violation>>,
}

impl Payer {
    pub(crate) fn new(channel: Channel, lanes: usize) -> Self {
        Self { channel, lanes, book: Mutex::default(), violations: Mutex::default() }
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
        if self.lanes == 1 {
            self.note(self.book().spent_exactly(claimed));
        }
    }

    /// Pays for calls until the service is gone.
    pub(crate) async fn pay(&self, http: &reqwest::Client, service: SocketAddr) {
        join_all((0..self.lanes).map(|_| async { while self.call(http, service).await {} })).await;
    }

    /// Asks again for all that was lost, so that nothing is left in doubt.
    pub(crate) async fn ask_again(&self, http: &reqwest::Client, service: SocketAddr) {
        while self.book().has_lost() && self.call(http, service).await {}
    }

    /// One call; whether the service is still there.
    async fn call(&self, http: &reqwest::Client, service: SocketAddr) -> bool {
        let seq = self.book().take_seq();
        let answer = self.send(http, service, seq).await;
        let mut book = self.book();
        match answer {
            Answer::Served { spent } => {
                self.note(book.served(seq));
                match spent {
                    Some(spent) if self.lanes == 1 => self.note(book.spent_exactly(spent)),
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
    pub(crate) async fn replay(&self, http: &reqwest::Client, service: SocketAddr, nth: usize) -> bool {
        let Some(seq) = self.book().served_before(nth) else { return false };
        match self.send(http, service, seq).await {
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

    async fn send(&self, http: &reqwest::Client, service: SocketAddr, seq: u64) -> Answer {
        let Channel { address, opened_slot, signer } = &self.channel;
        let signed = sign_credential(signer, address, *opened_slot, Seq::new(seq)).await;
        let credential = match signed {
            Ok(credential) => credential,
            Err(error) => return Answer::Refused(error.to_string()),
        };
        let request = http
            .get(format!("http://{service}/work"))
            .header(header::CHANNEL, credential.channel.to_string())
            .header(header::SEQ, credential.seq.to_string())
            .header(header::SIG, credential.sig.to_string());
        let Ok(response) = request.send().await else { return Answer::Lost };
        // the head is what the client sees as served, whether the body follows or not
        if response.status().is_success() {
            let spent = response.headers().get(header::SPENT);
            return Answer::Served { spent: spent.and_then(|text| text.to_str().ok()?.parse().ok()) };
        }
        let Ok(body) = response.text().await else { return Answer::Lost };
        match serde_json::from_str::<ErrorBody>(&body) {
            Ok(refusal) if refusal.error == Code::InvalidSeq => Answer::Used,
            _ => Answer::Refused(body),
        }
    }
}
