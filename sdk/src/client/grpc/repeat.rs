//! A request's body that can be sent again after a refusal: what was sent of it is kept.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Frame;
use tonic::Status;
use tonic::body::Body;

/// Most bytes that are kept of a request: what tonic's servers accept of a message. A service refuses before it reads,
/// so of a longer stream little more than a window of the connection is sent by then.
const KEPT: usize = 4 << 20;

/// The body, and what was sent of it.
pub(super) struct Repeatable(Arc<Mutex<Sent>>);

struct Sent {
    body: Body,
    kept: Vec<Bytes>,
    size: usize,
    /// How often it was begun. An earlier sending that is still polled gets nothing more.
    round: u32,
}

/// One sending.
struct Sending {
    sent: Arc<Mutex<Sent>>,
    round: u32,
    next: usize,
}

impl Repeatable {
    pub(super) fn new(body: Body) -> Self {
        Self(Arc::new(Mutex::new(Sent { body, kept: Vec::new(), size: 0, round: 0 })))
    }

    /// Whether all that was sent is kept.
    pub(super) fn can_repeat(&self) -> bool {
        lock(&self.0).size <= KEPT
    }

    /// The body from its beginning; one that was given out before ends.
    pub(super) fn begin(&self) -> Body {
        let round = {
            let mut sent = lock(&self.0);
            sent.round = sent.round.saturating_add(1);
            sent.round
        };
        Body::new(Sending { sent: self.0.clone(), round, next: 0 })
    }
}

impl http_body::Body for Sending {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let shared = self.sent.clone();
        let mut sent = lock(&shared);
        if sent.round != self.round {
            return Poll::Ready(None);
        }
        if let Some(data) = sent.kept.get(self.next) {
            let data = data.clone();
            self.next = self.next.saturating_add(1);
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        let polled = Pin::new(&mut sent.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            sent.size = sent.size.saturating_add(data.len());
            if sent.size <= KEPT {
                sent.kept.push(data.clone());
                self.next = self.next.saturating_add(1);
            } else {
                // it can't be sent again, so nothing of it is needed
                (sent.kept, self.next) = (Vec::new(), 0);
            }
        }
        polled
    }
}

fn lock(sent: &Mutex<Sent>) -> MutexGuard<'_, Sent> {
    sent.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;
    use http_body_util::{BodyExt as _, StreamBody};

    fn body(pieces: Vec<Bytes>) -> Repeatable {
        let frames = pieces.into_iter().map(|piece| Ok::<_, Status>(Frame::data(piece)));
        Repeatable::new(Body::new(StreamBody::new(futures::stream::iter(frames))))
    }

    fn next(body: &mut Body) -> Option<Bytes> {
        body.frame().now_or_never().unwrap().map(|frame| frame.unwrap().into_data().unwrap())
    }

    #[test]
    fn what_was_sent_is_sent_again_and_then_the_rest() {
        let pieces = [&b"one"[..], b"two", b"three"].map(Bytes::from_static);
        let repeatable = body(pieces.to_vec());
        let mut first = repeatable.begin();
        assert_eq!([next(&mut first), next(&mut first)], [Some(pieces[0].clone()), Some(pieces[1].clone())]);
        let mut second = repeatable.begin();
        assert_eq!(next(&mut first), None, "the first takes nothing from the second");
        for piece in pieces {
            assert_eq!(next(&mut second), Some(piece));
        }
        assert_eq!(next(&mut second), None);
        assert!(repeatable.can_repeat());
    }

    #[test]
    fn a_long_one_is_sent_once_and_held_by_nobody() {
        let repeatable = body(vec![Bytes::from(vec![7; KEPT]), Bytes::from_static(b"more"), Bytes::new()]);
        let mut sending = repeatable.begin();
        assert!(next(&mut sending).is_some() && repeatable.can_repeat());
        assert!(next(&mut sending).is_some() && !repeatable.can_repeat());
        assert!(lock(&repeatable.0).kept.is_empty());
        assert!(next(&mut sending).is_some() && next(&mut sending).is_none());
    }
}
