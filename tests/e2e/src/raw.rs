//! HTTP without the client: what anybody can send.

use amp_protocol::code::Code;
use amp_protocol::json::{CredentialBody, ErrorBody};
use amp_protocol::money::Seq;
use amp_protocol::text::header;
use amp_sdk::signed::sign_credential;
use amp_sdk::signer::KeypairSigner;
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder};
use solana_address::Address;

use crate::market::Market;

/// A complete answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    /// A header's text; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    /// `AMP-Balance`, `AMP-Spent`, `AMP-Cost`, of whatever status.
    pub fn paid(&self) -> [u64; 3] {
        [header::BALANCE, header::SPENT, header::COST].map(|name| self.header(name).parse().expect(name))
    }

    pub fn json<T: serde::de::DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The error body: code and status go together.
    pub fn refusal(&self) -> ErrorBody {
        let body: ErrorBody = self.json();
        assert_eq!(self.status, body.error.http_status(), "{body:?}");
        body
    }

    /// The error body, which must have this code.
    #[track_caller]
    pub fn refused(&self, code: Code) -> ErrorBody {
        let body = self.refusal();
        assert_eq!(body.error, code, "{body:?}");
        for name in [header::BALANCE, header::SPENT, header::COST] {
            assert_eq!(self.header(name), "", "a refusal charges nothing");
        }
        body
    }
}

impl Market {
    pub fn request(&self, method: Method, path: &str, credential: Option<&CredentialBody>) -> RequestBuilder {
        let request = self.http.request(method, self.url(path));
        let Some(credential) = credential else { return request };
        request
            .header(header::CHANNEL, credential.channel.to_string())
            .header(header::SEQ, credential.seq.to_string())
            .header(header::SIG, credential.sig.to_string())
    }

    pub async fn send(&self, request: RequestBuilder) -> Answer {
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Answer { status, headers, body: response.bytes().await.expect("a body").to_vec() }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path, None)).await
    }

    pub async fn get_with(&self, path: &str, credential: &CredentialBody) -> Answer {
        self.send(self.request(Method::GET, path, Some(credential))).await
    }

    pub async fn post_with(&self, path: &str, credential: &CredentialBody) -> Answer {
        self.send(self.request(Method::POST, path, Some(credential))).await
    }

    /// A credential by any key, for any channel and epoch.
    pub async fn sign(&self, key: &KeypairSigner, channel: &Address, epoch: u64, seq: Seq) -> CredentialBody {
        sign_credential(key, channel, epoch, seq).await.expect("a signature")
    }
}
