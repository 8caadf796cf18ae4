//! Nothing is charged, and what would be is logged: to try prices on real traffic, without a key or a chain.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use amp_protocol::json::{Pricing, PricingMode};
use amp_protocol::money::Amount;
use amp_sdk::server::{ChargeOn, Terms};
use axum::BoxError;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use http_body::{Frame, SizeHint};

use crate::proxy::Units;

/// What would have been charged so far.
#[derive(Debug, Default)]
pub struct WouldCharge {
    answers: AtomicU64,
    base_units: AtomicU64,
}

impl WouldCharge {
    /// How many answers would have been paid for.
    pub fn answers(&self) -> u64 {
        self.answers.load(Ordering::Relaxed)
    }

    /// What all of them would have cost, in base units.
    pub fn amount(&self) -> Amount {
        Amount::new(self.base_units.load(Ordering::Relaxed))
    }

    fn note(&self, path: &str, status: StatusCode, mode: PricingMode, counted: u64, cost: Amount) {
        self.answers.fetch_add(u64::from(!cost.is_zero()), Ordering::Relaxed);
        self.base_units.fetch_add(cost.get(), Ordering::Relaxed);
        tracing::info!(path, status = status.as_u16(), ?mode, counted, %cost, "would charge");
    }
}

/// The answer as it is, and a note of what it would have cost when it has left.
pub(crate) fn watch(tally: &Arc<WouldCharge>, path: String, terms: Terms, answer: Response) -> Response {
    let Terms { pricing, charge_on } = terms;
    let status = answer.status();
    let is_charged = match charge_on {
        ChargeOn::Success => status.as_u16() < 400,
        ChargeOn::Always => status.as_u16() < 500,
    };
    if pricing.rate.is_zero() || !is_charged || pricing.mode == PricingMode::PerCall {
        let cost = if is_charged { pricing.rate } else { Amount::ZERO };
        tally.note(&path, status, pricing.mode, u64::from(is_charged), cost);
        return answer;
    }
    let units = answer.extensions().get().map_or(0, |Units(units)| *units);
    answer.map(|body| {
        let counted = if pricing.mode == PricingMode::PerCompute { units } else { 0 };
        let tally = tally.clone();
        Body::new(Watched { body, tally, path, status, pricing, counted, began: Instant::now() })
    })
}

/// A body whose bytes, or seconds, are counted.
struct Watched {
    body: Body,
    tally: Arc<WouldCharge>,
    path: String,
    status: StatusCode,
    pricing: Pricing,
    counted: u64,
    began: Instant,
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if self.pricing.mode == PricingMode::PerByte
            && let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            self.counted = self.counted.saturating_add(u64::try_from(data.len()).unwrap_or(u64::MAX));
        }
        polled.map(|frame| frame.map(|frame| frame.map_err(BoxError::from)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let counted = match self.pricing.mode {
            // each second counts when it begins
            PricingMode::PerSecond => self.began.elapsed().as_secs().saturating_add(1),
            _ => self.counted,
        };
        let cost = self.pricing.rate().cost(counted).unwrap_or(Amount::MAX);
        self.tally.note(&self.path, self.status, self.pricing.mode, counted, cost);
    }
}
