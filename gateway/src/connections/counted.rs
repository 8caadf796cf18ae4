use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::busy::UnderWay;
use super::streams::Taking;

/// The most of a stream's that is handed out at once: who takes so much within `idle_timeout` goes on.
const PIECE: usize = 16 * 1024;

/// The body of an answer: as long as it is there, so is the request.
pub(super) struct Counted {
    body: Body,
    _under_way: UnderWay,
    taking: Option<Arc<Taking>>,
    /// What of a frame was not handed out yet.
    rest: Bytes,
}

impl Counted {
    /// In the task of the stream that it is an answer on, if it is on one.
    pub(super) fn new(body: Body, under_way: UnderWay) -> Self {
        Self { body, _under_way: under_way, taking: Taking::of_this_stream(), rest: Bytes::new() }
    }

    fn in_pieces(&mut self, frame: Frame<Bytes>) -> Frame<Bytes> {
        match frame.into_data() {
            Ok(mut data) => {
                if data.len() > PIECE {
                    self.rest = data.split_off(PIECE);
                }
                Frame::data(data)
            }
            Err(frame) => frame,
        }
    }
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(taking) = self.taking.clone() else { return Pin::new(&mut self.body).poll_frame(context) };
        taking.asked();
        let frame = if self.rest.is_empty() {
            ready!(Pin::new(&mut self.body).poll_frame(context))
        } else {
            Some(Ok(Frame::data(std::mem::take(&mut self.rest))))
        };
        let frame = frame.map(|frame| frame.map(|frame| self.in_pieces(frame)));
        if matches!(frame, Some(Ok(_))) {
            taking.handed();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        let mut hint = self.body.size_hint();
        // the upper bound first: it must not be below the lower one
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint.set_lower(hint.lower().saturating_add(rest));
        hint
    }
}

#[cfg(test)]
mod tests {
    use http_body::Body as _;

    use super::super::busy::Busy;
    use super::*;

    #[tokio::test]
    async fn a_large_frame_leaves_in_pieces_and_whole() {
        let busy = Arc::new(Busy::default());
        let all = Bytes::from((0..100_000_u32).map(|byte| byte as u8).collect::<Vec<_>>());
        let mut body = Counted::new(Body::from(all.clone()), busy.begin(http::Version::HTTP_2));
        body.taking = Some(Arc::default());
        let (mut pieces, mut whole) = (0, Vec::new());
        while !body.is_end_stream() {
            assert_eq!(body.size_hint().exact(), Some((all.len() - whole.len()) as u64));
            let frame = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
            whole.extend_from_slice(&frame.unwrap().unwrap().into_data().unwrap());
            pieces += 1;
        }
        assert_eq!((pieces, whole.len()), (all.len().div_ceil(PIECE), all.len()));
        assert_eq!(whole, all);
    }
}
