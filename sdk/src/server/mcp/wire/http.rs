use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use futures::StreamExt as _;
use http::header::CONTENT_LENGTH;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use tower::{BoxError, Layer, Service};

use super::fields::Direction;
use super::lines::Lines;
use crate::server::middleware::take_ready;

/// Largest message that is looked at, in bytes: as much as rmcp's service takes unless it is told otherwise.
/// A larger one goes on as it comes.
const LARGEST: usize = 4 * 1024 * 1024;

/// Goes around rmcp's `StreamableHttpService`: credentials may be in `params._amp`, receipts are in
/// `result._amp` as well.
#[derive(Clone, Copy, Debug, Default)]
pub struct AmpFieldsLayer;

impl<S> Layer<S> for AmpFieldsLayer {
    type Service = AmpFields<S>;

    fn layer(&self, inner: S) -> AmpFields<S> {
        AmpFields::new(inner)
    }
}

/// What [`AmpFieldsLayer`] makes.
#[derive(Clone, Debug)]
pub struct AmpFields<S> {
    inner: S,
}

impl<S> AmpFields<S> {
    /// Goes around `inner`.
    pub fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S, B> Service<Request<Body>> for AmpFields<S>
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let mut inner = take_ready(&mut self.inner);
        Box::pin(async move {
            let request = read(request).await;
            Ok(write(inner.call(request).await?))
        })
    }
}

/// The request with its credential where rmcp keeps it. One whose body breaks off goes on broken.
async fn read(request: Request<Body>) -> Request<Body> {
    let (mut parts, mut body) = request.into_parts();
    let mut gathered = Vec::new();
    while gathered.len() <= LARGEST {
        let data = match body.frame().await {
            Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
            Some(Err(error)) => {
                let broken = futures::stream::iter([Ok(Bytes::from(gathered)), Err(error)]);
                return Request::from_parts(parts, Body::from_stream(broken));
            }
            None => {
                let edited = Direction::In.edit(&gathered);
                if edited.is_some() {
                    parts.headers.remove(CONTENT_LENGTH);
                }
                return Request::from_parts(parts, Body::from(edited.unwrap_or(gathered)));
            }
        };
        gathered.extend_from_slice(&data);
    }
    let so_far = futures::stream::iter([Ok(Bytes::from(gathered))]);
    Request::from_parts(parts, Body::from_stream(so_far.chain(body.into_data_stream())))
}

/// The answer with its receipt in both places: one message, or a stream of events.
fn write<B>(response: Response<B>) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let (mut parts, body) = response.into_parts();
    parts.headers.remove(CONTENT_LENGTH);
    let frames = Body::new(body).into_data_stream();
    let state = (frames, Lines::new(Direction::Out), false);
    let edited = futures::stream::unfold(state, async |(mut frames, mut lines, ended)| {
        if ended {
            return None;
        }
        let mut out = Vec::new();
        let frame = frames.next().await;
        let ended = frame.is_none();
        let bytes = match frame {
            Some(Ok(bytes)) => {
                lines.push(&bytes, &mut out);
                Ok(Bytes::from(out))
            }
            Some(Err(error)) => Err(error),
            None => {
                lines.end(&mut out);
                Ok(Bytes::from(out))
            }
        };
        Some((bytes, (frames, lines, ended)))
    });
    Response::from_parts(parts, Body::from_stream(edited))
}
