//! Bodies of bounded size: what a service sends must not fill the agent's memory.

use std::time::Duration;

use serde::de::DeserializeOwned;

use super::error::ClientError;

/// Most bytes of any body of the protocol. A discovery document with hundreds of routes fits.
pub(super) const LIMIT: usize = 256 * 1024;

/// A complete, small answer.
pub(super) struct Small {
    url: String,
    pub(super) status: u16,
    pub(super) bytes: Vec<u8>,
}

impl Small {
    /// Reads it as one of the protocol's bodies.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        let unreadable = || ClientError::Protocol { url: self.url.clone(), status: self.status };
        serde_json::from_slice(&self.bytes).map_err(|_| unreadable())
    }
}

/// Sends a request of the protocol's own and reads the whole answer, all within `timeout`.
pub(super) async fn small(
    http: &reqwest::Client,
    request: reqwest::Request,
    timeout: Duration,
) -> Result<Small, ClientError> {
    let url = request.url().to_string();
    let exchange = async {
        let mut response = http.execute(request).await?;
        let status = response.status().as_u16();
        let bytes = read_up_to(&mut response, LIMIT).await?;
        if bytes.len() > LIMIT {
            return Err(ClientError::TooLarge { url: url.clone(), limit: LIMIT });
        }
        Ok(Small { url: url.clone(), status, bytes })
    };
    let timed_out = ClientError::TimedOut { url: url.clone(), seconds: timeout.as_secs() };
    tokio::time::timeout(timeout, exchange).await.map_err(|_| timed_out)?
}

/// Reads chunks until the body ends or is longer than `limit`; the rest stays in `response`.
pub(super) async fn read_up_to(
    response: &mut reqwest::Response,
    limit: usize,
) -> Result<Vec<u8>, reqwest::Error> {
    let mut bytes = Vec::new();
    while bytes.len() <= limit {
        let Some(chunk) = response.chunk().await? else { break };
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}
