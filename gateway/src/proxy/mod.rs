//! What is behind the engine: requests go to the API as they come, and its answers back, unbuffered both ways.
//!
//! | | |
//! | --- | --- |
//! | told to the API | `AMP-Channel`, `AMP-Payer`, `AMP-Seq`, `AMP-Cost`; `X-Forwarded-For`, `-Host`, `-Proto` |
//! | never passed on | whatever a client sends under those names; credentials; hop-by-hop headers |
//! | never charged | no answer, one that is too late, a status of 500 or above |
//!
//! Trailers are headers that come later: what holds for those holds for them, both ways.

mod answer;
mod failure;
mod forward;
mod headers;
mod upload;
mod upstream;

pub(crate) use failure::{NotCharged, plain};
pub(crate) use forward::Proxy;
pub(crate) use headers::{Units, is_websocket, upgrade_to};
pub(crate) use upstream::tls;
