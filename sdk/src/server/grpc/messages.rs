//! An answer's body, message by message: a server encodes several into one piece, and what is paid for is the
//! message.

use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body_util::BodyExt as _;
use tonic::body::Body;

use super::refuse;

/// Of a message in gRPC: one byte for its compression, four for its length.
const PREFIX: usize = 5;

/// A piece of an answer.
#[derive(Debug)]
pub(super) enum Part {
    /// A whole message, with its prefix.
    Message(Bytes),
    /// No more of them. Without a status where the body broke off.
    End(HeaderMap),
}

/// The messages of a body.
#[derive(Debug)]
pub(super) struct Messages {
    body: Body,
    /// What came and is not a whole message yet.
    begun: BytesMut,
}

impl Messages {
    pub(super) fn of(body: Body) -> Self {
        Self { body, begun: BytesMut::new() }
    }

    /// The next part. Nothing is lost where this is dropped before its end.
    pub(super) async fn next(&mut self) -> Part {
        loop {
            if let Some(message) = self.whole() {
                return Part::Message(message);
            }
            match self.body.frame().await {
                None => return Part::End(HeaderMap::new()),
                Some(Err(status)) => return Part::End(refuse::trailers(&status)),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if self.begun.is_empty() => self.begun = BytesMut::from(data),
                    Ok(data) => self.begun.extend_from_slice(&data),
                    Err(frame) => return Part::End(frame.into_trailers().unwrap_or_default()),
                },
            }
        }
    }

    /// The next part, if it is there already. Whoever gets `None` calls [`Self::next`], which is woken.
    pub(super) fn at_once(&mut self) -> Option<Part> {
        let next = std::pin::pin!(self.next());
        match next.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(part) => Some(part),
            Poll::Pending => None,
        }
    }

    fn whole(&mut self) -> Option<Bytes> {
        let [_, length @ ..] = self.begun.first_chunk::<PREFIX>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?.checked_add(PREFIX)?;
        (self.begun.len() >= length).then(|| self.begun.split_to(length).freeze())
    }
}

/// Bytes of a message as it was encoded, which its prefix is not part of.
pub(super) fn encoded_length(message: &Bytes) -> u64 {
    u64::try_from(message.len().saturating_sub(PREFIX)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;
    use http_body::Frame;
    use http_body_util::StreamBody;
    use proptest::prelude::*;

    /// A message with its prefix.
    fn message(content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len()).unwrap().to_be_bytes();
        [&[0][..], &length, content].concat()
    }

    fn messages(pieces: Vec<Vec<u8>>) -> Messages {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
        let data = pieces.into_iter().map(|piece| Frame::data(Bytes::from(piece)));
        let frames = data.chain([Frame::trailers(trailers)]).map(Ok::<_, tonic::Status>);
        Messages::of(Body::new(StreamBody::new(futures::stream::iter(frames))))
    }

    proptest! {
        #[test]
        fn however_a_body_is_cut_its_messages_are_the_same(
            contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..6),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
        ) {
            let whole: Vec<u8> = contents.iter().flat_map(|content| message(content)).collect();
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(whole.len().saturating_add(1))).collect();
            at.extend([0, whole.len()]);
            at.sort_unstable();
            let pieces = at.windows(2).map(|pair| whole[pair[0]..pair[1]].to_vec()).collect();
            let mut messages = messages(pieces);
            for content in contents {
                let Part::Message(found) = messages.next().now_or_never().unwrap() else { panic!("too few") };
                prop_assert_eq!(found.as_ref(), message(&content));
                prop_assert_eq!(encoded_length(&found), content.len() as u64);
            }
            let Part::End(trailers) = messages.next().now_or_never().unwrap() else { panic!("too many") };
            prop_assert_eq!(&trailers["grpc-status"], "0");
        }
    }

    #[test]
    fn what_is_no_whole_message_never_leaves() {
        let mut cut = message(&[1; 30]);
        cut.truncate(20);
        assert!(matches!(messages(vec![cut]).at_once(), Some(Part::End(_))));
        assert!(matches!(messages(vec![vec![0, 0]]).at_once(), Some(Part::End(_))));
    }
}
