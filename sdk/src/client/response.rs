use std::fmt;

use amp_protocol::code::Code;
use amp_protocol::json::ErrorBody;
use amp_protocol::money::{Amount, Seq};
use amp_protocol::text::header;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Body, ResponseBuilderExt as _, StatusCode};
use serde::de::DeserializeOwned;
use solana_address::Address;

use super::body::{LIMIT, read_up_to};
use super::error::ClientError;
use super::streaming::Streaming;
use super::tab::Tab;

/// What a call was paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payment {
    /// The channel.
    pub channel: Address,
    /// The seq that paid for it.
    pub seq: Seq,
    /// What it cost, as the service says. `None`: not known yet, as of a stream.
    pub cost: Option<Amount>,
    /// What all calls on the channel have cost so far, as the service says.
    pub spent: Option<Amount>,
    /// What is left of the deposit, as the service says.
    pub balance: Option<Amount>,
}

/// An answer: status, headers, body, and what was paid for it.
pub struct Response {
    inner: reqwest::Response,
    /// Bytes of the body that were read already.
    begun: Vec<u8>,
    payment: Option<Payment>,
    /// The body, where it is paid for while it comes.
    streaming: Option<Box<Streaming>>,
}

/// An amount in headers or trailers. One that does not parse counts as missing.
pub(super) fn amount_in(headers: &HeaderMap, name: &str) -> Option<Amount> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

impl Response {
    pub(super) fn new(inner: reqwest::Response, payment: Option<Payment>) -> Self {
        Self { inner, begun: Vec::new(), payment, streaming: None }
    }

    /// With what was paid for it, and where it goes on: what it is paid from.
    pub(super) fn paid(self, payment: Payment, tab: Option<Tab>) -> Self {
        let Some(tab) = tab else { return Self { payment: Some(payment), ..self } };
        let kind = self.headers().get(CONTENT_TYPE).map_or(&b""[..], |kind| kind.as_bytes());
        let is_event_stream = kind.to_ascii_lowercase().starts_with(b"text/event-stream");
        let url = self.inner.url().clone();
        let (parts, body) = http::Response::<Body>::from(self.inner).into_parts();
        let mut head = http::Response::builder().url(url).status(parts.status).body(Body::default());
        if let Ok(head) = &mut head {
            *head.headers_mut() = parts.headers;
        }
        let streaming = Some(Box::new(Streaming::new(body, tab, is_event_stream)));
        // made of what was an answer, so it is one
        let inner = head.map_or_else(|_| http::Response::new(Body::default()).into(), Into::into);
        Self { inner, payment: Some(payment), streaming, ..self }
    }

    /// The status. One that says failure can have been paid for too: the handler ran.
    pub fn status(&self) -> StatusCode {
        self.inner.status()
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        self.inner.headers()
    }

    /// What was paid, or `None` where the call was free.
    pub fn payment(&self) -> Option<&Payment> {
        self.payment.as_ref()
    }

    /// The next piece of the body, or `None` at its end. What is paid for while it comes is signed for here, within
    /// [`ClientBuilder::metered_budget`](super::ClientBuilder::metered_budget): read on, and it goes on.
    ///
    /// # Errors
    /// What ended it: [`ClientError::Refused`] where the service says so, [`ClientError::Policy`] where the budget is
    /// used up.
    pub async fn chunk(&mut self) -> Result<Option<Vec<u8>>, ClientError> {
        if !self.begun.is_empty() {
            return Ok(Some(std::mem::take(&mut self.begun)));
        }
        if let Some(streaming) = &mut self.streaming {
            let chunk = streaming.chunk().await;
            if let (Some(ended), Some(payment)) = (streaming.outcome(), &mut self.payment) {
                (payment.cost, payment.spent) = (Some(ended.cost), Some(ended.spent));
                payment.balance = Some(ended.balance);
            }
            return chunk;
        }
        Ok(self.inner.chunk().await?.map(|chunk| chunk.to_vec()))
    }

    /// The whole body.
    pub async fn bytes(mut self) -> Result<Vec<u8>, ClientError> {
        if self.streaming.is_some() {
            let mut bytes = Vec::new();
            while let Some(chunk) = self.chunk().await? {
                bytes.extend_from_slice(&chunk);
            }
            return Ok(bytes);
        }
        let mut bytes = self.begun;
        bytes.extend_from_slice(&self.inner.bytes().await?);
        Ok(bytes)
    }

    /// The whole body as text. What is no UTF-8 becomes U+FFFD.
    pub async fn text(self) -> Result<String, ClientError> {
        Ok(String::from_utf8_lossy(&self.bytes().await?).into_owned())
    }

    /// The whole body as JSON.
    pub async fn json<T: DeserializeOwned>(self) -> Result<T, ClientError> {
        let (url, status) = (self.inner.url().to_string(), self.status().as_u16());
        serde_json::from_slice(&self.bytes().await?).map_err(|_| ClientError::Protocol { url, status })
    }

    /// An amount in a header. One that does not parse counts as missing.
    pub(super) fn amount(&self, name: &str) -> Option<Amount> {
        amount_in(self.headers(), name)
    }

    /// Whether this is the 402 of a service that takes AMP.
    pub(super) fn asks_for_payment(&self) -> bool {
        self.status() == StatusCode::PAYMENT_REQUIRED && self.headers().contains_key(header::VERSION)
    }

    /// The AMP error in the body, if it is one. The body stays readable.
    pub(super) async fn refusal(&mut self) -> Result<Option<ErrorBody>, ClientError> {
        let status = self.status().as_u16();
        let json = |value: &reqwest::header::HeaderValue| value.as_bytes().starts_with(b"application/json");
        if !Code::ALL.iter().any(|code| code.http_status() == status)
            || !self.headers().get(CONTENT_TYPE).is_some_and(json)
            || self.headers().contains_key(header::SPENT)
        {
            return Ok(None);
        }
        self.begun = read_up_to(&mut self.inner, LIMIT).await?;
        let body: Option<ErrorBody> = serde_json::from_slice(&self.begun).ok();
        let seconds = || self.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok();
        Ok(body.filter(|body| body.error.http_status() == status).map(|mut body| {
            body.retry_after = body.retry_after.or_else(seconds);
            body
        }))
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response").field("inner", &self.inner).field("payment", &self.payment).finish()
    }
}
