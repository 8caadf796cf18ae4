use std::sync::Arc;

use amp_protocol::json::{CredentialBody, Pricing, SocketControl, SocketEnd, SocketError, SocketFault};
use axum::extract::ws::{Message as Frame, WebSocket};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::bind::{Bound, bind, too_late};
use super::clock::tick;
use super::limits::SocketLimits;
use super::liveness::Liveness;
use super::read::{Reader, ReadingEnded};
use super::refusal::of_denial;
use super::socket::PaidSocket;
use super::till::{Clock, Till};
use super::wire::{Gone, Wire};
use crate::server::admission::Payment;
use crate::server::denial::Denial;
use crate::server::metering::Meter;
use crate::server::service::AmpService;

/// The code of a close frame where nothing was wrong.
const NORMAL: u16 = 1000;

/// One socket, from its opening to its end.
pub(super) struct Session {
    pub(super) service: AmpService,
    pub(super) pricing: Pricing,
    pub(super) limits: SocketLimits,
}

/// Why a socket that was open ends.
enum Ending {
    /// Its handler has returned, or the client has ended it or left.
    Done,
    /// Nothing more is paid for, or a credential was refused.
    Denied(Denial),
    /// Something else is wrong.
    Fault(SocketError),
}

impl Session {
    pub(super) async fn run<P, R, T, H, F>(self, socket: WebSocket, prepare: P, handler: H)
    where
        P: FnOnce(Option<Payment>) -> R,
        R: Future<Output = Result<T, String>>,
        H: FnOnce(PaidSocket, T) -> F,
        F: Future<Output = ()> + Send + 'static,
    {
        let wire = Arc::new(Wire::new(socket));
        let opened =
            timeout(self.limits.bind_wait, self.open(&wire)).await.unwrap_or_else(|_| Err(too_late()));
        let ready = match opened {
            Ok(Some(bound)) => self.ready(&wire, bound, prepare).await,
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        };
        match ready {
            Ok(None) => {}
            Ok(Some((till, credential, prepared))) => {
                let handler = |socket| handler(socket, prepared);
                self.serve(wire, Arc::new(till), credential, handler).await;
            }
            Err(error) => {
                let code = error.close_code();
                self.goodbye(&wire, Some(SocketControl::Refused { amp_error: error }), code).await;
            }
        }
    }

    /// Says what it costs and lets the client say who pays: nobody, where it is free. `None`: it has left.
    async fn open(&self, wire: &Wire) -> Result<Option<Option<Bound>>, SocketError> {
        let failed = |error: serde_json::Error| SocketError::fault(SocketFault::Internal, error.to_string());
        let discovery = serde_json::to_string(&self.service.discovery()).map_err(failed)?;
        if wire.frame(Frame::Text(discovery.into())).await.is_err() {
            return Ok(None);
        }
        if self.pricing.rate().is_free() {
            return Ok(Some(None));
        }
        Ok(bind(wire, &self.service, &self.pricing).await?.map(Some))
    }

    /// Does what the handler needs first, and tells the client that the socket is open: before that nothing is
    /// counted. `None`: the client has left.
    async fn ready<P, R, T>(
        &self,
        wire: &Wire,
        bound: Option<Bound>,
        prepare: P,
    ) -> Result<Option<(Till, Option<CredentialBody>, T)>, SocketError>
    where
        P: FnOnce(Option<Payment>) -> R,
        R: Future<Output = Result<T, String>>,
    {
        let mode = self.pricing.mode;
        let Some(Bound { credential, meter, ack }) = bound else {
            let prepared = prepare(None).await.map_err(unprepared)?;
            return Ok(Some((Till::new(None, mode), None, prepared)));
        };
        let prepared = tokio::select! {
            prepared = prepare(Some(meter.payment())) => prepared.map_err(unprepared),
            // a close waits for what was delivered, which is nothing
            denial = meter.stopped() => Err(of_denial(&denial, &self.pricing)),
        };
        let prepared = match prepared {
            Ok(prepared) => prepared,
            Err(error) => {
                // gives back what was set aside before the client hears of it; a store that fails does that later
                let _ = meter.finish().await;
                return Err(error);
            }
        };
        // time runs from here on, whether or not the client takes its time to read this
        let told = wire.control(&SocketControl::Ack(ack)).await;
        Ok(told.ok().map(|()| (Till::new(Some(meter), mode), Some(credential), prepared)))
    }

    async fn serve<H, F>(
        &self,
        wire: Arc<Wire>,
        till: Arc<Till>,
        credential: Option<CredentialBody>,
        handler: H,
    ) where
        H: FnOnce(PaidSocket) -> F,
        F: Future<Output = ()> + Send + 'static,
    {
        let liveness = Liveness::begin();
        let (arrived, inbox) = mpsc::channel(self.limits.queue.max(1));
        let socket = PaidSocket::new(inbox, wire.clone(), till.clone(), self.limits.max_message);
        // its own task: however long it takes, and however it ends, the socket ends in good order
        let mut handler = tokio::spawn(handler(socket));
        let reader = Reader {
            wire: &wire,
            till: &till,
            liveness: &liveness,
            service: &self.service,
            credential,
            linger: self.limits.linger,
        };
        let ending = tokio::select! {
            returned = &mut handler => match returned {
                Ok(()) => Ending::Done,
                Err(_) => Ending::Fault(SocketError::fault(SocketFault::Internal, "the service's handler failed")),
            },
            ended = reader.run(arrived) => match ended {
                ReadingEnded::Left => Ending::Done,
                ReadingEnded::Denied(denial) => Ending::Denied(denial),
                ReadingEnded::Bad(error) => Ending::Fault(error),
            },
            denial = till.over() => Ending::Denied(denial),
            denial = self.stopped(till.meter()) => Ending::Denied(denial),
            () = tick(&till) => Ending::Denied(till.over().await),
            () = liveness.silent_for(self.limits.idle) => Ending::Done,
            Gone = self.ask_for_more(&wire, till.meter()) => Ending::Done,
            Gone = self.ping(&wire) => Ending::Done,
        };
        self.end(&wire, &till, ending).await;
    }

    /// Lets nothing more be delivered, charges what was, and says so.
    async fn end(&self, wire: &Wire, till: &Till, ending: Ending) {
        wire.close();
        till.set(Clock::Stopped);
        let mut error = match ending {
            Ending::Done => None,
            Ending::Denied(denial) => Some(of_denial(&denial, &self.pricing)),
            Ending::Fault(error) => Some(error),
        };
        let Some(meter) = till.meter() else {
            let code = error.as_ref().map_or(NORMAL, SocketError::close_code);
            let last = error.map(|amp_error| SocketControl::Refused { amp_error });
            return self.goodbye(wire, last, code).await;
        };
        if error.is_none() {
            // its handler may have asked the meter itself, and gone when it said no
            error = meter.cover(0).await.err().map(|denial| of_denial(&denial, &self.pricing));
        }
        let last = match meter.finish().await {
            Ok(receipt) => SocketControl::End {
                amp_end: SocketEnd {
                    cost: receipt.cost,
                    spent: receipt.spent,
                    balance: receipt.balance,
                    error: error.clone(),
                },
            },
            Err(denial) => {
                let amp_error = of_denial(&denial, &self.pricing);
                error = Some(amp_error.clone());
                SocketControl::Refused { amp_error }
            }
        };
        let code = error.as_ref().map_or(NORMAL, SocketError::close_code);
        self.goodbye(wire, Some(last), code).await;
    }

    async fn goodbye(&self, wire: &Wire, last: Option<SocketControl>, code: u16) {
        // a client that does not read it goes without
        let _ = timeout(self.limits.close_wait, wire.goodbye(last.as_ref(), code)).await;
    }

    /// Returns when the channel is closed: its statement waits for what was delivered.
    async fn stopped(&self, meter: Option<&Meter>) -> Denial {
        let Some(meter) = meter else { return std::future::pending().await };
        meter.stopped().await
    }

    /// Tells the client what it must sign for, as long as something waits for it.
    async fn ask_for_more(&self, wire: &Wire, meter: Option<&Meter>) -> Gone {
        let Some(meter) = meter else { return std::future::pending().await };
        let mut needs = meter.needs();
        loop {
            let refusal = needs.borrow_and_update().as_ref().and_then(|need| need.refusal.clone());
            if let Some(amp_need) = refusal
                && wire.control(&SocketControl::Need { amp_need: Box::new(amp_need) }).await.is_err()
                && !wire.is_closed()
            {
                return Gone;
            }
            if needs.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// Asks whether the client is there.
    async fn ping(&self, wire: &Wire) -> Gone {
        let mut pings = interval(self.limits.ping_every);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            pings.tick().await;
            // one that has left is noticed by who reads, which lets the handler go on with what is there
            if wire.frame(Frame::Ping(Default::default())).await.is_err() && !wire.is_closed() {
                return Gone;
            }
        }
    }
}

/// The service could not do what comes first: nothing was delivered.
fn unprepared(why: String) -> SocketError {
    SocketError::fault(SocketFault::Unavailable, why)
}
