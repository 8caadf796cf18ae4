use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use futures::future::{BoxFuture, FutureExt as _, pending};
use http::HeaderMap;
use http_body::{Body as _, Frame, SizeHint};
use tokio::sync::watch;
use tower::BoxError;

use super::counting::Counting;
use super::events::{self, Boundary};
use crate::server::admission::Receipt;
use crate::server::denial::Denial;
use crate::server::metering::{Meter, Need};
use crate::server::middleware::respond::charged;

/// A body that leaves as it is paid for. Dropped, it is charged for what has left.
pub(super) struct MeteredBody {
    inner: Body,
    meter: Meter,
    counting: Counting,
    /// Where it is a stream of events: where it stands, and what was said last of what it needs.
    events: Option<(Boundary, Option<Need>)>,
    /// Data that is not paid for yet.
    held: Bytes,
    trailers: Option<HeaderMap>,
    phase: Phase,
    /// Waits until more is paid for.
    cover: Option<BoxFuture<'static, Result<(), Denial>>>,
    /// Has more paid for before it is needed.
    ahead: Option<BoxFuture<'static, ()>>,
    /// How much was paid for after the last time that something was.
    level: u64,
    stopped: BoxFuture<'static, Denial>,
    need_changed: BoxFuture<'static, ()>,
}

enum Phase {
    Streaming,
    /// The last charge is under way.
    Ending(BoxFuture<'static, Result<Receipt, Denial>>, End),
    Over,
}

/// How a body ended.
enum End {
    Whole,
    /// It was not paid for any longer.
    Early(Denial),
    /// The inner service failed.
    Broken(BoxError),
}

type Polled = Poll<Option<Result<Frame<Bytes>, BoxError>>>;

impl MeteredBody {
    pub(super) fn new(inner: Body, meter: Meter, counting: Counting, events: bool) -> Self {
        let (watched, needs) = (meter.clone(), meter.needs());
        Self {
            inner,
            counting,
            events: events.then(Default::default),
            held: Bytes::new(),
            trailers: None,
            phase: Phase::Streaming,
            cover: None,
            ahead: None,
            level: meter.available(),
            stopped: async move { watched.stopped().await }.boxed(),
            need_changed: if events { changed(needs) } else { pending().boxed() },
            meter,
        }
    }

    /// Ends the body: what has left is charged, and nothing more leaves.
    fn end(&mut self, end: End) {
        (self.inner, self.held, self.cover, self.ahead) = (Body::empty(), Bytes::new(), None, None);
        let meter = self.meter.clone();
        self.phase = Phase::Ending(async move { meter.finish().await }.boxed(), end);
    }

    fn poll_streaming(&mut self, context: &mut Context<'_>) -> Poll<Option<Frame<Bytes>>> {
        if let Poll::Ready(closed) = self.stopped.poll_unpin(context) {
            self.end(End::Early(closed));
            return Poll::Ready(None);
        }
        let delivered = self.poll_delivery(context);
        if delivered.is_pending() {
            // after it, for it is what finds out that more is needed
            return self.poll_need(context).map(Some);
        }
        delivered
    }

    fn poll_delivery(&mut self, context: &mut Context<'_>) -> Poll<Option<Frame<Bytes>>> {
        self.poll_ahead(context);
        if let Some(cover) = &mut self.cover {
            let covered = ready!(cover.poll_unpin(context));
            self.cover = None;
            self.level = self.meter.available();
            if let Err(denial) = covered {
                self.end(End::Early(denial));
                return Poll::Ready(None);
            }
        }
        if let Counting::Seconds(seconds) = &mut self.counting
            && seconds.poll_unpaid(&self.meter, context).is_ready()
        {
            return self.wait_for(1, context);
        }
        if self.held.is_empty() {
            let frame = match ready!(Pin::new(&mut self.inner).poll_frame(context)) {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => {
                    self.end(End::Broken(error.into()));
                    return Poll::Ready(None);
                }
                None => {
                    self.end(End::Whole);
                    return Poll::Ready(None);
                }
            };
            match frame.into_data() {
                Ok(data) => self.held = data,
                Err(frame) => {
                    self.trailers = frame.into_trailers().ok();
                    return self.poll_delivery(context);
                }
            }
        }
        self.poll_held(context)
    }

    /// Lets go of the data that is there, as far as it is paid for.
    fn poll_held(&mut self, context: &mut Context<'_>) -> Poll<Option<Frame<Bytes>>> {
        let length = u64::try_from(self.held.len()).unwrap_or(u64::MAX);
        let paid = match &self.counting {
            Counting::Seconds(_) | Counting::Reported => length,
            // an event is not cut: nothing could be said in the middle of it
            Counting::Bytes if self.events.is_some() && self.meter.available() < length => 0,
            Counting::Bytes => self.meter.count(length),
        };
        if paid == 0 && length > 0 {
            let whole = self.events.is_some();
            return self.wait_for(if whole { length } else { 1 }, context);
        }
        let data = self.held.split_to(usize::try_from(paid).unwrap_or(usize::MAX).min(self.held.len()));
        if let Some((boundary, _)) = &mut self.events {
            boundary.follow(&data);
        }
        Poll::Ready(Some(Frame::data(data)))
    }

    fn wait_for(&mut self, count: u64, context: &mut Context<'_>) -> Poll<Option<Frame<Bytes>>> {
        let meter = self.meter.clone();
        self.cover = Some(async move { meter.cover(count).await }.boxed());
        self.poll_delivery(context)
    }

    /// Once half of what was paid for has left, more is asked for beside it.
    fn poll_ahead(&mut self, context: &mut Context<'_>) {
        if self.ahead.is_none()
            && self.cover.is_none()
            && !matches!(self.counting, Counting::Reported)
            && self.meter.available() <= self.level >> 1
        {
            // once only, until it has brought something
            self.level = 0;
            let meter = self.meter.clone();
            self.ahead = Some(async move { meter.reach_ahead().await }.boxed());
        }
        if let Some(ahead) = &mut self.ahead
            && ahead.poll_unpin(context).is_ready()
        {
            self.ahead = None;
            self.level = self.meter.available();
        }
    }

    /// What a stream of events says of what it needs.
    fn poll_need(&mut self, context: &mut Context<'_>) -> Poll<Frame<Bytes>> {
        let needs = self.meter.needs();
        while self.need_changed.poll_unpin(context).is_ready() {
            self.need_changed = changed(self.meter.needs());
        }
        let Some((boundary, said)) = &mut self.events else { return Poll::Pending };
        let need = needs.borrow().clone();
        if *said == need || !boundary.is_between() {
            return Poll::Pending;
        }
        *said = need;
        match said {
            Some(need) => Poll::Ready(Frame::data(events::need(need))),
            None => Poll::Pending,
        }
    }

    /// What is said at the end. HTTP has one way to say that a body is not whole, but for events.
    fn last_frame(&mut self, outcome: Result<Receipt, Denial>, end: End) -> Result<Frame<Bytes>, BoxError> {
        let reason = match end {
            End::Whole => None,
            End::Early(denial) if self.events.is_some() => Some(denial),
            End::Early(denial) => return Err(denial.into()),
            End::Broken(error) => return Err(error),
        };
        let receipt = outcome?;
        if let Some((boundary, _)) = &self.events {
            let end = events::end(&receipt, reason.as_ref());
            let cut = if boundary.is_between() { &b""[..] } else { b"\n\n" };
            return Ok(Frame::data([cut, &end].concat().into()));
        }
        let mut trailers = self.trailers.take().unwrap_or_default();
        charged(&mut trailers, &receipt);
        Ok(Frame::trailers(trailers))
    }
}

fn changed(mut needs: watch::Receiver<Option<Need>>) -> BoxFuture<'static, ()> {
    async move {
        needs.mark_unchanged();
        if needs.changed().await.is_err() {
            pending::<()>().await;
        }
    }
    .boxed()
}

impl http_body::Body for MeteredBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Polled {
        let this = &mut *self;
        loop {
            match std::mem::replace(&mut this.phase, Phase::Over) {
                Phase::Streaming => {
                    this.phase = Phase::Streaming;
                    if let Some(frame) = ready!(this.poll_streaming(context)) {
                        return Poll::Ready(Some(Ok(frame)));
                    }
                }
                Phase::Ending(mut charge, end) => {
                    let Poll::Ready(charged) = charge.poll_unpin(context) else {
                        this.phase = Phase::Ending(charge, end);
                        return Poll::Pending;
                    };
                    return Poll::Ready(Some(this.last_frame(charged, end)));
                }
                Phase::Over => return Poll::Ready(None),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }

    fn size_hint(&self) -> SizeHint {
        if self.events.is_some() {
            return SizeHint::default();
        }
        let held = u64::try_from(self.held.len()).unwrap_or(u64::MAX);
        let mut hint = self.inner.size_hint();
        if let Some(exact) = hint.exact() {
            hint.set_exact(exact.saturating_add(held));
        }
        hint
    }
}

impl Drop for MeteredBody {
    fn drop(&mut self) {
        // a handler may still hold the meter
        self.meter.end_soon();
    }
}
