//! AMP over gRPC as a tower layer.
//!
//! It has to be a layer around whole HTTP responses and not a tonic interceptor: what a call costs is known when its
//! answer ends, and stands in the trailers. It answers `amp.v1.Payments` itself, lets free methods through, and asks
//! for a credential in the metadata of all others. A method's price is that of its path, `/package.Service/Method`,
//! so [`ServiceConfig::route`](super::ServiceConfig::route) takes `/package.Service` as well.
//!
//! ```no_run
//! # use amp_sdk::server::{AmpGrpcLayer, AmpService};
//! # async fn run<S>(service: AmpService, files: S) -> Result<(), tonic::transport::Error>
//! # where
//! #     S: tower::Service<http::Request<tonic::body::Body>, Error = std::convert::Infallible>
//! #         + tonic::server::NamedService + Clone + Send + Sync + 'static,
//! #     S::Response: axum::response::IntoResponse,
//! #     S::Future: Send + 'static,
//! # {
//! tonic::transport::Server::builder()
//!     .layer(AmpGrpcLayer::new(service))
//!     .add_service(files)
//!     .serve("[::]:50051".parse().unwrap())
//!     .await
//! # }
//! ```
//!
//! A handler that wants to know who pays takes the [`Payment`](super::Payment) among the request's extensions; one
//! whose method is priced per compute reports to the [`Meter`](super::Meter) beside it.

mod answer;
mod call;
mod endpoints;
mod layer;
mod messages;
mod refuse;

pub use call::AmpGrpcMiddleware;
pub use layer::AmpGrpcLayer;
