use std::fmt;
use std::io;
use std::path::Path;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};

use crate::proxy::plain;

/// Who knows it may see what is earned.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token(String);

/// Shorter ones could be guessed.
const SHORTEST: usize = 16;

impl Token {
    /// The first line of a file.
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        let text = std::fs::read_to_string(path)?;
        let token = text.lines().next().unwrap_or_default().trim();
        if token.len() < SHORTEST || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            let what = format!("the operator's token has at least {SHORTEST} characters, and no spaces");
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        Ok(Self(token.to_owned()))
    }

    /// A new one, of 128 random bits.
    pub(crate) fn made_up() -> io::Result<Self> {
        let mut bytes = [0_u8; 16];
        let random = rustls::crypto::ring::default_provider().secure_random;
        random.fill(&mut bytes).map_err(|_| io::Error::other("the system has no randomness"))?;
        Ok(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// As long as the other is, whether they are equal takes the same time.
    fn is(&self, shown: &[u8]) -> bool {
        let own = self.0.as_bytes();
        let differ = own.iter().zip(shown).fold(0, |differ, (one, other)| differ | (one ^ other));
        own.len() == shown.len() && differ == 0
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// Lets those through who show it: `Authorization: Bearer ...`.
pub(super) async fn check(State(token): State<Token>, request: Request, next: Next) -> Response {
    let shown = request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes);
    let shown = shown.and_then(|value| value.strip_prefix(b"Bearer "));
    if shown.is_some_and(|shown| token.is(shown)) {
        return next.run(request).await;
    }
    let message = "send the operator's token: Authorization: Bearer ...; `amp serve` prints it, or reads it from --operator-token-file";
    let mut refused = plain(StatusCode::UNAUTHORIZED, "NO_TOKEN", message);
    refused.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    refused
}
