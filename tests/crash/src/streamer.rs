//! A client that reads streams paid by the byte, and signs as it reads: the service is killed in the middle of one.
//! What has come must be claimable, and nothing beyond what was signed for.

use std::sync::atomic::AtomicUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use amp_protocol::code::Code;
use amp_protocol::json::ErrorBody;
use amp_protocol::text::path;
use reqwest::{Method, Response};

use crate::book::Violation;
use crate::market::Channel;
use crate::payer::{Service, signed};
use crate::service::{BYTES, STREAM};

/// What is signed for ahead of what has come, in base units.
const STEP: u64 = 512;
/// Of so many streams one is left by the client before its end.
const LEFT: u64 = 5;

pub(crate) struct Streamer {
    pub(crate) channel: Channel,
    account: Mutex<Account>,
    violations: Mutex<Vec<Violation>>,
    turn: AtomicUsize,
}

/// What was signed for, and what came of it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Account {
    /// The highest seq that was sent: base units, at a unit price of one.
    pub(crate) signed: u64,
    /// Base units that the bytes of all streams cost that have come.
    pub(crate) received: u64,
    /// Streams that began.
    pub(crate) streams: u64,
    /// Of those, whose whole length has come.
    pub(crate) whole: u64,
}

/// What came of one stream.
enum Streamed {
    Whole,
    Left,
    Broken,
    Refused,
}

impl Streamer {
    pub(crate) fn new(channel: Channel) -> Self {
        let (account, violations) = Default::default();
        Self { channel, account, violations, turn: AtomicUsize::new(0) }
    }

    pub(crate) fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn violations(&self) -> Vec<Violation> {
        self.violations.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, violation: Violation) {
        self.violations.lock().unwrap_or_else(PoisonError::into_inner).push(violation);
    }

    /// What the chain has paid must be what has come, or what was signed for, or between.
    pub(crate) fn hold_against(&self, claimed: u64) {
        let Account { signed, received, .. } = *self.account();
        if claimed < received {
            self.note(Violation::Unclaimable { claimed, served: received });
        }
        if claimed > signed {
            self.note(Violation::Overcharged { claimed, most: signed });
        }
    }

    /// Reads streams until the service is gone.
    pub(crate) async fn pay(&self, service: &Service<'_>) {
        loop {
            let broken = matches!(self.stream(service).await, Streamed::Broken);
            // of several processes it may have been the others' turn all the time
            if service.is_over() || (broken && !service.goes_on()) {
                return;
            }
        }
    }

    async fn stream(&self, service: &Service<'_>) -> Streamed {
        let Some(response) = self.send(service, Method::GET, "/stream").await else {
            return Streamed::Broken;
        };
        if !response.status().is_success() {
            return self.refused(service, response).await;
        }
        let leaves = {
            let mut account = self.account();
            account.streams += 1;
            account.streams.is_multiple_of(LEFT)
        };
        let (ended, bytes) = self.read(service, response, leaves).await;
        let cost = BYTES.cost(bytes).map_or(u64::MAX, |cost| cost.get());
        let mut account = self.account();
        account.received += cost;
        // a service can't have streamed more than was signed for by then
        let most = account.signed;
        let overrun = (account.received > most)
            .then_some(Violation::Unclaimable { claimed: most, served: account.received });
        if matches!(ended, Streamed::Whole) && bytes == STREAM {
            account.whole += 1;
        }
        drop(account);
        if let Some(overrun) = overrun {
            self.note(overrun);
        }
        ended
    }

    /// Reads one to its end, or to where the client leaves it; signs for more before it is used up.
    async fn read(&self, service: &Service<'_>, mut response: Response, leaves: bool) -> (Streamed, u64) {
        let (mut bytes, mut paid) = (0_u64, STEP);
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) => bytes += u64::try_from(chunk.len()).unwrap_or(u64::MAX),
                Ok(None) => return (Streamed::Whole, bytes),
                Err(_) => return (Streamed::Broken, bytes),
            }
            if leaves && bytes > STREAM / 3 {
                return (Streamed::Left, bytes);
            }
            let used = BYTES.cost(bytes).map_or(u64::MAX, |cost| cost.get());
            if used + STEP / 2 > paid {
                paid += STEP;
                // the stream goes on or breaks off, whatever becomes of this
                let _ = self.send(service, Method::POST, path::CREDENTIAL).await;
            }
        }
    }

    /// With a credential that authorizes a step more than the last one.
    async fn send(&self, service: &Service<'_>, method: Method, path: &str) -> Option<Response> {
        let seq = {
            let mut account = self.account();
            account.signed += STEP;
            account.signed
        };
        match signed(service, &self.channel, &self.turn, (method, path), seq).await {
            Ok(request) => request.send().await.ok(),
            Err(why) => {
                self.note(Violation::Refused(why));
                None
            }
        }
    }

    /// What a killed process had set aside stays charged, so the next stream may need more; never more than a step
    /// above what was signed for.
    async fn refused(&self, service: &Service<'_>, response: Response) -> Streamed {
        let status = response.status();
        let Ok(body) = response.text().await else { return Streamed::Broken };
        // the database is away
        if service.processes.len() > 1 && status == 503 {
            return Streamed::Broken;
        }
        match serde_json::from_str::<ErrorBody>(&body) {
            Ok(ErrorBody { error: Code::Underfunded, required_seq: Some(required), .. })
                if required.get() <= self.account().signed + STEP =>
            {
                Streamed::Refused
            }
            _ => {
                self.note(Violation::Refused(body));
                Streamed::Broken
            }
        }
    }
}
