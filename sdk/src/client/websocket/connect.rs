use std::sync::Arc;
use std::time::{Duration, Instant};

use amp_protocol::json::{
    CredentialBody, DiscoveryDocument, SocketAck, SocketBind, SocketControl, SocketError,
};
use futures::SinkExt as _;
use solana_address::Address;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message as Frame;
use url::Url;

use super::account::Account;
use super::open::{Socket, open, text};
use super::socket::PaidSocket;
use crate::client::call::{Call, Carried, Carrier, Place, Said};
use crate::client::discovery;
use crate::client::error::ClientError;
use crate::client::http::{Client, parse};
use crate::client::open::mint_of;
use crate::client::service::Service;

impl Client {
    /// Opens a WebSocket (`ws`, `wss`) and pays for it as its path is priced, with the channel of the same host and
    /// port by HTTP. What the service says first is held against its discovery document and against what this
    /// client pins, before anything is signed.
    ///
    /// By the call, each message that is sent costs the price, which the policy must allow for one call. By the
    /// second, the byte or the unit, the socket may cost [`ClientBuilder::metered_budget`] in all.
    ///
    /// [`ClientBuilder::metered_budget`]: crate::client::ClientBuilder::metered_budget
    pub async fn connect(&self, url: &str) -> Result<PaidSocket, ClientError> {
        let (socket_url, http_url) = schemes(parse(url)?)?;
        let service = self.service_of(http_url.as_str())?;
        // by HTTP, before a socket is believed
        let known = self.document(&service, false).await?;
        let path = http_url.path().to_owned();
        let price = self.price(&known.pricing.for_route(&path));
        self.check_policy(&known, &service, price)?;
        let mut dial = Dial { client: self, service: &service, url: socket_url, known, at_hand: None };
        let (socket, document) = dial.discover().await?;
        dial.known = service.set_document(document)?;
        let options = &self.inner.settings.options;
        let call = Call::of(self, &service, Place::Socket(path)).await?;
        if call.is_free() {
            return Ok(PaidSocket::begin(socket, None, service.name.clone(), options.max_socket_message));
        }
        dial.at_hand = Some(socket);
        let (opened, payment, tab) = call.pay(dial).await?;
        let Opened { socket, begun } = opened;
        let account = tab.map(|tab| Account::new(tab, begun));
        let origin = service.name.clone();
        Ok(PaidSocket::begin(socket, account, origin, options.max_socket_message).paid(payment))
    }
}

/// The same address for sockets and for HTTP: origins, and with them policies and channels, are HTTP's.
fn schemes(url: Url) -> Result<(Url, Url), ClientError> {
    let bad = || ClientError::Url(url.to_string());
    let (socket, http) = match url.scheme() {
        "ws" | "http" => ("ws", "http"),
        "wss" | "https" => ("wss", "https"),
        _ => return Err(bad()),
    };
    let mut socket = discovery::with_scheme(&url, socket)?;
    // what stands for a user, or behind a `#`, is not sent
    let cleared = socket.set_username("").and_then(|()| socket.set_password(None));
    cleared.map_err(|()| bad())?;
    socket.set_fragment(None);
    Ok((socket, discovery::with_scheme(&url, http)?))
}

/// A socket that the service has said is open.
struct Opened {
    socket: Socket,
    /// When it was asked for: no second of the service's began before.
    begun: Instant,
}

/// Opens sockets until one is not refused.
struct Dial<'a> {
    client: &'a Client,
    service: &'a Arc<Service>,
    url: Url,
    known: Arc<DiscoveryDocument>,
    /// Open, and without a payer yet.
    at_hand: Option<Socket>,
}

impl Dial<'_> {
    fn limit(&self) -> Duration {
        self.client.inner.settings.options.timeout
    }

    /// A connection, and what the service says of itself on it.
    async fn discover(&self) -> Result<(Socket, DiscoveryDocument), ClientError> {
        let settings = &self.client.inner.settings;
        let mut socket = open(&self.url, &settings.options).await?;
        let said = self.in_time(text(&mut socket)).await?.unwrap_or_default();
        let document = discovery::read(settings, &self.service.origin, said.as_bytes())?;
        let (known, origin) = (&self.known, || self.service.name.clone());
        if document.recipient != known.recipient {
            let (known, named) = (Address::from(known.recipient.0), Address::from(document.recipient.0));
            return Err(ClientError::RecipientChanged { origin: origin(), known, named });
        }
        if mint_of(&document) != mint_of(known) {
            let (known, named) = (mint_of(known), mint_of(&document));
            return Err(ClientError::TokenChanged { origin: origin(), known, named });
        }
        Ok((socket, document))
    }

    async fn in_time<T, E: std::fmt::Display>(
        &self,
        answer: impl Future<Output = Result<T, E>>,
    ) -> Result<T, ClientError> {
        let url = || self.url.to_string();
        let late = |_| ClientError::TimedOut { url: url(), seconds: self.limit().as_secs() };
        let answer = timeout(self.limit(), answer).await.map_err(late)?;
        answer.map_err(|error| ClientError::Socket { url: url(), reason: error.to_string() })
    }

    async fn socket(&mut self) -> Result<Socket, ClientError> {
        if let Some(socket) = self.at_hand.take() {
            return Ok(socket);
        }
        let (socket, document) = self.discover().await?;
        if document.pricing != self.known.pricing {
            let reason = "its prices have changed meanwhile; connect again".to_owned();
            return Err(ClientError::Socket { url: self.url.to_string(), reason });
        }
        Ok(socket)
    }
}

impl Carrier for Dial<'_> {
    type Answer = Opened;

    async fn carry(&mut self, credential: &CredentialBody) -> Result<Carried<Opened>, ClientError> {
        let mut socket = match self.socket().await {
            Ok(socket) => socket,
            Err(error) => return Ok(Carried::Unsent(error)),
        };
        let bind = serde_json::to_string(&SocketBind::from(*credential)).unwrap_or_default();
        let begun = Instant::now();
        self.in_time(socket.send(Frame::text(bind))).await?;
        let said = self.in_time(text(&mut socket)).await?.unwrap_or_default();
        Ok(match SocketControl::parse(&said) {
            Ok(Some(SocketControl::Ack(SocketAck { amp_balance, .. }))) => {
                // what was spent is not what this socket cost: it is only open
                let said = Said { balance: Some(amp_balance), ..Said::default() };
                Carried::Answered(Opened { socket, begun }, said)
            }
            Ok(Some(SocketControl::Refused { amp_error: SocketError::Amp(body) })) => {
                Carried::Refused(body.into())
            }
            Ok(Some(SocketControl::Refused { amp_error })) => {
                let (url, reason) = (self.url.to_string(), amp_error.to_string());
                Carried::Unsent(ClientError::Socket { url, reason })
            }
            _ => {
                let reason = "it neither opened nor refused the socket".to_owned();
                return Err(ClientError::Socket { url: self.url.to_string(), reason });
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sockets_origin_is_that_of_http() {
        let both = |text: &str| {
            let (socket, http) = schemes(text.parse().unwrap()).unwrap();
            (socket.to_string(), http.to_string())
        };
        let pair = |socket: &str, http: &str| (socket.to_owned(), http.to_owned());
        assert_eq!(both("ws://a.example:81/x?y"), pair("ws://a.example:81/x?y", "http://a.example:81/x?y"));
        assert_eq!(both("wss://a.example/"), pair("wss://a.example/", "https://a.example/"));
        assert_eq!(both("https://a.example/"), pair("wss://a.example/", "https://a.example/"));
        assert_eq!(both("ws://u:p@a.example/#f").0, "ws://a.example/");
        assert!(schemes("ftp://a.example".parse().unwrap()).is_err());
    }
}
