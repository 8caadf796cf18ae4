use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::BoxError;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Sleep, sleep};

use super::headers::strip_trailers;

/// The body of an answer as it comes; it breaks off where the API is silent for too long.
pub(super) struct Answer {
    inner: Incoming,
    idle: Duration,
    /// Until it has been silent for too long; none: it was not, when it was last asked.
    silent: Option<Pin<Box<Sleep>>>,
}

/// The API began to answer and does not go on.
#[derive(Debug, thiserror::Error)]
#[error("the API has been silent for {0:?}")]
struct Silent(Duration);

impl Answer {
    pub(super) fn new(inner: Incoming, idle: Duration) -> Self {
        Self { inner, idle, silent: None }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Poll::Ready(mut frame) = Pin::new(&mut self.inner).poll_frame(context) {
            self.silent = None;
            if let Some(trailers) = frame.as_mut().and_then(|frame| frame.as_mut().ok()?.trailers_mut()) {
                strip_trailers(trailers);
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(BoxError::from)));
        }
        let idle = self.idle;
        let silent = self.silent.get_or_insert_with(|| Box::pin(sleep(idle)));
        ready!(silent.as_mut().poll(context));
        Poll::Ready(Some(Err(Box::new(Silent(idle)))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
