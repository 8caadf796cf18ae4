//! An answer on its way out: each message leaves once it is paid for, and the trailers say what all of it cost.
//!
//! Dropped at any moment, as by a client that goes away, it charges what has left: a message counts as delivered in
//! the very poll in which it is handed to the server's connection.

use amp_protocol::json::{Pricing, PricingMode};
use amp_protocol::money::Amount;
use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;
use http_body_util::StreamBody;
use tonic::body::Body;
use tonic::{Code as StatusCode, Status};

use super::messages::{Messages, Part, encoded_length};
use super::refuse;
use crate::grpc::status_in;
use crate::server::admission::Admission;
use crate::server::config::ChargeOn;
use crate::server::denial::Denial;
use crate::server::metering::Running;
use crate::server::middleware::say_what_was_charged;

/// A paid answer.
pub(super) struct Answer {
    messages: Messages,
    pricing: Pricing,
    bill: Bill,
    /// What was looked at already.
    seen: Option<Part>,
    /// What ends an answer whose last message has just left.
    trailers: Option<HeaderMap>,
}

/// Who pays for what is next.
pub(super) enum Bill {
    /// A call of which no message has left yet: whether it is a stream, its answer shows.
    Call(Box<Admission>, ChargeOn),
    /// A stream, or a call whose cost is counted while it is served.
    Metered(Running),
    /// All is charged.
    Settled,
}

impl Bill {
    /// Charges for an answer that has no message, and says so in what ends it.
    pub(super) async fn of_nothing(self, end: &mut HeaderMap) -> Result<(), Denial> {
        let receipt = match self {
            Self::Settled => return Ok(()),
            Self::Metered(running) => running.finish().await,
            Self::Call(admission, ChargeOn::Success) => admission.charge(Amount::ZERO).await,
            Self::Call(admission, ChargeOn::Always) => {
                let price = admission.payment().price;
                admission.charge(price).await
            }
        };
        say_what_was_charged(end, &receipt?);
        Ok(())
    }
}

impl Answer {
    pub(super) fn body(bill: Bill, body: Body, pricing: Pricing) -> Body {
        let answer = Self { messages: Messages::of(body), pricing, bill, seen: None, trailers: None };
        let frames = futures::stream::unfold(answer, |mut answer| async move {
            let frame = answer.next().await?;
            Some((Ok::<_, Status>(frame), answer))
        });
        Body::new(StreamBody::new(frames))
    }

    async fn next(&mut self) -> Option<Frame<Bytes>> {
        if let Some(trailers) = self.trailers.take() {
            return Some(Frame::trailers(trailers));
        }
        // taken: where this is dropped while it waits, its charge is that of what has left
        match std::mem::replace(&mut self.bill, Bill::Settled) {
            Bill::Settled => None,
            Bill::Call(admission, charge_on) => Some(self.first(admission, charge_on).await),
            Bill::Metered(running) => Some(self.go_on(running).await),
        }
    }

    /// The first message of a call that was admitted for the price of one.
    async fn first(&mut self, admission: Box<Admission>, charge_on: ChargeOn) -> Frame<Bytes> {
        let message = match self.messages.next().await {
            Part::Message(message) => message,
            Part::End(mut trailers) => {
                return match Bill::Call(admission, charge_on).of_nothing(&mut trailers).await {
                    Ok(()) => Frame::trailers(trailers),
                    Err(denial) => self.refused(&denial),
                };
            }
        };
        match self.messages.at_once() {
            // its status is there with its only message: a unary answer, which is charged as a whole
            Some(Part::End(trailers)) => self.unary(admission, charge_on, message, trailers).await,
            next => {
                self.seen = next;
                match admission.into_meter(self.pricing.rate(), self.pricing.per.get()).await {
                    Ok(meter) => self.leave(message, Running::new(meter, self.pricing.mode)).await,
                    Err(denial) => self.refused(&denial),
                }
            }
        }
    }

    async fn unary(
        &mut self,
        admission: Box<Admission>,
        charge_on: ChargeOn,
        message: Bytes,
        mut trailers: HeaderMap,
    ) -> Frame<Bytes> {
        let is_charged = charge_on == ChargeOn::Always || is_ok(&trailers);
        let cost = if is_charged { admission.payment().price } else { Amount::ZERO };
        match admission.charge(cost).await {
            Ok(receipt) => {
                say_what_was_charged(&mut trailers, &receipt);
                self.trailers = Some(trailers);
                Frame::data(message)
            }
            // what can't be claimed does not leave
            Err(denial) => self.refused(&denial),
        }
    }

    /// The next piece of an answer that is paid for as it leaves.
    async fn go_on(&mut self, mut running: Running) -> Frame<Bytes> {
        let meter = running.clone();
        loop {
            tokio::select! {
                // a second that has begun is paid before what leaves in it
                biased;
                closed = meter.stopped() => return self.halt(running, &closed).await,
                () = running.seconds() => {
                    if let Err(denial) = running.another_second().await {
                        return self.halt(running, &denial).await;
                    }
                }
                part = next_of(&mut self.seen, &mut self.messages) => return match part {
                    Part::Message(message) => self.leave(message, running).await,
                    Part::End(trailers) => self.end(running, trailers).await,
                },
            }
        }
    }

    /// Lets a message leave that is paid for, once it is.
    async fn leave(&mut self, message: Bytes, running: Running) -> Frame<Bytes> {
        let count = match self.pricing.mode {
            PricingMode::PerCall => 1,
            PricingMode::PerByte => encoded_length(&message),
            // counted by the clock, and by the handler
            PricingMode::PerSecond | PricingMode::PerCompute => 0,
        };
        if count > 0
            && let Err(denial) = running.spend(count).await
        {
            return self.halt(running, &denial).await;
        }
        self.bill = Bill::Metered(running);
        Frame::data(message)
    }

    /// Ends a stream that does not go on, with what was delivered.
    async fn halt(&mut self, running: Running, denial: &Denial) -> Frame<Bytes> {
        let status = refuse::status(denial, Some(&self.pricing));
        self.end(running, refuse::trailers(&status)).await
    }

    async fn end(&mut self, running: Running, mut trailers: HeaderMap) -> Frame<Bytes> {
        match running.finish().await {
            Ok(receipt) => say_what_was_charged(&mut trailers, &receipt),
            // all of it has left, so the answer is no failure; it just does not say what it cost
            Err(denial) => tracing::warn!(%denial, "a stream ended without a receipt"),
        }
        Frame::trailers(trailers)
    }

    fn refused(&self, denial: &Denial) -> Frame<Bytes> {
        Frame::trailers(refuse::trailers(&refuse::status(denial, Some(&self.pricing))))
    }
}

async fn next_of(seen: &mut Option<Part>, messages: &mut Messages) -> Part {
    match seen.take() {
        Some(part) => part,
        None => messages.next().await,
    }
}

/// Whether an answer that ends so is a success. One without a status is none.
pub(super) fn is_ok(trailers: &HeaderMap) -> bool {
    status_in(trailers) == Some(StatusCode::Ok)
}
