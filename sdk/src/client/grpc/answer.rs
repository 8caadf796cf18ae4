use std::sync::Arc;

use futures::StreamExt as _;
use http::Response;
use http_body::Frame;
use http_body_util::StreamBody;
use tonic::body::Body;
use tonic::{Code as StatusCode, Status};

use crate::client::ClientError;
use crate::client::streaming::{Piece, Streaming};
use crate::client::tab::Tab;

/// The answer, whose messages are counted and signed for as they come, and whose end is booked before it is given out.
pub(super) fn paid(answer: Response<Body>, tab: Option<Tab>) -> Response<Body> {
    let Some(tab) = tab else { return answer };
    answer.map(|body| {
        let streaming = Streaming::of_messages(body, tab.of_messages());
        let pieces = futures::stream::unfold(Some(streaming), |streaming| async move {
            let mut streaming = streaming?;
            match streaming.piece().await {
                Ok(piece) => Some((Ok(frame(piece?)), Some(streaming))),
                Err(error) => Some((Err(status(error)), None)),
            }
        });
        Body::new(StreamBody::new(pieces.fuse()))
    })
}

fn frame(piece: Piece) -> Frame<bytes::Bytes> {
    match piece {
        Piece::Data(data) => Frame::data(data),
        Piece::Trailers(trailers) => Frame::trailers(trailers),
    }
}

/// An error of this side as the status of its call. Its source is the error.
pub(super) fn status(error: ClientError) -> Status {
    match error {
        ClientError::Grpc(status) => *status,
        error => {
            let mut status = Status::new(code(&error), error.to_string());
            status.set_source(Arc::new(error));
            status
        }
    }
}

fn code(error: &ClientError) -> StatusCode {
    match error {
        ClientError::Refused { body, .. } => crate::grpc::status_code(body.error),
        ClientError::TimedOut { .. } => StatusCode::DeadlineExceeded,
        ClientError::Policy(_) => StatusCode::PermissionDenied,
        ClientError::Chain(_) | ClientError::OpeningPending { .. } => StatusCode::Unavailable,
        ClientError::Store(_) | ClientError::Signer(_) => StatusCode::Internal,
        _ => StatusCode::FailedPrecondition,
    }
}
