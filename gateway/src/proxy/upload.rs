use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::headers::strip_trailers;

/// What is known of a request's body while it goes to the API, and with it whose fault it is where no answer comes. A
/// client could send what makes the API work, and then never end it or break it off, to have the work for nothing.
#[derive(Clone, Default)]
pub(super) struct Upload(Arc<AtomicU8>);

/// The API would take more, and the client has sent no more.
const AWAITED: u8 = 1;
/// The client broke it off.
const BROKEN: u8 = 2;
/// All of it is there, or the API has yet to take what is.
const THERE: u8 = 0;

impl Upload {
    /// The body as it goes on, without trailers that say who pays. An empty one is as it was.
    pub(super) fn watch(&self, body: Body) -> Body {
        if http_body::Body::is_end_stream(&body) {
            return body;
        }
        Body::new(Watched { inner: body, upload: self.clone() })
    }

    pub(super) fn is_awaited(&self) -> bool {
        self.0.load(Ordering::Relaxed) == AWAITED
    }

    pub(super) fn is_broken(&self) -> bool {
        self.0.load(Ordering::Relaxed) == BROKEN
    }
}

struct Watched {
    inner: Body,
    upload: Upload,
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut polled = Pin::new(&mut self.inner).poll_frame(context);
        let known = match &mut polled {
            Poll::Pending => AWAITED,
            Poll::Ready(Some(Err(_))) => BROKEN,
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(trailers) = frame.trailers_mut() {
                    strip_trailers(trailers);
                }
                THERE
            }
            Poll::Ready(None) => THERE,
        };
        self.upload.0.store(known, Ordering::Relaxed);
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures::channel::mpsc;
    use futures::{StreamExt as _, poll};

    use super::*;

    #[tokio::test]
    async fn whose_turn_it_is_is_known_at_every_moment() {
        let (send, receive) = mpsc::unbounded::<Result<Bytes, std::io::Error>>();
        let upload = Upload::default();
        let mut pieces = upload.watch(Body::from_stream(receive)).into_data_stream();
        assert!(!upload.is_awaited(), "the API has not asked for any of it");
        assert!(poll!(pieces.next()).is_pending() && upload.is_awaited());
        send.unbounded_send(Ok(Bytes::from_static(b"a"))).unwrap();
        assert!(pieces.next().await.unwrap().is_ok() && !upload.is_awaited());
        send.unbounded_send(Err(std::io::Error::other("broken"))).unwrap();
        assert!(pieces.next().await.unwrap().is_err() && upload.is_broken());
        let whole = Upload::default();
        let mut pieces = whole.watch(Body::from("all")).into_data_stream();
        while pieces.next().await.is_some() {}
        assert!(!whole.is_awaited() && !whole.is_broken());
    }
}
